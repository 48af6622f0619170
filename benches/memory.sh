#!/usr/bin/env bash
# Memory: of the idle server, of an idle keep-alive connection, of a stalled download; over HTTP and HTTPS.
#
#   benches/memory.sh               PEERS=1 adds nginx, lighttpd and h2o
#
# Idle: PSS (pages shared with others count in part) after one request. A connection: the growth,
# for 1,000 that sent one request each and stay, and for 100 that asked for 100 MB and read nothing.
# Afterwards: the PSS when the 1,000 have been gone for some seconds, which shows what malloc keeps.
# "anonymous" is heap and stacks alone, and what a router without swap cannot get back.
# Socket buffers are the kernel's, and in neither. Environment: IDLE, STALLED, PEERS, those of lib.sh.
# shellcheck source=lib.sh source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

idle=${IDLE:-1000} stalled=${STALLED:-100}
peers=()
[ -z "${PEERS:-}" ] || peers=(nginx lighttpd h2o)
need python3 python3 taskset util-linux pgrep procps curl curl openssl openssl
[ ${#peers[@]} = 0 ] || need nginx nginx lighttpd lighttpd h2o h2o /usr/lib/lighttpd/mod_openssl.so lighttpd-mod-openssl
setup
certificate

# sizes PID: sets $pss and $anon, KiB, summed over the processes of the server.
sizes() {
    local p files=()
    for p in $(family "$1"); do files+=("/proc/$p/smaps_rollup"); done
    read -r pss anon < <(awk '$1 == "Pss:" { p += $2 } $1 == "Anonymous:" { a += $2 } END { print p, a }' "${files[@]}")
}

# grow SERVER MODE CONNECTIONS PATH: sets $pss0 and $anon0 (KiB before), $pss1 and $anon1 (bytes a connection), and
# $pss2 and $anon2 (KiB afterwards).
grow() {
    serve "$1"
    check "$base/1k.bin" 1024
    # Before the first size, as it shares the C library: pages that get a sharer have less PSS.
    coproc client { exec taskset -c "$CLIENT_CPU" python3 benches/client.py ${tls:+--tls} "$2" "$port" "$4" "$3" 2>&1; }
    started+=("$client_PID")
    expect started
    sizes "$pid"
    pss0=$pss anon0=$anon
    echo >&"${client[1]}"
    expect ready
    sizes "$pid"
    pss1=$(((pss - pss0) * 1024 / $3)) anon1=$(((anon - anon0) * 1024 / $3))
    stop "$client_PID"
    # ecohttpd keeps hot files for five seconds.
    sleep 7
    sizes "$pid"
    pss2=$pss anon2=$anon
    stop "$pid"
}

# expect WORD: waits until the client says so.
expect() {
    local line
    read -r line <&"${client[0]}" || true
    [ "$line" = "$1" ] && return
    echo "client.py: $line" >&2
    exit 1
}

machine "${peers[@]}"
echo "| server | idle PSS, KiB | idle anonymous, KiB | idle connection: PSS, bytes | anonymous | afterwards: PSS, KiB | anonymous | stalled download: PSS, bytes | anonymous |"
echo "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
for tls in "" 1; do
    for server in ecohttpd "${peers[@]}"; do
        grow "$server" hold "$idle" /1k.bin
        row="| $server${tls:+, HTTPS} | $pss0 | $anon0 | $pss1 | $anon1 | $pss2 | $anon2"
        grow "$server" stall "$stalled" /100m.bin
        echo "$row | $pss1 | $anon1 |"
    done
done
