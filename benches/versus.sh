#!/usr/bin/env bash
# Server CPU time a request beside nginx, lighttpd, h2o and a raw ceiling, which parses nothing: one table.
#
#   benches/versus.sh
#
# One docroot, one worker each, sendfile on, logs off; the servers on one core and the load on another;
# interleaved, so that a slow minute of the machine hits all of them. CPU time is what the kernel counts for the
# server's threads, over the requests (100 MB of downloads) that the client counted. Of the others the ratio to
# ecohttpd: the median of the rounds' ratios, and the lowest and the highest.
# Every request has a browser's Accept-Encoding.
# What is forwarded comes over 8 connections, and goes to an nginx and a php-fpm on the core of the load.
# HTTPS is with an ECDSA P-256 certificate. wrk resumes its sessions, so client.py makes the handshakes: one after the
# other, hence how many a second is mostly the client's time; the CPU time is the server's, of a connection with a GET.
# Environment: ROUNDS (default 5), DURATION (seconds of a run, 1), DOWNLOADS (of 100 MB a run, 10),
# HANDSHAKES (of a run, 1000), ROWS (default: all), those of lib.sh.
# Many short rounds beat few long ones: a machine shared with others changes its speed by the minute.
# shellcheck source=lib.sh source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

rounds=${ROUNDS:-5} duration=${DURATION:-1} downloads=${DOWNLOADS:-10} handshakes=${HANDSHAKES:-1000}
servers=(ecohttpd nginx lighttpd h2o ceiling)
read -ra rows <<<"${ROWS:-1k 10k 100k hello close download download-50 tls-1k tls-full tls-resumed tls-download \
tls-download-50 c1 c1000 c10000 proxied fastcgi}"
need wrk wrk nginx nginx lighttpd lighttpd h2o h2o python3 python3 taskset util-linux pgrep procps curl curl \
    openssl openssl /usr/lib/lighttpd/mod_openssl.so lighttpd-mod-openssl php-fpm8.2 php8.2-fpm
setup hello ceiling
certificate

# Where each server answers each row's request; a pair that is not here is n/a.
declare -A url pids
at() { # ROW PATH BYTES SERVER: the server started last answers this row
    url[$1,$4]=$base$2
    pids[$1,$4]=$(family "$pid" | paste -sd ' ')
    check "$base$2" "$3"
}
for server in ecohttpd nginx lighttpd h2o; do
    serve "$server"
    at 1k /1k.bin 1024 "$server"
    at 10k /10k.bin 10240 "$server"
    at 100k /100k.bin 102400 "$server"
    at close /1k.bin 1024 "$server"
    at download /100m.bin 104857600 "$server"
    at download-50 /100m.bin 104857600 "$server"
    for row in c1 c1000 c10000; do at $row /1k.bin 1024 "$server"; done
    case $server in nginx | h2o) at hello /hello 6 "$server" ;; esac
done
tls=1
for server in ecohttpd nginx lighttpd h2o; do
    serve "$server"
    at tls-1k /1k.bin 1024 "$server"
    at tls-full /1k.bin 1024 "$server"
    at tls-resumed /1k.bin 1024 "$server"
    at tls-download /100m.bin 104857600 "$server"
    at tls-download-50 /100m.bin 104857600 "$server"
done
tls=
backends
for server in ecohttpd nginx lighttpd; do
    serve "$server"
    at proxied /up/1k.bin 1024 "$server"
    at fastcgi /hello.php 6 "$server"
done
serve hello && at hello / 6 ecohttpd
serve ceiling 1024 && at 1k / 1024 ceiling
serve ceiling 10240 && at 10k / 10240 ceiling
serve ceiling 102400 && at 100k / 102400 ceiling
serve ceiling 6 && at hello / 6 ceiling
serve ceiling 1024 close && at close / 1024 ceiling

# What wrk counted, to a line of its own: requests, errors, bytes.
cat >"$dir/count.lua" <<-'END'
	function done(s)
	    local e = s.errors
	    io.write(string.format("COUNT %d %d %d\n", s.requests, e.connect + e.read + e.write + e.status + e.timeout, s.bytes))
	end
END

# cpu PID...: sets $spent, the nanoseconds that the threads of the processes ran.
cpu() {
    local p thread ran
    spent=0
    for p; do
        # h2o starts with a helper that has ended by now.
        for thread in "/proc/$p/task/"*; do
            read -r ran _ 2>/dev/null <"$thread/schedstat" || continue
            spent=$((spent + ran))
        done
    done
}

# client URL COUNT MODE...: client.py does so.
client() {
    local where=${1#*//127.0.0.1:}
    taskset -c "$CLIENT_CPU" python3 benches/client.py "${@:3}" "${where%%/*}" "/${where#*/}" "$2"
}

# once ROW SERVER: a run; appends "row server round CPU-µs-a-request" (download: ms for 100 MB).
once() {
    local row=$1 u=${url[$1,$2]:-} before count errors=0 bytes=0 p mode=() load=(-c64 "-d${duration}s")
    [ -n "$u" ] || return 0
    read -ra p <<<"${pids[$row,$2]}"
    cpu "${p[@]}"
    before=$spent
    case $row in
    download | tls-download)
        [ "$row" = download ] || mode=(--tls)
        read -r _ bytes < <(client "$u" "$downloads" "${mode[@]}" drain)
        ;;
    tls-full | tls-resumed)
        count=$handshakes
        client "$u" "$count" --tls "${row#tls-}" >/dev/null
        ;;
    *)
        case $row in
        close) load+=(-H "Connection: close") ;;
        *download-50) load[0]=-c50 ;;
        c1) load[0]=-c1 ;;
        proxied | fastcgi) load[0]=-c8 ;;
        c1000) load[0]=-c1000 ;;
        # Long, so that the connections themselves are lost in it.
        c10000) load=(-c10000 "-d$((duration * 5))s" --timeout 10s) ;;
        esac
        read -r count errors bytes < <(taskset -c "$CLIENT_CPU" wrk -t1 -s "$dir/count.lua" -H "$accept" "${load[@]}" "$u" |
            sed -n 's/^COUNT //p')
        ;;
    esac
    cpu "${p[@]}"
    [ "$errors" = 0 ] || echo "warning: $row, $2: $errors of $count requests failed" >&2
    case $row in
    *download*) awk -v ns=$((spent - before)) -v n="$bytes" -v id="$row $2 $round" 'BEGIN { print id, ns / 1e6 / (n / 1e8) }' ;;
    *) awk -v ns=$((spent - before)) -v n="$count" -v id="$row $2 $round" 'BEGIN { print id, ns / 1e3 / n }' ;;
    esac >>"$dir/results"
}

for ((round = 1; round <= rounds; round++)); do
    for row in "${rows[@]}"; do
        for server in "${servers[@]}"; do
            [ ! -t 2 ] || printf '\rround %d of %d: %-15s %-10s' "$round" "$rounds" "$row" "$server" >&2
            once "$row" "$server"
        done
    done
done
[ ! -t 2 ] || printf '\r%-50s\r' '' >&2

# table: the medians of the results, and of the ratios.
table() {
    awk -v servers="${servers[*]}" -v rows="${rows[*]}" -v rounds="$rounds" '
        function sort(a, n,   i, j, t) {
            for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j - 1] > a[j]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
        }
        function median(a, n) { return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2 }
        { v[$1, $2, $3] = $4 }
        END {
            name["1k"] = "1 KiB file"; name["10k"] = "10 KiB file"; name["100k"] = "100 KiB file"
            name["hello"] = "hello handler"; name["close"] = "1 KiB file, a connection each"
            name["c1"] = "1 KiB file, 1 connection"; name["c1000"] = "1 KiB file, 1,000 connections"
            name["c10000"] = "1 KiB file, 10,000 connections"
            name["proxied"] = "1 KiB file, proxied"; name["fastcgi"] = "PHP hello, FastCGI"
            name["download"] = "100 MB download"; name["download-50"] = "100 MB, 50 downloads at once"
            name["tls-1k"] = "HTTPS, 1 KiB file"; name["tls-full"] = "HTTPS, full handshake"
            name["tls-resumed"] = "HTTPS, resumed handshake"; name["tls-download"] = "HTTPS, 100 MB download"
            name["tls-download-50"] = "HTTPS, 50 downloads at once"
            ns = split(servers, s, " "); nr = split(rows, r, " ")
            head = "| a request |"; rule = "| --- |"
            for (i = 1; i <= ns; i++) { head = head " " s[i] " |"; rule = rule " ---: |" }
            print head; print rule
            for (k = 1; k <= nr; k++) {
                line = "| " name[r[k]] " |"
                for (i = 1; i <= ns; i++) {
                    if (!((r[k], s[i], 1) in v)) { line = line " |"; continue }
                    for (q = 1; q <= rounds; q++) {
                        x[q] = v[r[k], s[i], q]
                        if (i > 1) x[q] /= v[r[k], s[1], q]
                    }
                    sort(x, rounds)
                    if (i == 1) line = line sprintf(" %.1f %s |", median(x, rounds), r[k] ~ /download/ ? "ms" : "µs")
                    else line = line sprintf(" %.2f (%.2f to %.2f) |", median(x, rounds), x[1], x[rounds])
                }
                print line
            }
        }' "$dir/results"
}

machine nginx lighttpd h2o
echo "Server CPU a request, or for 100 MB of downloads; of the others as a multiple of ecohttpd's (lowest to highest)."
echo "64 connections unless a row says otherwise, $rounds rounds of $duration s, $handshakes handshakes or $downloads downloads."
echo "h2o's hello is a line of mruby, lighttpd has none."
echo
table
