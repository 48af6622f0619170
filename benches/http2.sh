#!/usr/bin/env bash
# Server CPU time a request over HTTP/2, beside nginx, lighttpd and h2o; and beside HTTP/1.1 over TLS.
#
#   benches/http2.sh
#
# Files of 1 KiB and 100 KiB, 64 streams on each of a few connections, interleaved; see versus.sh for the method.
# Environment: ROUNDS (default 5), REQUESTS (of a run, 20000 of 1 KiB and a twentieth of 100 KiB), CONNECTIONS (4), those of
# lib.sh.
# shellcheck source=lib.sh source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

rounds=${ROUNDS:-5} requests=${REQUESTS:-20000} connections=${CONNECTIONS:-4}
servers=(ecohttpd nginx lighttpd h2o)
need h2load nghttp2-client nginx nginx lighttpd lighttpd h2o h2o taskset util-linux pgrep procps curl curl \
    openssl openssl /usr/lib/lighttpd/mod_openssl.so lighttpd-mod-openssl
setup
certificate

declare -A bases pids
# shellcheck disable=SC2034 # lib.sh reads it
tls=1 http2=1
for server in "${servers[@]}"; do
    serve "$server"
    check "$base/1k.bin" 1024
    bases[$server]=$base
    pids[$server]=$(family "$pid" | paste -sd ' ')
done

# cpu PID...: prints user and system time of the processes, in ticks.
cpu() {
    local p ticks=0 stat fields
    for p; do
        [ -e "/proc/$p/stat" ] || continue
        stat=$(<"/proc/$p/stat")
        read -ra fields <<<"${stat##*) }"
        ticks=$((ticks + fields[11] + fields[12]))
    done
    echo "$ticks"
}

# once ROW SERVER PATH REQUESTS [FLAG...]: a run; appends "row server CPU-us-a-request".
once() {
    local row=$1 server=$2 path=$3 n=$4 before after p
    read -ra p <<<"${pids[$server]}"
    before=$(cpu "${p[@]}")
    taskset -c "$CLIENT_CPU" h2load -H "$accept" -n "$n" -c "$connections" "${@:5}" "${bases[$server]}$path" >"$dir/h2load.log"
    after=$(cpu "${p[@]}")
    grep -q "^requests: .* $n succeeded" "$dir/h2load.log" || { grep ^requests: "$dir/h2load.log" >&2 && exit 1; }
    awk -v t=$((after - before)) -v hz="$hz" -v n="$n" -v id="$row $server" 'BEGIN { print id, t / hz * 1e6 / n }' >>"$dir/results"
}

hz=$(getconf CLK_TCK)
for ((round = 0; round < rounds; round++)); do
    for server in "${servers[@]}"; do
        once h2-1k "$server" /1k.bin "$requests" -m 64
        once h2-100k "$server" /100k.bin $((requests / 20)) -m 64
        once h1-1k "$server" /1k.bin "$requests" --h1
    done
done

machine "${servers[@]:1}"
echo "Server CPU time, µs a request (median of $rounds)"
echo
echo "| | ${servers[*]} |" | sed 's/ \([a-z0-9]\)/ | \1/g; s/| | |/| |/'
for row in h2-1k h2-100k h1-1k; do
    printf '| %s' "$row"
    for server in "${servers[@]}"; do
        awk -v r="$row" -v s="$server" '$1 == r && $2 == s { print $3 }' "$dir/results" | sort -n |
            awk '{ v[NR] = $1 } END { printf " | %.2f", v[int((NR + 1) / 2)] }'
    done
    echo ' |'
done
