"""Connect without blocking."""

import asyncio


def tool(world):
    async def connect():
        _, writer = await asyncio.open_connection("127.0.0.1", world["tcp"])
        writer.write(b"hello")
        await writer.drain()

    asyncio.run(connect())
