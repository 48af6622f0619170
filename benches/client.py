#!/usr/bin/env python3
"""Connections that no load generator makes, for memory.sh and versus.sh.

    client.py [--tls] hold  PORT PATH N    N connections: one request each, the reply read; then they stay
    client.py [--tls] stall PORT PATH N    N connections: one request each, nothing read; then they stay
    client.py [--tls] drain PORT PATH N    one connection: N requests, one after the other; prints seconds and body bytes
    client.py       echo    PORT PATH N    one WebSocket: N texts of 125 bytes, one after the other, each sent back
    client.py       echo32  PORT PATH N    the same, 32 at a time
    client.py --tls full    PORT PATH N    N connections, one after the other, a full handshake and a request each
    client.py --tls resumed PORT PATH N    the same after one that is not counted, each resuming the one before it

`full` and `resumed` print microseconds, and end with an error if a handshake was not what it was to be.
`hold` and `stall` print "started", wait for a line, connect, print "ready", and stay until they are ended.
"""

import signal
import socket
import ssl
import sys
import time

# What every browser sends.
ACCEPT = "Accept-Encoding: gzip, deflate, br, zstd"


def tls_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(port, receive_buffer=None, context=None, session=None):
    sock = socket.socket()
    if receive_buffer is not None:
        # Before connecting: it bounds the window that is offered.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.connect(("127.0.0.1", port))
    # As wrk does: else a request waits for the acknowledgement of the end of the handshake, 40 ms.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is None:
        return sock
    # What is not given a session does not resume one: unlike wrk, which always does.
    return context.wrap_socket(sock, server_hostname="localhost", session=session)


def request(sock, path):
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{ACCEPT}\r\n\r\n".encode())


def read_head(sock):
    """Returns the content-length, and how much of the body came with the head."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(4096)
        if not more:
            sys.exit("closed before the end of the head")
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    status, *lines = head.decode("latin-1").split("\r\n")
    if status.split()[1] != "200":
        sys.exit(status)
    fields = dict(line.lower().split(":", 1) for line in lines)
    return int(fields["content-length"]), len(body)


def skip(sock, left):
    """Takes `left` bytes off the socket, those of plain ones without copying: the client is not what is measured."""
    flags = 0 if isinstance(sock, ssl.SSLSocket) else socket.MSG_TRUNC
    buffer = bytearray(1 << 20 if left > 4096 else 4096)
    while left:
        got = sock.recv_into(buffer, min(left, len(buffer)), flags)
        if not got:
            sys.exit("closed before the end of the body")
        left -= got


def get(sock, path):
    request(sock, path)
    length, got = read_head(sock)
    skip(sock, length - got)
    return length


def handshakes(port, path, count, context, resume):
    def one(session):
        sock = connect(port, context=context, session=session)
        if sock.session_reused != (session is not None):
            sys.exit("a handshake that should have been resumed was full, or the reverse")
        get(sock, path)
        session = sock.session  # now, as TLS 1.3 sends tickets after the handshake
        sock.close()
        return session if resume else None

    session = one(None) if resume else None
    start = time.monotonic()
    for _ in range(count):
        session = one(session)
    return round((time.monotonic() - start) * 1e6)


def echo(port, path, count, window):
    """Texts that end with a line feed: a program that reads lines can send them back, without it."""
    sock = connect(port)
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(4096)
    # Masked by zeros.
    frames = (b"\x81\xfd\0\0\0\0" + b"x" * 124 + b"\n") * window
    sock.sendall(frames)
    first = sock.recv(2, socket.MSG_WAITALL)
    length = 2 + first[1]
    skip(sock, length * window - 2)
    for _ in range(count // window - 1):
        sock.sendall(frames)
        skip(sock, length * window)


def main():
    arguments = sys.argv[1:]
    context = None
    if arguments[0] == "--tls":
        context = tls_context()
        del arguments[0]
    mode, port, path, count = arguments[0], int(arguments[1]), arguments[2], int(arguments[3])
    if mode in ("full", "resumed"):
        print(handshakes(port, path, count, context, mode == "resumed"))
        return
    if mode == "drain":
        sock = connect(port, context=context)
        start = time.monotonic()
        total = sum(get(sock, path) for _ in range(count))
        print(time.monotonic() - start, total)
        return
    if mode.startswith("echo"):
        echo(port, path, count, int(mode[4:] or 1))
        return
    if context is not None:
        connect(port, context=context).close()  # loads the code of it, which may be shared with the server
    print("started", flush=True)
    sys.stdin.readline()
    socks = []
    for _ in range(count):
        sock = connect(port, receive_buffer=4096 if mode == "stall" else None, context=context)
        socks.append(sock)
        if mode == "hold":
            get(sock, path)
        else:
            request(sock, path)
    time.sleep(1)  # until the server has filled the buffers of the last, or given up its own
    print("ready", flush=True)
    signal.pause()


main()
