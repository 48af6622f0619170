#!/usr/bin/env python3
"""What is asked of the server on the router in a box, from outside; see vm.sh.

    checks.py MONITOR SHELL FILES RESULT [CHECK...]

MONITOR and SHELL are Unix sockets: qemu's monitor, and the shell that init.sh runs. FILES has what is on the disks and in
the docroot. CHECKS has the checks in their order: each has a name and says what it checks; RESULT gets a line for each,
and the table of memory.
"""

import base64
import contextlib
import hashlib
import os
import re
import select
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

# A whole machine is emulated, beside whatever else runs here.
TIMEOUT = 60
CONNECTIONS = 100
UPLOAD = 20 << 20
# Bytes of a download that must come after it was stalled: more than the buffers of both machines and of qemu hold.
MORE = 256 << 10


class Wrong(Exception):
    """A check's verdict."""


def equal(what, got, wanted):
    if got != wanted:
        raise Wrong(f"{what}: {got!r} instead of {wanted!r}")


class Shell:
    """The guest's shell: a line goes in, what it printed comes out."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(path)
        self.data = b""
        # HELLO may be over. A line that is empty ends what may be there.
        self.sock.sendall(b"\n")
        self.read()

    def read(self):
        while not (end := re.search(rb"(?:^|\n)END (\d+)\n", self.data)):
            more = self.sock.recv(65536)
            if not more:
                sys.exit("the virtual machine ended")
            self.data += more.replace(b"\r", b"")
        text = self.data[: end.start()].decode("utf-8", "replace")
        self.data = self.data[end.end() :]
        return text, int(end[1])

    def __call__(self, line, may_fail=False):
        try:
            self.sock.sendall(line.encode() + b"\n")
        except ConnectionError:
            sys.exit("the virtual machine ended")
        text, status = self.read()
        if status and not may_fail:
            raise Wrong(f"{line}: status {status}: {text}")
        return text


class Reply:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body


class Connection:
    """One connection, by raw bytes."""

    def __init__(self, tls=None, session=None, receive_buffer=None, timeout=TIMEOUT):
        self.sock = socket.socket()
        self.sock.settimeout(timeout)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.connect(("127.0.0.1", PORTS[443 if tls else 80]))
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="router", session=session)
        self.data = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def more(self):
        more = self.sock.recv(65536)
        if not more:
            raise Wrong(f"closed after {self.data[:200]!r}")
        self.data += more

    def until(self, mark):
        while mark not in self.data:
            self.more()
        before, self.data = self.data.split(mark, 1)
        return before

    def exactly(self, count):
        while len(self.data) < count:
            self.more()
        body, self.data = self.data[:count], self.data[count:]
        return body

    def reply(self, head_only=False):
        status, *lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        status = int(status.split()[1])
        body = b""
        if head_only or status in (204, 304):
            pass
        elif fields.get("transfer-encoding") == "chunked":
            while size := int(self.until(b"\r\n"), 16):
                body += self.exactly(size + 2)[:-2]
            self.until(b"\r\n")
        elif "content-length" in fields:
            body = self.exactly(int(fields["content-length"]))
        else:
            with contextlib.suppress(Wrong):
                while True:
                    self.more()
            body = self.data
        return Reply(status, fields, body)

    def ask(self, target, method="GET", **fields):
        lines = [f"{method} {target} HTTP/1.1", "Host: router"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        self.send("\r\n".join(lines + ["", ""]).encode())
        return self.reply(method == "HEAD")


def ask(target, method="GET", tls=None, **fields):
    with Connection(tls) as connection:
        return connection.ask(target, method, **fields)


def context(version=None, alpn=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if version:
        made.minimum_version = made.maximum_version = version
    if alpn:
        made.set_alpn_protocols(alpn)
    return made


def gets(target, body, what=None):
    reply = ask(target)
    equal(what or target, (reply.status, reply.body), (200, body))
    return reply


# --- the server's process


def pid():
    return int(shell("pidof ecohttpd").split()[-1])


def starts():
    return int(shell("wc -l </tmp/starts"))


def await_server(known_starts):
    """Until the server has been started again, and answers."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        with contextlib.suppress(OSError, Wrong):
            if starts() > known_starts and ask("/index.html").status == 200:
                return
        time.sleep(0.2)
    raise Wrong("it does not come back: " + shell("tail -5 /tmp/log"))


def restart(how=""):
    known = starts()
    shell(f"echo '{how}' >/tmp/how; kill {pid()}")
    await_server(known)


# --- checks


def clock_1970():
    equal("year", shell("date +%Y").strip(), "1970")
    date = gets("/index.html", FILE("index.html")).fields["date"]
    if " 1970 " not in date:
        raise Wrong(f"Date: {date}")
    # Its own certificate is not one of 1970, which clients would refuse.
    first = ssl.get_server_certificate(("127.0.0.1", PORTS[443]))
    trusting = ssl.create_default_context(cadata=first)
    trusting.check_hostname = False
    equal("HTTPS", ask("/index.html", tls=trusting).status, 200)
    resuming = context(ssl.TLSVersion.TLSv1_3)
    with Connection() as kept, Connection(resuming) as old:
        equal("before", kept.ask("/index.html").status, 200)
        equal("before", old.ask("/index.html").status, 200)
        session = old.sock.session
        shell(f"date -s @{int(time.time())}")
        # Half a century has passed for them, and for no timeout.
        equal("a connection of 1970", kept.ask("/index.html").status, 200)
        equal("a TLS connection of 1970", old.ask("/index.html").status, 200)
    with Connection(resuming, session) as new:
        equal("a ticket of 1970", new.ask("/index.html").status, 200)
    date = ask("/index.html").fields["date"]
    if f" {time.gmtime().tm_year} " not in date:
        raise Wrong(f"Date: {date}")


def files():
    reply = gets("/", FILE("index.html"))
    equal("type", reply.fields["content-type"].split(";")[0], "text/html")
    etag = reply.fields["etag"]
    equal("If-None-Match", ask("/", If_None_Match=etag).status, 304)
    equal("If-Modified-Since", ask("/", If_Modified_Since=reply.fields["last-modified"]).status, 304)
    head = ask("/random", "HEAD")
    equal("HEAD", (head.status, head.fields["content-length"]), (200, str(len(FILE("random")))))
    gets("/random", FILE("random"))
    equal("absent", ask("/absent").status, 404)
    equal("folder without /", ask("/folder").status, 301)
    listing = ask("/folder/")
    equal("listing", (listing.status, b"inside.txt" in listing.body), (200, True))
    equal("above", b"root" in ask("/folder/../../etc/passwd").body, False)
    # More than fits into 32 bits.
    shell("truncate -s 5G /www/ram/huge")
    huge = ask("/ram/huge", "HEAD")
    equal("5 GiB", (huge.status, huge.fields.get("content-length")), (200, str(5 << 30)))
    tail = ask("/ram/huge", Range=f"bytes={(5 << 30) - 3}-")
    equal("its end", (tail.status, tail.body), (206, b"\0\0\0"))
    shell("rm /www/ram/huge")


def ranges():
    data = FILE("random")
    size = len(data)
    for value, status, body in (
        ("bytes=0-9", 206, data[:10]),
        ("bytes=-5", 206, data[-5:]),
        (f"bytes={size - 1}-", 206, data[-1:]),
        (f"bytes={size}-", 416, None),
        ("bytes=9-0", 200, data),
        ("lines=0-9", 200, data),
    ):
        reply = ask("/random", Range=value)
        equal(value, reply.status, status)
        if body is not None:
            equal(value, reply.body, body)
    several = ask("/random", Range="bytes=0-1,4-5")
    equal("several", (several.status, several.fields["content-type"].split(";")[0]), (206, "multipart/byteranges"))
    etag = ask("/random", "HEAD").fields["etag"]
    equal("If-Range", ask("/random", Range="bytes=0-1", If_Range=etag).status, 206)
    equal("another If-Range", ask("/random", Range="bytes=0-1", If_Range='"other"').status, 200)


def logins():
    def login(text):
        return "Basic " + base64.b64encode(text.encode()).decode()

    equal("none", ask("/secret/x").status, 401)
    equal("wrong", ask("/secret/x", Authorization=login("user:wrong")).status, 401)
    equal("plain", ask("/secret/x", Authorization=login("user:pass")).status, 200)
    # Of /etc/shadow, by SHA-512: thousands of rounds.
    equal("root", ask("/root/x", Authorization=login("root:password")).status, 200)
    equal("not root", ask("/root/x", Authorization=login("root:passwort")).status, 401)


def framing():
    for what, text in (
        ("two Host", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        ("no Host", "GET / HTTP/1.1\r\n\r\n"),
        ("bare LF", "GET / HTTP/1.1\nHost: a\n\n"),
        ("both lengths", "POST /cgi-bin/sum HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("sign", "POST /cgi-bin/sum HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n"),
        ("NUL", "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ):
        with Connection() as connection:
            connection.send(text.encode())
            equal(what, connection.reply().status, 400)
    with Connection() as connection:
        connection.send(b"GET /index.html HTTP/1.1\r\nHost: a\r\n\r\n" * 20)
        for _ in range(20):
            equal("pipelined", connection.reply().body, FILE("index.html"))


def cgi(tls=None):
    reply = ask("/cgi-bin/env/more?a=b", tls=tls)
    equal("status", reply.status, 200)
    wanted = ["REQUEST_METHOD=GET", "PATH_INFO=/more", "QUERY_STRING=a=b", "REMOTE_ADDR=10.0.2.2"]
    equal("environment", [line for line in wanted if line.encode() not in reply.body], [])
    equal("broken", ask("/cgi-bin/broken").status, 502)
    with Connection(tls) as connection:
        connection.send(b"POST /cgi-bin/sum HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        equal("chunked", connection.reply().body.split()[0].decode(), hashlib.sha256(b"abc").hexdigest())
        equal("the same connection", connection.ask("/index.html").status, 200)
    # More than may run at once: they wait.
    waiting = [Connection() for _ in range(8)]
    for one in waiting:
        one.send(b"GET /cgi-bin/env HTTP/1.1\r\nHost: a\r\n\r\n")
    equal("eight at once", [one.reply().status for one in waiting], [200] * 8)
    for one in waiting:
        one.sock.close()


def https(version):
    tls = context(version)
    with Connection(tls) as connection:
        equal("page", connection.ask("/index.html").body, FILE("index.html"))
        equal("bytes", connection.ask("/random").body == FILE("random"), True)
        session = connection.sock.session
    with Connection(tls, session) as connection:
        equal("resumed", connection.sock.session_reused, True)
        equal("page", connection.ask("/index.html").status, 200)


def h2():
    with Connection(context(alpn=["h2", "http/1.1"])) as connection:
        if connection.sock.selected_alpn_protocol() != "h2":
            return "not in this program"
    url = f"https://127.0.0.1:{PORTS[443]}/index.html"
    done = subprocess.run(["curl", "-qsSk", "--http2", "--noproxy", "*", "-w", "%{http_version}", url], capture_output=True)
    equal("curl", (done.stderr, done.stdout), (b"", FILE("index.html") + b"2"))
    return None


def upload(tls=None, size=UPLOAD):
    """To a script that writes what it gets into a tmpfs."""
    block = FILE("random")[: 64 << 10]
    with Connection(tls) as connection:
        connection.send(f"POST /cgi-bin/sum HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size // len(block)):
            connection.send(block)
        reply = connection.reply()
    equal("digest", reply.body.split()[0].decode(), hashlib.sha256(block * (size // len(block))).hexdigest())
    shell("rm -f /tmp/upload.*")


def measure(what):
    """A row of the table of memory, in KiB."""
    status = shell(f"cat /proc/{pid()}/status")
    info = shell("cat /proc/meminfo")

    def field(text, name):
        return int(re.search(rf"^{name}:\s*(\d+)", text, re.M)[1])

    slab = sum(
        int(row[-2]) * int(row[5]) * 4
        for row in (line.split() for line in shell("cat /proc/slabinfo").splitlines()[2:])
        if len(row) > 10
    )
    buffers = int(re.search(r"^TCP:.* mem (\d+)", shell("cat /proc/net/sockstat"), re.M)[1]) * 4
    row = [what, field(status, "VmRSS"), field(status, "RssAnon"), slab, buffers, field(info, "MemAvailable")]
    TABLE.append(row)
    return row


def crowd(kind):
    """CONNECTIONS of this kind, as they are when the server has done what it can."""
    made = []
    tls = context() if "TLS" in kind else None
    for _ in range(CONNECTIONS):
        one = Connection(tls, receive_buffer=4096 if "stalled" in kind else None)
        # A reply each: qemu's queue has room for one connection, and the next would have to try again after a second.
        if "stalled" in kind:
            one.send(b"GET /ram/large HTTP/1.1\r\nHost: a\r\n\r\n")
            one.more()
        else:
            equal(kind, one.ask("/index.html").status, 200)
        if "half" in kind:
            one.send(b"GET /index.html HTTP/1.1\r\nHost: router\r\nX-Half: ")
        made.append(one)
    # The last buffers fill.
    time.sleep(1)
    return made


CROWDS = ["idle", "idle, TLS", "stalled downloads", "stalled downloads, TLS", "half heads"]


def answers_still():
    """Whoever is there, the next client is served, and nobody was ended for it."""
    equal("a page beside them", ask("/index.html").status, 200)
    equal("a script beside them", ask("/cgi-bin/env").status, 200)


def upload_beside(size):
    """Beside stalled downloads, which fill what the kernel allows all TCP buffers together: 4 MiB on this machine. Beyond
    that it drops what arrives, and an upload crawls. As docs/performance.md says, it is for an operator to allow more."""
    limits = shell("cat /proc/sys/net/ipv4/tcp_mem").strip()
    shell("echo '2048 4096 8192' >/proc/sys/net/ipv4/tcp_mem")
    try:
        upload(size=size)
    finally:
        shell(f"echo '{limits}' >/proc/sys/net/ipv4/tcp_mem")


def still_there(kind, made):
    for one in made:
        if "idle" in kind:
            equal(f"{kind}: again", one.ask("/index.html").status, 200)
        elif "half" in kind:
            one.send(b"x\r\n\r\n")
            equal(f"{kind}: the rest", one.reply().status, 200)
    if "stalled" in kind:
        go_on(kind, made)


def go_on(kind, made):
    """What was begun goes on: of some, more arrives than all buffers hold. They are read at once, as each may have to wait
    until the guest asks again whether there is room: qemu's network does not tell it."""
    wanted = {one.sock: MORE if at % 10 == 0 else 1 for at, one in enumerate(made)}
    for sock in wanted:
        # A record of TLS may have come in part.
        sock.setblocking(False)
    end = time.monotonic() + 2 * TIMEOUT
    while wanted and time.monotonic() < end:
        for sock in select.select(list(wanted), [], [], 1)[0]:
            with contextlib.suppress(ssl.SSLWantReadError, BlockingIOError):
                while wanted[sock] > 0:
                    got = sock.recv(65536)
                    if not got:
                        raise Wrong(f"{kind}: closed")
                    wanted[sock] -= len(got)
                del wanted[sock]
    equal(f"{kind}: of {len(made)} do not go on", len(wanted), 0)


def leave(made):
    for one in made:
        one.sock.close()
    # Those of a sparse file that were stalled have to be noticed.
    end = time.monotonic() + TIMEOUT
    while int(shell("netstat -tn | grep -c ESTABLISHED", may_fail=True)) > 0 and time.monotonic() < end:
        time.sleep(0.2)


def memory():
    equal("swap", shell("wc -l </proc/swaps").strip(), "1")
    restart()
    ask("/index.html", tls=context())
    known = pid()
    measure("alone")
    for kind in CROWDS:
        made = crowd(kind)
        answers_still()
        measure(f"{CONNECTIONS} {kind}")
        upload_beside(1 << 20)
        still_there(kind, made)
        leave(made)
    measure("when they are gone")
    equal("process", pid(), known)
    survived()


def strict_memory():
    """Nothing may be promised that is not there."""
    shell("echo 2 >/proc/sys/vm/overcommit_memory")
    try:
        restart()
        known = pid()
        every = [(kind, crowd(kind)) for kind in CROWDS]
        answers_still()
        measure(f"all {len(every) * CONNECTIONS} at once, overcommit_memory=2")
        logins()
        upload_beside(4 << 20)
        for kind, made in every:
            still_there(kind, made)
        leave([one for _, made in every for one in made])
        cgi()
        upload(size=8 << 20)
        equal("process", pid(), known)
    finally:
        shell("echo 0 >/proc/sys/vm/overcommit_memory")
    survived()


def survived():
    """The kernel has killed nothing for want of memory."""
    equal("kernel", shell("dmesg | grep -iE 'out of memory|oom|killed process|segfault|Oops'", may_fail=True), "")


def killed():
    known = starts()
    cert = ssl.get_server_certificate(("127.0.0.1", PORTS[443]))
    with Connection() as open_one:
        open_one.ask("/index.html")
        shell(f"kill -9 {pid()}")
        await_server(known)
    equal("certificate", ssl.get_server_certificate(("127.0.0.1", PORTS[443])), cert)
    equal("left behind", shell("ls -A /tmp | grep -i ecohttpd", may_fail=True), "")
    cgi()


def squashfs():
    mounted("squashfs")
    gets("/squashfs/index.html", FILE("index.html"))
    gets("/squashfs/random", FILE("random"))
    equal("range", ask("/squashfs/random", Range="bytes=1-2").body, FILE("random")[1:3])
    equal("link", ask("/squashfs/link.html").body, FILE("index.html"))
    equal("script", ask("/squashfs/folder/").status, 200)
    # The other case: this file system is exact.
    equal("name", ask("/squashfs/INDEX.html").status, 404)


def overlay():
    mounted("overlay")
    old = gets("/overlay/index.html", FILE("index.html"))
    shell("echo changed >/www/overlay/index.html; echo new >/www/overlay/new.txt; rm /www/overlay/random")
    time.sleep(1.1)  # a file that was just sent may be taken for the same for a second
    new = gets("/overlay/index.html", b"changed\n", "changed")
    equal("the same ETag", new.fields["etag"] == old.fields["etag"], False)
    gets("/overlay/new.txt", b"new\n", "new")
    equal("removed", ask("/overlay/random").status, 404)
    equal("listed", b"new.txt" in ask("/overlay/folder/").body or b"inside.txt" in ask("/overlay/folder/").body, True)
    equal("the lower", ask("/squashfs/index.html").body, FILE("index.html"))


def vfat():
    mounted("vfat")
    gets("/vfat/long-name.html", FILE("long-name.html"))
    for target, status in (
        ("/vfat/private-things/x", 401),
        ("/vfat/PRIVATE-things/x", 401),
        ("/vfat/PRIVAT~1/x", 404),
        ("/vfat/private-things./x", 404),
        ("/vfat/LONG-N~1.HTM", 404),
        ("/vfat/LONG-NAME.HTML", 200),
    ):
        equal(target, ask(target).status, status)


def flash(name):
    mounted(name)
    gets(f"/{name}/index.html", FILE("index.html"))
    gets(f"/{name}/random", FILE("random"))
    shell(f"echo written >/www/{name}/new.txt && sync")
    gets(f"/{name}/new.txt", b"written\n")
    equal("name", ask(f"/{name}/INDEX.html").status, 404)


def mounted(name):
    if f" /www/{name} " not in shell("cat /proc/mounts"):
        raise Wrong("it can't be mounted: " + shell("dmesg | tail -5"))


def jail():
    """The launcher jail.c has the filter and the capabilities, not the mounts."""
    restart("/bin/jail")
    try:
        status = shell(f"cat /proc/{pid()}/status")
        for name, value in (("CapEff", "0000000000000400"), ("CapBnd", "0000000000000400"), ("NoNewPrivs", "1"), ("Seccomp", "2")):
            equal(name, re.search(rf"^{name}:\s*(\w+)", status, re.M)[1], value)
        for check in (files, ranges, logins, lambda: https(ssl.TLSVersion.TLSv1_2), lambda: https(ssl.TLSVersion.TLSv1_3)):
            check()
        known = pid()
        shell(f"kill -HUP {known}")
        for _ in range(3):
            equal("after a reload", ask("/index.html", tls=context()).status, 200)
        equal("process", pid(), known)
        crowd_of_it = crowd("idle")
        leave(crowd_of_it)
    finally:
        restart()


# Each suite of both versions, by the options of curl.
SUITES = [
    *(["--tlsv1.3", "--tls13-ciphers", name] for name in
      ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")),
    *(["--tls-max", "1.2", "--ciphers", f"ECDHE-ECDSA-{name}"] for name in
      ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")),
]


def by_kernel():
    """Connections for which the kernel encrypts, since it can."""
    return int(shell("grep -w TlsTxSw /proc/net/tls_stat").split()[1])


def kernel_tls():
    """Without it before, as in all other checks; then with it."""
    # A line of its log, which only this feature has.
    if "the kernel does not encrypt" not in shell("grep -o 'the kernel does not encrypt' /bin/ecohttpd || true"):
        return "not in this program"
    equal("TLS in the kernel", "tls" in shell("cat /proc/sys/net/ipv4/tcp_available_ulp"), False)
    shell("insmod /tls.ko && head -c 4m /dev/urandom >/www/ram/middle")
    restart()
    url = f"https://127.0.0.1:{PORTS[443]}"
    for suite in SUITES:
        before = by_kernel()
        # The second file and the page come by the kernel as a whole.
        done = subprocess.run(["curl", "-qsSk", "--http1.1", "--noproxy", "*", *suite, f"{url}/random", f"{url}/random",
                               f"{url}/index.html"], capture_output=True)
        equal(f"{suite}: error", done.stderr, b"")
        equal(f"{suite}: bytes", done.stdout == FILE("random") * 2 + FILE("index.html"), True)
        equal(f"{suite}: by the kernel", by_kernel() - before, 1)
    before = by_kernel()
    h2()
    https(ssl.TLSVersion.TLSv1_2)
    https(ssl.TLSVersion.TLSv1_3)
    equal("connections, and those resumed have no file", by_kernel() - before, 2)
    for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
        ends(version)
        goes_on(version)
    asks_for_keys()
    restart("/bin/jail")
    try:
        before = by_kernel()
        equal("in the jail", ask("/random", tls=context()).body == FILE("random"), True)
        equal("in the jail, by the kernel", by_kernel() - before, 1)
    finally:
        restart()


def ends(version):
    """The end comes as close_notify, behind all bytes, though buffers were full."""
    digest = shell("sha256sum </www/ram/middle").split()[0]
    with Connection(context(version), receive_buffer=4096) as connection:
        connection.sock.suppress_ragged_eofs = False
        connection.send(b"GET /ram/middle HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        connection.until(b"\r\n\r\n")
        time.sleep(1)
        with contextlib.suppress(Wrong):
            while True:
                connection.more()
        equal("a slow reader's bytes", hashlib.sha256(connection.data).hexdigest(), digest)


def goes_on(version):
    """After a file: an upload, a script, a fault; the end that the client begins."""
    with Connection(context(version)) as connection:
        equal("file", connection.ask("/random").body == FILE("random"), True)
        connection.send(b"POST /cgi-bin/sum HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + FILE("random"))
        equal("upload", connection.reply().body.split()[0].decode(), hashlib.sha256(FILE("random")).hexdigest())
        equal("absent", connection.ask("/absent").status, 404)
        equal("range", connection.ask("/random", Range="bytes=1000-250000").body == FILE("random")[1000:250001], True)
        # Waits for the other's close_notify.
        connection.sock.unwrap()
    shell("rm -f /tmp/upload.*")


def asks_for_keys():
    """Key updates of TLS 1.3, which this kernel does not know: of the client's key alone they are fine, and one that asks
    for ours ends the connection, with an alert."""
    client = subprocess.Popen(["openssl", "s_client", "-tls1_3", "-connect", f"127.0.0.1:{PORTS[443]}"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = b""

    def until(mark):
        nonlocal said
        while mark not in said:
            more = client.stdout.read1(65536)
            if not more:
                raise Wrong(f"s_client ended without {mark}: {said[-300:]}")
            said += more
        said = said.split(mark, 1)[1]

    def say(text):
        client.stdin.write(text)
        client.stdin.flush()

    try:
        until(b"Verify return code")
        for before in b"", b"k\n":
            say(before)
            until(b"KEYUPDATE") if before else None
            # Its last bytes, as the body is one that s_client does not take for a command's.
            say(b"GET /random HTTP/1.1\r\nHost: a\r\n\r\n")
            until(FILE("random")[-32:])
        say(b"K\n")
        until(b"alert internal error")
    finally:
        client.kill()
        client.wait()


def log():
    text = shell("cat /tmp/log")
    equal("panics", [line for line in text.splitlines() if "panic" in line], [])
    survived()


CHECKS = [
    ("clock", "a start in 1970, and the clock set while it runs", clock_1970),
    ("files", "files, conditions, listings, more than 4 GiB", files),
    ("ranges", "byte ranges", ranges),
    ("logins", "plain passwords, and SHA-512 of /etc/shadow", logins),
    ("framing", "what is refused, and what is pipelined", framing),
    ("cgi", "scripts", cgi),
    ("tls 1.2", "HTTPS with TLS 1.2, and resumption", lambda: https(ssl.TLSVersion.TLSv1_2)),
    ("tls 1.3", "HTTPS with TLS 1.3, and resumption", lambda: https(ssl.TLSVersion.TLSv1_3)),
    ("h2", "HTTP/2 by curl, if it is there", h2),
    ("upload", "20 MiB into a tmpfs", upload),
    ("upload, TLS", "4 MiB into a tmpfs over HTTPS", lambda: upload(context(), 4 << 20)),
    ("squashfs", "a docroot that is read-only", squashfs),
    ("overlay", "what changes above it", overlay),
    ("vfat", "names on a stick", vfat),
    ("jffs2", "flash", lambda: flash("jffs2")),
    ("ubifs", "flash", lambda: flash("ubifs")),
    ("jail", "the filter of system calls, and one capability", jail),
    ("kernel TLS", "files and all else over TLS that the kernel encrypts", kernel_tls),
    ("memory", f"{CONNECTIONS} connections of each kind, without swap", memory),
    ("strict memory", "all at once with vm.overcommit_memory=2", strict_memory),
    ("killed", "kill -9, and the start after it", killed),
    ("log", "no panic, nothing killed by the kernel", log),
]
# What takes minutes: not with QUICK=yes.
LONG = {"strict memory"}


def main():
    unknown = set(ONLY) - {name for name, _, _ in CHECKS}
    if unknown:
        sys.exit(f"no such check: {unknown}; one of: {[name for name, _, _ in CHECKS]}")
    left_out = LONG if os.environ.get("QUICK") == "yes" else set()
    lines = []
    try:
        failed = sum([not run(lines, *row) for row in CHECKS if (row[0] in ONLY if ONLY else row[0] not in left_out)])
    finally:
        # Even if the machine ended: what is known then tells most.
        table = ["| KiB | RSS | anonymous | slab | socket buffers | available |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
        table += ["| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else cell for cell in row) + " |" for row in TABLE]
        print("\n".join(table))
        RESULT.write_text("\n".join(lines + ["", *table]) + "\n")
    if failed:
        print(shell("tail -20 /tmp/log"))
        sys.exit(1)


def run(lines, name, what, check):
    """Runs a check; whether it holds."""
    start = time.monotonic()
    fault = None
    try:
        remark = check()
    except (Wrong, OSError, ValueError, KeyError, TypeError) as error:
        remark = fault = f"{type(error).__name__}: {error}"
    line = f"{'FAILED' if fault else 'ok':8}{name}: {what}" + (f": {remark}" if remark else "")
    line += f" ({time.monotonic() - start:.0f} s)"
    print(line, flush=True)
    lines.append(line)
    return not fault


def forwarded(path):
    """The ports that qemu found free, by the port of the guest: from its monitor."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(TIMEOUT)
        sock.connect(path)
        data = b""
        sock.sendall(b"info usernet\n")
        while not re.search(rb"info usernet.*\(qemu\) ", data, re.S):
            data += sock.recv(4096)
    found = re.findall(r"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+(\d+)", data.decode("latin-1"))
    return {int(guest): int(host) for host, guest in found}


TABLE = []
MONITOR, SHELL, FILES, RESULT, ONLY = sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), sys.argv[5:]


def FILE(name):
    return (FILES / name).read_bytes()


PORTS = forwarded(MONITOR)
shell = Shell(SHELL)
main()
