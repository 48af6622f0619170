"""A WebSocket client, or an echo server, of Python's `websockets`: for tests/proxy_peers.rs.

    websocket_peer.py client URL            exchanges messages with an echo, and ends with 0 if all were right
    websocket_peer.py echo PORT             serves
"""

import asyncio
import sys

import websockets

SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20]


async def client(url):
    async with websockets.connect(url, max_size=None, compression=None, origin="http://x") as socket:
        for size in SIZES:
            await socket.send("x" * size)
            got = await socket.recv()
            assert got.rstrip("\n") == "x" * size, size
            await socket.send(b"\xff" * size)
            got = await socket.recv()
            assert (got if isinstance(got, bytes) else got.encode()).startswith(b"\xff" * size) or len(got) >= size, size
        await (await socket.ping())
        await socket.close(4000, "bye")
        assert socket.close_code in (1000, 4000), socket.close_code


async def echo(socket, _path=None):
    async for message in socket:
        await socket.send(message)


async def serve(port):
    async with websockets.serve(echo, "127.0.0.1", port, max_size=None):
        await asyncio.Future()


if sys.argv[1] == "client":
    asyncio.run(client(sys.argv[2]))
else:
    asyncio.run(serve(int(sys.argv[2])))
