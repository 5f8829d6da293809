"""The page of a running station, asked over HTTP."""

import json
import urllib.error
import urllib.request
from typing import Any

from tests.runtime.waiting import WAIT_S


def ask(address: str, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(address, headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def state(address: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(ask(f"{address}/state.json")[1])
    return content


def is_up(address: str) -> bool:
    try:
        return ask(f"{address}/healthz")[0] == 200
    except (urllib.error.URLError, ConnectionError):
        return False


def metric(address: str, name: str) -> float:
    """The value of a metric, named with its labels; 0 where there is none."""
    lines = ask(f"{address}/metrics")[1].decode().splitlines()
    return next((float(line.removeprefix(name)) for line in lines if line.startswith(f"{name} ")), 0.0)


def post(address: str, content: bytes, **headers: str) -> tuple[int, Any]:
    """Send something; gives the status and the answer, read as JSON where it is some."""
    request = urllib.request.Request(address, content, headers, method="POST")  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            told = error.read()
            return error.code, json.loads(told) if told.startswith(b"{") else told.decode()
