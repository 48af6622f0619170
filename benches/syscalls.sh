#!/usr/bin/env bash
# System calls a request, by `strace -c`: a keep-alive GET of a 1 KiB file, and the hello handler.
#
#   benches/syscalls.sh             PEERS=1 adds nginx, lighttpd and h2o; BACKENDS=1 requests that are forwarded
#
# 64 connections; strace is attached after the start, so only the work is counted, epoll_wait included.
# Environment: REQUESTS (default 32000, so that the 64 accepts are lost in them), PEERS, BACKENDS, those of
# lib.sh.
# shellcheck source=lib.sh source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

requests=${REQUESTS:-32000}
peers=()
[ -z "${PEERS:-}" ] || peers=(nginx lighttpd h2o)
need strace strace h2load nghttp2-client taskset util-linux pgrep procps curl curl
[ ${#peers[@]} = 0 ] || need nginx nginx lighttpd lighttpd h2o h2o
[ -z "${BACKENDS:-}" ] || need nginx nginx php-fpm8.2 php8.2-fpm
setup hello
connections=64

# count SERVER WHAT PATH BYTES: a row of the table.
count() {
    local url pids=() tracer p
    serve "$1"
    url=http://127.0.0.1:$port$3
    check "$url" "$4"
    for p in $(family "$pid"); do pids+=(-p "$p"); done
    strace -f -c -U name,calls -o "$dir/strace" "${pids[@]}" 2>"$dir/strace.log" &
    tracer=$!
    started+=("$tracer")
    for p in $(family "$pid"); do
        until grep -q '^TracerPid:[[:space:]]*[1-9]' "/proc/$p/status"; do
            kill -0 "$tracer" 2>/dev/null || { cat "$dir/strace.log" >&2 && exit 1; }
            sleep 0.1
        done
    done
    load "$url" "$requests" "$connections"
    stop "$tracer" # detaches, and writes the counts
    stop "$pid"
    awk -v n="$requests" -v name="$1" -v what="$2" '
        NF == 2 && $2 ~ /^[0-9]+$/ && $1 != "total" {
            sum += $2
            # A hundredth of a call a request is the rounding, and the setup of the connections.
            if ($2 / n >= 0.01) calls = calls sprintf("%s%s %.2f", calls == "" ? "" : ", ", $1, $2 / n)
        }
        END { printf "| %s | %s | %.2f | %s |\n", name, what, sum / n, calls }' "$dir/strace"
}

machine "${peers[@]}"
echo "| server | request | system calls | of which |"
echo "| --- | --- | ---: | --- |"
count_rows "${peers[@]}"
