"""An MES's side: keeps events and gaps, one per id, in SQLite. `python mes_subscriber.py BROKER PORT DATABASE`."""

import json
import sqlite3
import sys

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, source TEXT, boot_id TEXT, seq INT, verdict TEXT, body TEXT);
CREATE TABLE IF NOT EXISTS gaps (id TEXT PRIMARY KEY, source TEXT, boot_id TEXT, first INT, last INT, body TEXT);
CREATE TABLE IF NOT EXISTS others (topic TEXT, body BLOB);
"""
TOPICS = [("pwae/+/+/+/+/camera/+/result", 1), ("pwae/+/+/+/+/camera/+/gap", 1)]
NEITHER = (
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    RecursionError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)
"""What comes of a message that is no event and no gap; a full disk is none of these, and ends us."""

host, port, path = sys.argv[1:]
database = sqlite3.connect(path)
database.executescript(SCHEMA)


def keep(_client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
    with database:  # on disk before paho acknowledges the message, so that the broker sends it again after a crash
        try:
            body = message.payload.decode()
            told = json.loads(body)
            is_gap = message.topic.endswith("/gap")
            what = (told["first_seq"], told["last_seq"]) if is_gap else (told["seq"], told["verdict"]["name"])
            new = f"INSERT OR IGNORE INTO {'gaps' if is_gap else 'events'} VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608
            database.execute(new, (told["id"], told["source"], told["boot_id"], *what, body))
        except NEITHER:  # without an acknowledgement the broker would send it again before all others, for ever
            database.execute("INSERT INTO others VALUES (?, ?)", (message.topic, message.payload))


client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="mes", clean_session=False, protocol=mqtt.MQTTv311)
client.on_connect = lambda client, *_: client.subscribe(TOPICS)
client.on_subscribe = lambda *_: print("subscribed", flush=True)
client.on_message = keep
client.connect_async(host, int(port))
client.loop_forever(retry_first_connection=True)
