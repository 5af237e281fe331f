"""Talks through the proxy at the address given, and says `ok`."""

import asyncio
import sys

from websockets.asyncio.client import connect


async def main():
    async with connect(f"ws://{sys.argv[1]}/chat", max_size=None) as connection:
        for message in ["hello", b"\x00\xff", "x" * 2_000_000]:
            await connection.send(message)
            assert await connection.recv() == message
        await (await connection.ping())
        for number in range(200):
            await connection.send(str(number))
        assert [await connection.recv() for _ in range(200)] == [str(number) for number in range(200)]
    assert connection.close_code == 1000, connection.close_code
    print("ok")


asyncio.run(main())
