#!/usr/bin/env bash
# User-space instructions on a router's processor: of a request, of handshakes, of starting a script, and the functions that
# take most of them.
#
#   cross/instructions.sh [TARGET]       default: mipsel-unknown-linux-musl
#
# The program of the profile `router`, symbols kept, runs under qemu-user with a plugin that counts (count.c). Each row is
# the slope between two runs, as in benches/instructions.sh: starting and stopping are not in it. What the kernel does is
# not, nor the script itself. Environment: that of lib.sh; N (default: 20), by which all numbers of requests are multiplied;
# ECOHTTPD_BIN, a program of the target that has its symbols (default: it is built).
# shellcheck source=lib.sh source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

main() {
    target "${1:-mipsel-unknown-linux-musl}"
    binary=${ECOHTTPD_BIN:-}
    if [ -z "$binary" ]; then
        CARGO_PROFILE_ROUTER_STRIP=none daemon
        # Beside the one that was stripped.
        binary=$CACHE/build${TOOLCHAIN:+-$TOOLCHAIN}/$target/router/ecohttpd
    fi
    gcc -shared -fPIC -O2 -fvisibility=hidden -o "$dir/count.so" cross/count.c
    mkdir -p "$dir/www/cgi-bin"
    head -c 1024 /dev/zero >"$dir/www/1k.bin"
    # A file that has just changed is not kept.
    touch -d 2026-01-01 "$dir/www/1k.bin"
    printf '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\nContent-Length: 2\\r\\n\\r\\nok"\n' >"$dir/www/cgi-bin/ok"
    chmod 755 "$dir/www/cgi-bin/ok"
    "llvm-nm-$LLVM" --defined-only --demangle --numeric-sort "$binary" >"$dir/symbols"
    echo "| a request | instructions | of which | | |"
    echo "| --- | ---: | --- | --- | --- |"
    row "1 KiB file" 50 drain /1k.bin
    row "script" 5 drain /cgi-bin/ok
    certificate -algorithm EC -pkeyopt ec_paramgen_curve:P-256
    row "1 KiB file, HTTPS" 10 --tls drain /1k.bin
    row "handshake, ECDSA P-256" 1 --tls full /1k.bin
    row "handshake, resumed" 1 --tls resumed /1k.bin
    certificate -algorithm ED25519
    row "handshake, Ed25519" 1 --tls full /1k.bin
}

certificate() {
    openssl genpkey "$@" -out "$dir/key" 2>/dev/null
    openssl req -x509 -new -key "$dir/key" -out "$dir/cert" -days 30 -subj /CN=localhost
}

# row WHAT WEIGHT MODE... PATH: the slope between WEIGHT*N/2 and WEIGHT*N*3/2 requests, as client.py makes them.
row() {
    local what=$1 count=$(($2 * ${N:-20}))
    shift 2
    run $((count / 2)) "$dir/few" "$@"
    run $((count * 3 / 2)) "$dir/many" "$@"
    /usr/bin/python3 cross/instructions.py "$what" "$count" "$dir/symbols" "$dir/few" "$dir/many"
}

# run COUNT FILE [--tls] MODE PATH
run() {
    local count=$1 out=$2 path=${*: -1} listen=(-p 127.0.0.1:0) line port
    [ "$3" != --tls ] || listen=(-s 127.0.0.1:0 -C "$dir/cert" -K "$dir/key")
    # qemu's name and its options go before the program's.
    coproc daemon { exec "${runner[@]}" -plugin "$dir/count.so,out=$out" "$binary" -f "${listen[@]}" -h "$dir/www" 2>&1; }
    # shellcheck disable=SC2154 # bash sets it
    pid=$daemon_PID
    read -r line <&"${daemon[0]}"
    port=$(sed -n 's|.*://127.0.0.1:\([0-9]*\)/.*|\1|p' <<<"$line")
    [ -n "$port" ] || { echo "the daemon does not start: $line" >&2 && exit 1; }
    set -- "${@:3:$#-3}"
    /usr/bin/python3 benches/client.py "$@" "$port" "$path" "$count" >/dev/null
    stop
}

stop() {
    [ -z "$pid" ] || { kill "$pid" && wait "$pid"; } 2>/dev/null || true
    pid=
}

pid='' dir=$(mktemp -d)
trap 'stop; rm -rf "$dir"' EXIT
main "$@"
