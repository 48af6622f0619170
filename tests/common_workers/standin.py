# Stands in for ucode and worker.uc: the same protocol, for handlers in Python. It shows what the server relies on: one
# process is forked ahead, and takes the next packet, which has the object of a request and four descriptors. "ready",
# "pid NUMBER" and "end" go out.
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


def serve(taken):
    packet, files, _, _ = socket.recv_fds(control, 131072, 4)
    if not packet:
        os._exit(0)
    os.write(taken, b"t")
    os.close(taken)
    control.close()
    os.write(files[3], b"pid %d\n" % os.getpid())
    for number in range(3):
        os.dup2(files[number], number)
        os.close(files[number])
    try:
        scope["handle_request"](json.loads(packet.decode("latin-1")))
    except Exception:
        traceback.print_exc()
        os._exit(1)
    os.write(files[3], b"end\n")
    os._exit(0)


control.send(b"ready\n")
while True:
    reader, taken = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        serve(taken)
    os.close(taken)
    # Nothing comes if the server has gone, or that process.
    is_taken = os.read(reader, 1)
    os.close(reader)
    if not is_taken:
        break
