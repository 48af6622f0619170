#!/usr/bin/env python3
"""Connections that no load generator makes, for memory.sh and versus.sh.

    client.py hold  PORT PATH N    N connections: one request each, the reply read; then they stay
    client.py stall PORT PATH N    N connections: one request each, nothing read; then they stay
    client.py drain PORT PATH N    one connection: N requests, one after the other; prints seconds and body bytes

`hold` and `stall` print "started", wait for a line, connect, print "ready", and stay until they are ended.
"""

import signal
import socket
import sys
import time


def connect(port, receive_buffer=None):
    sock = socket.socket()
    if receive_buffer is not None:
        # Before connecting: it bounds the window that is offered.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.connect(("127.0.0.1", port))
    return sock


def request(sock, path):
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())


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
    """Takes `left` bytes off the socket without copying them: the client is not what is measured."""
    buffer = bytearray(1 << 20)
    while left:
        got = sock.recv_into(buffer, min(left, len(buffer)), socket.MSG_TRUNC)
        if not got:
            sys.exit("closed before the end of the body")
        left -= got


def get(sock, path):
    request(sock, path)
    length, got = read_head(sock)
    skip(sock, length - got)
    return length


def main():
    mode, port, path, count = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    if mode == "drain":
        sock = connect(port)
        start = time.monotonic()
        total = sum(get(sock, path) for _ in range(count))
        print(time.monotonic() - start, total)
        return
    print("started", flush=True)
    sys.stdin.readline()
    socks = []
    for _ in range(count):
        sock = connect(port, receive_buffer=4096 if mode == "stall" else None)
        socks.append(sock)
        if mode == "hold":
            get(sock, path)
        else:
            request(sock, path)
    time.sleep(1)  # until the server has filled the buffers of the last, or given up its own
    print("ready", flush=True)
    signal.pause()


main()
