#!/usr/bin/env bash
# WebSocket: a text of 125 bytes that is sent back. Messages a CPU second of the server, its instructions and allocations.
#
#   benches/websocket.sh            PEERS=1 adds python3-websockets, python3-aiohttp and websocketd (with cat)
#
# One connection, one message after the other or 32 at a time. Instructions and allocations are the slope between two runs
# under valgrind. Environment: MESSAGES (default 20000; ten times that for ecohttpd), PEERS, ECHO (the example), those of lib.sh.
# shellcheck source=lib.sh source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

messages=${MESSAGES:-20000}
peers=()
[ -z "${PEERS:-}" ] || peers=(websockets aiohttp websocketd)
need valgrind valgrind python3 python3 taskset util-linux pgrep procps curl curl
[ ${#peers[@]} = 0 ] || need websocketd websocketd
setup
[ -n "${ECHO:-}" ] || cargo build --quiet --release --locked --example echo
ECHO=${ECHO:-${CARGO_TARGET_DIR:-target}/release/examples/echo}

cat >"$dir/websockets.py" <<'END'
import asyncio, sys, websockets
async def echo(socket, path=None):
    async for message in socket:
        await socket.send(message)
async def main():
    async with websockets.serve(echo, "127.0.0.1", int(sys.argv[1]), compression=None):
        await asyncio.Future()
asyncio.run(main())
END
cat >"$dir/aiohttp.py" <<'END'
import sys
from aiohttp import WSMsgType, web
async def echo(request):
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    async for message in socket:
        if message.type == WSMsgType.TEXT:
            await socket.send_str(message.data)
    return socket
app = web.Application()
app.router.add_get("/", echo)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
END

# echo_server NAME: starts it under ${under[@]}, sets $pid and $port.
echo_server() {
    local i cmd
    free_port
    case $1 in
    ecohttpd) cmd=("$ECHO" "127.0.0.1:$port") ;;
    # In a folder where no file has the name of a module.
    websockets | aiohttp) cmd=(/usr/bin/python3 -P "$dir/$1.py" "$port") ;;
    websocketd) cmd=(websocketd --address=127.0.0.1 "--port=$port" --loglevel=fatal cat) ;;
    esac
    taskset -c "$SERVER_CPU" "${under[@]}" "${cmd[@]}" >"$dir/$port.log" 2>&1 &
    pid=$!
    started+=("$pid")
    for ((i = 0; i < 300; i++)); do
        ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || return 0
        sleep 0.1
    done
    echo "$1 does not start:" >&2
    tail -5 "$dir/$port.log" >&2
    exit 1
}

# ask MODE COUNT
ask() { taskset -c "$CLIENT_CPU" python3 benches/client.py "$1" "$port" / "$2"; }

# ticks: sets $ticks, hundredths of a second of a core that the server and its programs have had.
ticks() { ticks=$(for p in $(family "$pid"); do cat "/proc/$p/stat"; done | awk '{ sum += $14 + $15 } END { print sum }'); }

# speed NAME: a row of the table. Counted before the connection ends, with which the program of websocketd does.
speed() {
    local before row="| $1" mode count=$messages
    [ "$1" != ecohttpd ] || count=$((messages * 10))
    for mode in echo echo32; do
        echo_server "$1"
        ticks
        before=$ticks
        ask "$mode" "$count"
        ticks
        row+=$(awk -v n="$count" -v ticks=$((ticks - before)) 'BEGIN { printf " | %.0f", n * 100 / (ticks ? ticks : 1) }')
        stop "$pid"
    done
    echo "$row |"
}

# total TOOL PATTERN MODE COUNT: sets $total, the number that follows the pattern in what valgrind says.
total() {
    under=(valgrind "--tool=$1" --vgdb=no --log-file="$dir/valgrind.log")
    [ "$1" != callgrind ] || under+=(--callgrind-out-file=/dev/null)
    echo_server ecohttpd
    ask "$3" "$4"
    stop "$pid"
    under=()
    total=$(sed -n "s/.*$2 *\\([0-9,]*\\).*/\\1/p" "$dir/valgrind.log" | tail -1 | tr -d ,)
    [ -n "$total" ] || { echo "valgrind counted nothing" >&2 && exit 1; }
}

# slope TOOL PATTERN MODE: sets $slope, what a message adds.
slope() {
    local first
    total "$1" "$2" "$3" 320
    first=$total
    total "$1" "$2" "$3" 3520
    slope=$(awk -v n=$((total - first)) 'BEGIN { printf "%.1f", n / 3200 }')
}

machine
echo "| messages a CPU second | one after the other | 32 at a time |"
echo "| --- | ---: | ---: |"
for server in ecohttpd "${peers[@]}"; do speed "$server"; done
echo
echo "| a message | instructions | allocations |"
echo "| --- | ---: | ---: |"
for mode in echo echo32; do
    slope callgrind "Collected :" "$mode"
    instructions=${slope%.*}
    slope memcheck "total heap usage:" "$mode"
    echo "| $mode | $instructions | $slope |"
done
