"""A WebSocket client: `ADDRESS CA CASE`, where CA may be empty. Prints what it found as JSON."""

import json
import ssl
import sys
import time

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

ADDRESS, CA, CASE = sys.argv[1:4]
# Long enough for a busy machine.
DEADLINE = 30
tls = ssl.create_default_context(cafile=CA) if CA else None
url = f"{'wss' if CA else 'ws'}://{ADDRESS}/chat?room=1"


def echo(connection):
    large = bytes(range(256)) * 8_000
    said = ["hello", "später \u2014 \U0001f600", "", b"\x00\xff", large]
    heard = []
    for message in said:
        connection.send(message)
        heard.append(connection.recv(DEADLINE))
    connection.send(["in ", "three ", "frames"])
    return {
        "same": heard == said,
        "fragments": connection.recv(DEADLINE),
        "subprotocol": connection.subprotocol,
    }


def many(connection):
    """All of them on their way at once."""
    for number in range(1000):
        connection.send(str(number))
    return {"in_order": [connection.recv(DEADLINE) for _ in range(1000)] == [str(number) for number in range(1000)]}


def ping(connection):
    return {"pong": connection.ping(b"there?").wait(DEADLINE)}


def server_closes(connection):
    connection.send("close 4321 enough of it")
    try:
        connection.recv(DEADLINE)
    except ConnectionClosed as closed:
        return {"code": closed.rcvd.code, "reason": closed.rcvd.reason}


def client_closes(connection):
    connection.close(4000, "bye")
    protocol = connection.protocol
    return {"code": protocol.close_code, "reason": protocol.close_reason}


def stays(connection):
    """Longer than any timeout of a request; first with silence, then with messages."""
    time.sleep(1.5)
    began, heard = time.monotonic(), 0
    while time.monotonic() - began < 2.5:
        connection.send(str(heard))
        assert connection.recv(DEADLINE) == str(heard)
        heard += 1
        time.sleep(0.1)
    return {"open": heard > 0}


def forwarded(connection):
    connection.send("who")
    return connection.recv(DEADLINE)


with connect(
    url, ssl=tls, subprotocols=["chat"], proxy=None, max_size=None, open_timeout=DEADLINE, ping_interval=None
) as connection:
    print(json.dumps(globals()[CASE](connection)))
