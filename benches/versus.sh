#!/usr/bin/env bash
# Server CPU time a request, and requests a second, beside nginx, lighttpd, h2o and a raw ceiling.
#
#   benches/versus.sh
#
# One docroot, one worker each, sendfile on, logs off; the servers on one core and the load on another;
# interleaved, so that a slow minute of the machine hits all of them. CPU time is utime + stime of
# the server's processes, over the requests that wrk counted, and is the steadier of the two.
# In brackets: the ratio to ecohttpd, the median of the rounds' ratios.
# HTTPS is with an ECDSA P-256 certificate. wrk resumes its sessions, so client.py makes the handshakes: one after the
# other, hence how many a second is mostly the client's time; the CPU time is the server's, of a connection with a GET.
# Environment: ROUNDS (default 5), DURATION (seconds of a run, 1), DOWNLOADS (of 100 MB a run, 10),
# HANDSHAKES (of a run, 1000), those of lib.sh.
# Many short rounds beat few long ones: a machine shared with others changes its speed by the minute.
# shellcheck source=lib.sh source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

rounds=${ROUNDS:-5} duration=${DURATION:-1} downloads=${DOWNLOADS:-10} handshakes=${HANDSHAKES:-1000}
servers=(ecohttpd nginx lighttpd h2o ceiling)
rows=(1k 10k 100k hello close download tls-1k tls-full tls-resumed tls-download)
need wrk wrk nginx nginx lighttpd lighttpd h2o h2o python3 python3 taskset util-linux pgrep procps curl curl \
    openssl openssl /usr/lib/lighttpd/mod_openssl.so lighttpd-mod-openssl
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
    case $server in nginx | h2o) at hello /hello 6 "$server" ;; esac
done
tls=1
for server in ecohttpd nginx lighttpd h2o; do
    serve "$server"
    at tls-1k /1k.bin 1024 "$server"
    at tls-full /1k.bin 1024 "$server"
    at tls-resumed /1k.bin 1024 "$server"
    at tls-download /100m.bin 104857600 "$server"
done
tls=
serve hello && at hello / 6 ecohttpd
serve ceiling 1024 && at 1k / 1024 ceiling
serve ceiling 10240 && at 10k / 10240 ceiling
serve ceiling 102400 && at 100k / 102400 ceiling
serve ceiling 6 && at hello / 6 ceiling
serve ceiling 1024 close && at close / 1024 ceiling

# What wrk counted, to a line of its own: requests, errors, µs.
cat >"$dir/count.lua" <<-'END'
	function done(s)
	    local e = s.errors
	    io.write(string.format("COUNT %d %d %d\n", s.requests, e.connect + e.read + e.write + e.status + e.timeout, s.duration))
	end
END

# cpu PID...: sets $ticks, user and system time of the processes.
cpu() {
    local p stat fields
    ticks=0
    for p; do
        # h2o starts with a helper that has ended by now.
        [ -e "/proc/$p/stat" ] || continue
        stat=$(<"/proc/$p/stat")
        read -ra fields <<<"${stat##*) }" # the name before it may hold anything
        ticks=$((ticks + fields[11] + fields[12]))
    done
}

# client URL COUNT MODE...: client.py does so.
client() {
    local where=${1#*//127.0.0.1:}
    taskset -c "$CLIENT_CPU" python3 benches/client.py "${@:3}" "${where%%/*}" "/${where#*/}" "$2"
}

# once ROW SERVER: a run; appends "row server round CPU-µs-a-request requests-a-second" (download: a 100 MB, MB/s).
once() {
    local row=$1 u=${url[$1,$2]:-} before count errors us p drain seconds bytes
    [ -n "$u" ] || return 0
    read -ra p <<<"${pids[$row,$2]}"
    cpu "${p[@]}"
    before=$ticks
    case $row in
    *download)
        drain=(drain)
        [ "$row" = download ] || drain=(--tls drain)
        read -r seconds bytes < <(client "$u" "$downloads" "${drain[@]}")
        cpu "${p[@]}"
        awk -v t=$((ticks - before)) -v hz="$hz" -v n="$bytes" -v s="$seconds" -v id="$row $2 $round" \
            'BEGIN { print id, t / hz * 1e3 / (n / 1e8), n / 1e6 / s }' >>"$dir/results"
        return
        ;;
    tls-full | tls-resumed)
        count=$handshakes errors=0
        read -r us < <(client "$u" "$count" --tls "${row#tls-}")
        ;;
    *)
        local header=(-H "$accept")
        [ "$row" != close ] || header+=(-H "Connection: close")
        read -r count errors us < <(taskset -c "$CLIENT_CPU" wrk -t1 -c64 -d"${duration}s" -s "$dir/count.lua" "${header[@]}" "$u" |
            sed -n 's/^COUNT //p')
        ;;
    esac
    cpu "${p[@]}"
    [ "$errors" = 0 ] || echo "warning: $row, $2: $errors of $count requests failed" >&2
    awk -v t=$((ticks - before)) -v hz="$hz" -v n="$count" -v us="$us" -v id="$row $2 $round" \
        'BEGIN { print id, t / hz * 1e6 / n, n / us * 1e6 }' >>"$dir/results"
}

hz=$(getconf CLK_TCK)
for ((round = 1; round <= rounds; round++)); do
    for row in "${rows[@]}"; do
        for server in "${servers[@]}"; do
            [ ! -t 2 ] || printf '\rround %d of %d: %-12s %-10s' "$round" "$rounds" "$row" "$server" >&2
            once "$row" "$server"
        done
    done
done
[ ! -t 2 ] || printf '\r%-50s\r' '' >&2

# table COLUMN TITLE: medians of that column of the results, and of the ratios.
table() {
    printf '\n%s\n\n' "$2"
    awk -v col="$1" -v servers="${servers[*]}" -v rows="${rows[*]}" -v rounds="$rounds" '
        function median(from, n,   i, j, t, a) {
            for (i = 1; i <= n; i++) a[i] = from[i]
            for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j - 1] > a[j]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
            return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
        }
        function range(from, n,   i, lo, hi) {
            lo = hi = from[1]
            for (i = 2; i <= n; i++) { if (from[i] < lo) lo = from[i]; if (from[i] > hi) hi = from[i] }
            return hi - lo
        }
        { v[$1, $2, $3] = $col }
        END {
            name["1k"] = "1 KiB file"; name["10k"] = "10 KiB file"; name["100k"] = "100 KiB file"
            name["hello"] = "hello handler"; name["close"] = "1 KiB, a connection each"
            name["download"] = col == 4 ? "100 MB download, ms" : "100 MB download, MB/s"
            name["tls-1k"] = "HTTPS, 1 KiB file"; name["tls-full"] = "HTTPS, full handshake"
            name["tls-resumed"] = "HTTPS, resumed handshake"; name["tls-download"] = "HTTPS, " name["download"]
            ns = split(servers, s, " "); nr = split(rows, r, " ")
            head = "| |"; rule = "| --- |"
            for (i = 1; i <= ns; i++) { head = head " " s[i] " |"; rule = rule " ---: |" }
            print head; print rule
            for (k = 1; k <= nr; k++) {
                line = "| " name[r[k]] " |"
                for (i = 1; i <= ns; i++) {
                    if (!((r[k], s[i], 1) in v)) { line = line " n/a |"; continue }
                    for (q = 1; q <= rounds; q++) {
                        x[q] = v[r[k], s[i], q]
                        y[q] = v[r[k], "ecohttpd", q] > 0 ? x[q] / v[r[k], "ecohttpd", q] : 0
                    }
                    m = median(x, rounds)
                    spread[++cells] = range(x, rounds) / m * 100
                    line = line sprintf(m < 1000 ? " %.1f" : " %.0f", m) (i == 1 ? " |" : sprintf(" (%.2f) |", median(y, rounds)))
                }
                print line
            }
            printf "\nThe rounds of a cell lie %.0f %% apart (largest - smallest, over the median; half of the cells more, half less).\n", median(spread, cells)
        }' "$dir/results"
}

machine nginx lighttpd h2o
echo "64 connections, medians of $rounds rounds of $duration s, $handshakes handshakes or $downloads downloads; h2o's hello is a line of mruby, lighttpd has none."
table 4 "Server CPU, µs a request (in brackets: times ecohttpd's; less is better)"
table 5 "Requests a second (in brackets: times ecohttpd's; more is better)"
