"""An MES's side: keeps one event per id in SQLite. `python mes_subscriber.py BROKER PORT DATABASE`, until Ctrl-C."""

import json
import sqlite3
import sys

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

host, port, path = sys.argv[1:]
database = sqlite3.connect(path)
columns = "id TEXT PRIMARY KEY, camera TEXT, seq INT, verdict TEXT, body TEXT"
database.execute(f"CREATE TABLE IF NOT EXISTS events ({columns})")


def keep(_client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
    event = json.loads(message.payload)
    row = event["id"], event["camera"], event["seq"], event["verdict"]["name"], message.payload.decode()
    with database:  # on disk before paho acknowledges the message, so that the broker sends it again after a crash
        database.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?)", row)


client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="mes", clean_session=False, protocol=mqtt.MQTTv311)
client.on_connect = lambda client, *_: client.subscribe("pwae/+/+/+/+/camera/+/result", qos=1)
client.on_subscribe = lambda *_: print("subscribed", flush=True)
client.on_message = keep
client.connect(host, int(port))
client.loop_forever()
