#!/usr/bin/env bash
# /ubus: calls a second on one core, one by one and in batches; memory after many calls and subscriptions.
#
#   benches/ubus.sh
#
# A stand-in for ubusd answers at once, on the core of the load. So "calls/s" is what both cores come to; "of a core"
# is what the server's own time comes to, system calls included. Every call is a question to `session` and one to its object.
# Environment: CALLS, SUBSCRIPTIONS, UBUSD (the stand-in), those of lib.sh.
# shellcheck source=lib.sh source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

calls=${CALLS:-100000} subscriptions=${SUBSCRIPTIONS:-1000}
need python3 python3 taskset util-linux h2load nghttp2-client
setup
[ -n "${UBUSD:-}" ] || cargo build --quiet --release --locked --example ubusd
UBUSD=${UBUSD:-${CARGO_TARGET_DIR:-target}/release/examples/ubusd}

sid=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
call='{"jsonrpc":"2.0","id":1,"method":"call","params":["'$sid'","tobj","echo",{"name":"value","number":1}]}'
printf %s "$call" >"$dir/call"
printf '[%s]' "$(for ((i = 0; i < 20; i++)); do echo "$call"; done | paste -sd ,)" >"$dir/batch"

taskset -c "$CLIENT_CPU" "$UBUSD" "$dir/ubus.sock" >"$dir/ubusd.log" 2>&1 &
started+=("$!")
free_port
taskset -c "$SERVER_CPU" "$ECOHTTPD" -f -h "$dir/www" -p "127.0.0.1:$port" -k 300 -T 300 -N 200 \
    -u /ubus -U "$dir/ubus.sock" >"$dir/$port.log" 2>&1 &
pid=$!
started+=("$pid")
for ((i = 0; i < 100; i++)); do
    ! curl -sf "http://127.0.0.1:$port/ubus/list" -o /dev/null || break
    sleep 0.1
done

# ticks: sets $ticks, the time that the server has had of a core, in hundredths of a second.
ticks() { ticks=$(awk '{ print $14 + $15 }' "/proc/$pid/stat"); }

# pss: sets $pss and $anon, KiB.
pss() { read -r pss anon < <(awk '$1 == "Pss:" { p = $2 } $1 == "Anonymous:" { a = $2 } END { print p, a }' "/proc/$pid/smaps_rollup"); }

# measure NAME BODY CALLS-A-REQUEST: so many calls over 16 keep-alive connections.
measure() {
    local count=$((calls / $3)) before seconds
    ticks
    before=$ticks
    taskset -c "$CLIENT_CPU" h2load --h1 -H "$accept" -n "$count" -c 16 -d "$2" "http://127.0.0.1:$port/ubus" >"$dir/h2load.log"
    grep -q "^requests: .* $count succeeded" "$dir/h2load.log" || { grep ^requests: "$dir/h2load.log" >&2 && exit 1; }
    ticks
    seconds=$(sed -n 's/^finished in \([^,]*\),.*/\1/p' "$dir/h2load.log")
    case $seconds in
    *ms) seconds=$(awk "BEGIN { print ${seconds%ms} / 1000 }") ;;
    *) seconds=${seconds%s} ;;
    esac
    awk -v name="$1" -v calls=$((count * $3)) -v seconds="$seconds" -v ticks=$((ticks - before)) \
        'BEGIN { printf "| %s | %.0f | %.0f |\n", name, calls / seconds, calls * 100 / ticks }'
}

machine
echo "| on 16 connections | calls/s | calls/s of a core |"
echo "| --- | ---: | ---: |"
calls=2000 measure warm "$dir/batch" 20 >/dev/null
pss
before="$pss, $anon"
measure "one by one" "$dir/call" 1
measure "batches of 20" "$dir/batch" 20
python3 - "$port" "$subscriptions" "$sid" <<'END'
import socket, sys
port, count, sid = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
request = f"GET /ubus/subscribe/tobj HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {sid}\r\n\r\n".encode()
for left in range(count, 0, -50):
    streams = []
    for _ in range(min(50, left)):
        stream = socket.create_connection(("127.0.0.1", port))
        stream.sendall(request)
        streams.append(stream)
    for stream in streams:
        data = b""
        while b"event-stream" not in data:
            more = stream.recv(4096)
            if not more:
                sys.exit("a subscription was refused")
            data += more
        stream.close()
END
sleep 1 # until the last has been noticed
pss
echo
echo "PSS and anonymous memory in KiB: $before; after $((2 * calls)) calls and $subscriptions subscriptions $pss, $anon"
