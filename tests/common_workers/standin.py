# Stands in for ucode and worker.uc: the same protocol, for handlers in Python. It shows what the server relies on: a packet
# with the object of a request and four descriptors comes in, "ready", "pid NUMBER" and "end" go out.
#
# A handler has the global functions send and recv, and defines handle_request(env).
import json, os, signal, socket, sys, traceback

handler, docroot = sys.argv[1:3]
control = socket.socket(fileno=3)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
scope = {
    "docroot": docroot,
    "send": lambda text: os.write(1, text if isinstance(text, bytes) else text.encode()),
    "recv": lambda size=8192: os.read(0, size),
}
try:
    exec(compile(open(handler).read(), handler, "exec"), scope)
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
if "handle_request" not in scope:
    sys.exit("no function handle_request")
control.send(b"ready\n")
while True:
    packet, files, _, _ = socket.recv_fds(control, 131072, 4)
    if not packet:
        break
    pid = os.fork()
    if pid == 0:
        control.close()
        for number in range(3):
            os.dup2(files[number], number)
        env = json.loads(packet.decode("latin-1"))
        try:
            scope["handle_request"](env)
        except Exception:
            traceback.print_exc()
            os._exit(1)
        os.write(files[3], b"end\n")
        os._exit(0)
    try:
        os.write(files[3], b"pid %d\n" % pid)
    except BrokenPipeError:
        # It has ended, and the server knows.
        pass
    for file in files:
        os.close(file)
