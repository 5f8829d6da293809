"""Kinds of abuse between the station and what is around it: its clock, its triggers, its outbox, its broker's rules."""

import json
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

from abuse_station import Outcome, Station, judged, png, wait

from tests.runtime.contract import PREFIX
from tests.runtime.pictures import bad_picture, good_picture

DAY_S = 86_400.0
SET = "clock was set"
"""What the log says of it."""


def clock_jumps(station: Station, chance: random.Random, inputs: int) -> Outcome:
    """C: a clock that is set by up to 400 days, either way, while events wait for a broker that is away."""
    kept = station.put(station.name(), png(bad_picture(1)))
    station.verdicts([kept])
    before = pictures_kept(station)
    parts: list[str] = []
    jumps, told = [40.0, -400.0, *(chance.uniform(-400, 400) for _ in range(inputs // 10))], 0
    with broker_away(station):
        for days in jumps:
            parts += [station.put(station.name(), png(good_picture(number))) for number in range(3)]
            wait(partial(are_waiting, station, len(parts)))
            earlier = station.log.count(SET)
            station.set_clock(days * DAY_S)
            told += wait(partial(is_told_again, station, earlier))
    station.set_clock(0.0)
    said = station.verdicts(parts)
    lost = sum(len(verdicts) != 1 for verdicts in said.values()) + max(0, before - pictures_kept(station))
    return Outcome(len(parts) + len(jumps), told + sum(verdicts == ["OK"] for verdicts in said.values()), lost)


def triggers_across_broker_kills(station: Station, _chance: random.Random, inputs: int) -> Outcome:
    """C: triggers that the broker has acknowledged, around kill -9 of the broker and of the station."""
    parts = [f"kept-{station.name()}" for _ in range(inputs)]

    def told() -> dict[str, set[str]]:
        ids: dict[str, set[str]] = {part: set() for part in parts}
        for event in station.mes.events():
            ids.get(event["part_id"], set()).add(event["id"])
        return ids

    for number, part in enumerate(parts):
        sent = station.mes.send(f"{PREFIX}/trigger/belt", json.dumps({"part_id": part}).encode())
        # What is not acknowledged is sent again by whoever sent it: two triggers of one part.
        wait(partial(station.mes.acknowledged.__contains__, sent))
        if number % 10 == 2:
            station.restart_broker()
        if number % 20 == 15:
            station.kill()
    wait(lambda: all(told().values()))
    ids = told()
    return Outcome(inputs, sum(map(bool, ids.values())), sum(len(each) != 1 for each in ids.values()))


def denied_topics(station: Station, _chance: random.Random, inputs: int) -> Outcome:
    """C: a broker that denies topics beside the events: they are named, and all events go on."""
    denied = [f"{PREFIX}/model", f"{PREFIX}/camera/in/last", f"{PREFIX}/camera/in/counters"]
    (station.folder / "acl").write_text("topic readwrite #\n" + "".join(f"topic deny {topic}\n" for topic in denied))
    plain = station.broker.extra
    station.broker.extra = f"{plain}max_queued_messages 1000\nacl_file {station.folder}/acl\n"
    heard = len(station.mes.messages)
    station.restart_broker()
    wait(lambda: len(station.mes.messages) > heard)  # with an access list mosquitto keeps nothing for who is away
    names = [station.put(station.name(), png(good_picture(number))) for number in range(inputs)]
    said = station.verdicts(names)
    named = sum(wait(partial(station.has_problem, topic)) for topic in denied)
    station.broker.extra = plain
    station.restart_broker()
    told = sum(verdicts == ["OK"] for verdicts in said.values())
    return Outcome(inputs + len(denied), told + named, sum(len(verdicts) != 1 for verdicts in said.values()))


def flipped_rows(station: Station, chance: random.Random, inputs: int) -> Outcome:
    """C: rows of the outbox of which a bit is flipped while they wait: a gap event tells of each, and none is sent."""
    flipped: list[dict[str, Any]] = []
    with broker_away(station):
        names = [station.put(station.name(), png(good_picture(number))) for number in range(2 * inputs)]
        wait(partial(are_waiting, station, len(names)))
        with closing(sqlite3.connect(station.folder / "outbox.sqlite", timeout=30)) as database, database:
            rows = database.execute("SELECT position, body FROM events WHERE camera = 'in'").fetchall()
            for position, body in chance.sample(rows, inputs):
                flipped.append(json.loads(body))
                damaged = bytearray(body)
                damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
                database.execute("UPDATE events SET body = ? WHERE position = ?", (bytes(damaged), position))
    sources = {event["frame"]["source"] for event in flipped}
    whole = station.verdicts([name for name in names if name not in sources])

    def is_told(event: dict[str, Any]) -> bool:
        return any(
            gap["boot_id"] == event["boot_id"] and gap["first_seq"] <= event["seq"] <= gap["last_seq"]
            for gap in station.mes.events("camera/in/gap")
        )

    wait(lambda: all(map(is_told, flipped)))
    sent = sum(event["frame"]["source"] in sources for event in station.mes.events())
    lost = sum(verdicts != ["OK"] for verdicts in whole.values())
    return Outcome(inputs, sum(map(is_told, flipped)), lost, sent)


def paused_uploads(station: Station, chance: random.Random, inputs: int) -> Outcome:
    """C: uploads that pause for 2 s within: one verdict each, when they are whole."""
    pictures = {station.name(): png(good_picture(number)) for number in range(inputs)}
    cuts = {name: chance.randint(1, len(data) - 1) for name, data in pictures.items()}
    for name, data in pictures.items():
        (station.slow / name).write_bytes(data[: cuts[name]])
    time.sleep(2)
    for name, data in pictures.items():
        with (station.slow / name).open("ab") as file:
            file.write(data[cuts[name] :])
    said = station.verdicts(list(pictures), "slow")
    lost = sum(len(verdicts) != 1 for verdicts in said.values())
    return Outcome(inputs, sum(verdicts == ["OK"] for verdicts in said.values()), lost)


def broker_kills(station: Station, chance: random.Random, inputs: int) -> Outcome:
    """C: mosquitto killed with -9 while parts come."""
    return under_way(station, inputs, lambda: restart_broker(station, chance))


def process_kills(station: Station, _chance: random.Random, inputs: int) -> Outcome:
    """C: the station killed with -9 while parts come."""
    return under_way(station, max(1, inputs // 4), station.kill)


def a_foreign_lock(station: Station, _chance: random.Random, _inputs: int) -> Outcome:
    """C: another program that locks the outbox for 5 s while parts come."""

    def lock() -> None:
        with closing(sqlite3.connect(station.folder / "outbox.sqlite", isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            time.sleep(5)
            database.execute("ROLLBACK")

    return under_way(station, 1, lock)


@contextmanager
def broker_away(station: Station) -> Iterator[None]:
    """Let mosquitto be away for a while."""
    station.broker.stop()
    yield
    station.broker.start()


def are_waiting(station: Station, events: int) -> bool:
    """Whether so many events wait for the broker."""
    with closing(sqlite3.connect(station.folder / "outbox.sqlite", timeout=30)) as database:
        (found,) = database.execute("SELECT count(*) FROM events").fetchone()
        return int(found) >= events


def is_told_again(station: Station, earlier: int) -> bool:
    """Whether the log tells of a clock that was set more often than `earlier`."""
    return station.log.count(SET) > earlier


def pictures_kept(station: Station) -> int:
    """How many files the evidence has of parts that were NotOK."""
    return sum(path.is_file() for path in (station.folder / "evidence" / "NotOK").rglob("*.jpg"))


def under_way(station: Station, times: int, fault: Callable[[], None]) -> Outcome:
    """Let a fault come while parts come, so often; each part has to give one event."""
    names = []
    for number in range(times):
        names += [station.put(station.name(), png(good_picture(number))) for _ in range(5)]
        fault()
        names += [station.put(station.name(), png(good_picture(number))) for _ in range(5)]
    return judged(station, names, "OK")


def restart_broker(station: Station, chance: random.Random) -> None:
    station.broker.stop(signal.SIGKILL)
    time.sleep(chance.uniform(0, 0.5))
    station.broker.start()


SLOW = (a_foreign_lock, broker_kills, process_kills)
KINDS = (clock_jumps, triggers_across_broker_kills, denied_topics, flipped_rows, paused_uploads)
