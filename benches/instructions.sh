#!/usr/bin/env bash
# User-space instructions a request, by callgrind: a keep-alive GET of a 1 KiB file, and the hello handler.
#
#   benches/instructions.sh         PEERS=1 adds nginx, lighttpd and h2o; BACKENDS=1 requests that are forwarded
#
# Each server runs twice, for N1 and for N2 requests: the slope between the two is the cost of
# a request, without that of starting, of 64 connections and of stopping. Unlike a time, it is
# the same on a busy machine. Environment: N1, N2, PEERS, BACKENDS, those of lib.sh.
# shellcheck source=lib.sh source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

n1=${N1:-2000} n2=${N2:-12000}
peers=()
[ -z "${PEERS:-}" ] || peers=(nginx lighttpd h2o)
need valgrind valgrind h2load nghttp2-client taskset util-linux curl curl
[ ${#peers[@]} = 0 ] || need nginx nginx lighttpd lighttpd h2o h2o
[ -z "${BACKENDS:-}" ] || need nginx nginx php-fpm8.2 php8.2-fpm
setup hello
connections=64

# run SERVER PATH BYTES REQUESTS: sets $total, the instructions of all its processes.
run() {
    rm -f "$dir"/tmp/callgrind.*
    under=(valgrind --tool=callgrind --vgdb=no --callgrind-out-file="$dir/tmp/callgrind.%p")
    serve "$1"
    check "http://127.0.0.1:$port$2" "$3"
    load "http://127.0.0.1:$port$2" "$4" "$connections"
    stop "$pid"
    total=$(awk '$1 == "totals:" { sum += $2 } END { printf "%.0f", sum }' "$dir"/tmp/callgrind.*)
    [ "$total" != 0 ] || { echo "$1: callgrind counted nothing" >&2 && exit 1; }
    if grep -q 'unhandled amd64-linux syscall: 437' "$dir/$port.log"; then
        note="This valgrind does not know openat2(2): what is counted is the way without it."
    fi
}

# count SERVER WHAT PATH BYTES: a row of the table.
count() {
    local first
    run "$1" "$3" "$4" "$n1"
    first=$total
    run "$1" "$3" "$4" "$n2"
    printf '| %s | %s | %d |\n' "$1" "$2" $(((total - first) / (n2 - n1)))
}

note=
machine "${peers[@]}"
echo "| server | request | instructions |"
echo "| --- | --- | ---: |"
count_rows "${peers[@]}"
[ -z "$note" ] || printf '\n%s\n' "$note"
