"""A WebSocket client: `ADDRESS CA CASE`, where CA may be empty. Prints what it found as JSON.

In one thread (asyncio): the threaded client of the same library reads and writes a TLS connection at once, which
Python's ssl does not allow for before 3.13; now and then a message is never sent.
"""

import asyncio
import json
import ssl
import sys
import time

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

ADDRESS, CA, CASE = sys.argv[1:4]
# Long enough for a busy machine.
DEADLINE = 30
tls = ssl.create_default_context(cafile=CA) if CA else None
url = f"{'wss' if CA else 'ws'}://{ADDRESS}/chat?room=1"


async def echo(connection):
    large = bytes(range(256)) * 8_000
    said = ["hello", "später \u2014 \U0001f600", "", b"\x00\xff", large]
    heard = []
    for message in said:
        await connection.send(message)
        heard.append(await connection.recv())
    await connection.send(["in ", "three ", "frames"])
    return {
        "same": heard == said,
        "fragments": await connection.recv(),
        "subprotocol": connection.subprotocol,
    }


async def many(connection):
    """All of them on their way at once."""
    for number in range(1000):
        await connection.send(str(number))
    heard = [await connection.recv() for _ in range(1000)]
    return {"in_order": heard == [str(number) for number in range(1000)]}


async def ping(connection):
    await (await connection.ping(b"there?"))
    return {"pong": True}


async def server_closes(connection):
    await connection.send("close 4321 enough of it")
    try:
        await connection.recv()
    except ConnectionClosed as closed:
        return {"code": closed.rcvd.code, "reason": closed.rcvd.reason}


async def client_closes(connection):
    await connection.close(4000, "bye")
    return {"code": connection.close_code, "reason": connection.close_reason}


async def stays(connection):
    """Longer than any timeout of a request; first with silence, then with messages."""
    await asyncio.sleep(1.5)
    began, heard = time.monotonic(), 0
    while time.monotonic() - began < 2.5:
        await connection.send(str(heard))
        assert await connection.recv() == str(heard)
        heard += 1
        await asyncio.sleep(0.1)
    return {"open": heard > 0}


async def forwarded(connection):
    await connection.send("who")
    return await connection.recv()


async def main():
    options = {"subprotocols": ["chat"], "proxy": None, "max_size": None, "ping_interval": None, "close_timeout": DEADLINE}
    async with asyncio.timeout(DEADLINE), connect(url, ssl=tls, open_timeout=DEADLINE, **options) as connection:
        print(json.dumps(await globals()[CASE](connection)))


asyncio.run(main())
