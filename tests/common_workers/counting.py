import os, sys, time
count = 0
def note(name):
    return docroot + "/../" + name
def handle_request(env):
    global count
    count += 1
    what = env["QUERY_STRING"]
    if what == "wait":
        open(note("ran"), "a").write("handler\n")
        while os.path.isdir(docroot) and not os.path.exists(note("go")):
            time.sleep(0.02)
    if what == "hang":
        open(note("ran"), "a").write("%d\n" % os.getpid())
        time.sleep(100)
    if what == "die":
        os.kill(os.getpid(), 9)
    if what == "bad":
        send("no head\n\n")
        return
    send("Status: 200 OK\r\nContent-Type: text/plain\r\nX-Count: %d\r\n\r\n" % count)
    if what == "env":
        for name in sorted(env):
            send("%s=%s\n" % (name, env[name]))
        for name, value in env["headers"].items():
            send("headers.%s=%s\n" % (name, value))
    if what == "echo":
        while True:
            piece = recv()
            if not piece:
                break
            send(piece)
    if what == "half":
        send("half")
        os.kill(os.getpid(), 9)
    if what == "stderr":
        print("said \x1b this", file=sys.stderr)
    if what == "kill":
        os.kill(os.getppid(), 9)
