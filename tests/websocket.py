"""Two clients of WebSocket that are not ours talk to an echo server.

    python3 websocket.py URL [CERTIFICATE]

With a certificate, that is what they verify a wss: server with. Prints a line for each that is content.
"""

import asyncio
import os
import ssl
import sys

import aiohttp
import websockets

url = sys.argv[1]
context = ssl.create_default_context(cafile=sys.argv[2]) if len(sys.argv) > 2 else None
MESSAGES = ["", "grün", "x" * 126, "y" * 70_000, b"", os.urandom(200), os.urandom(300_000)]


async def with_websockets():
    async with websockets.connect(url, ssl=context, subprotocols=["v0", "v1"], compression="deflate") as socket:
        assert socket.subprotocol == "v1", socket.subprotocol
        assert not socket.extensions, "none was agreed"
        for message in MESSAGES:
            await socket.send(message)
            assert await socket.recv() == message
        # An iterable is sent in fragments.
        await socket.send(["in ", "three ", "pieces"])
        assert await socket.recv() == "in three pieces"
        await asyncio.wait_for(await socket.ping(b"there?"), 20)
        # Many at once, while the answers are read.
        async def send():
            for number in range(5000):
                await socket.send(str(number))
        sending = asyncio.create_task(send())
        for number in range(5000):
            assert await socket.recv() == str(number)
        await sending
        await socket.close(4000, "done")
        assert (socket.close_code, socket.close_reason) == (4000, ""), (socket.close_code, socket.close_reason)
    print("websockets", websockets.__version__)


async def with_aiohttp():
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url, ssl=context, protocols=["v1"], heartbeat=5, max_msg_size=0) as socket:
            assert socket.protocol == "v1", socket.protocol
            for message in MESSAGES:
                if isinstance(message, str):
                    await socket.send_str(message)
                    assert (await socket.receive()).data == message
                else:
                    await socket.send_bytes(message)
                    assert (await socket.receive()).data == message
            await socket.close(code=1000)
            assert socket.close_code == 1000, socket.close_code
        # A page of another origin.
        try:
            await session.ws_connect(url, ssl=context, headers={"Origin": "https://evil.example"})
            raise AssertionError("let in")
        except aiohttp.WSServerHandshakeError as error:
            assert error.status == 403, error
    print("aiohttp", aiohttp.__version__)


asyncio.run(with_websockets())
asyncio.run(with_aiohttp())
