"""A WebSocket reader (RFC 6455) of what the job stream needs: text, ping, close. A thousand of them run in one event loop."""

import asyncio
import base64
import json
import os
import struct

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA


async def connect(address, path):
    """An open socket: the reader and writer of its connection."""
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=2**16)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 101 " not in head.split(b"\r\n", 1)[0]:
        raise RuntimeError(f"no upgrade: {head[:200]!r}")
    return reader, writer


async def messages(reader, writer):
    """Messages until the server closes; answers pings. The last item is the close code."""
    while True:
        first, second = await reader.readexactly(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await reader.readexactly(8))
        payload = await reader.readexactly(length)
        kind = first & 0x0F
        if kind == TEXT:
            yield json.loads(payload)
        elif kind == PING:
            await _send(writer, PONG, payload)
        elif kind == CLOSE:
            await _send(writer, CLOSE, payload[:2])
            writer.close()
            yield struct.unpack("!H", payload[:2])[0]
            return


async def _send(writer, kind, payload):
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    writer.write(bytes([0x80 | kind, 0x80 | len(payload)]) + mask + masked)
    await writer.drain()
