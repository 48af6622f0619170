#!/usr/bin/env bash
# CGI: requests a second of a static program and of a shell script, beside lighttpd's mod_cgi and busybox httpd,
# and what scripts that wait for their turn cost those who ask for a file.
#
#   benches/cgi.sh
#
# The servers and their scripts on one core, the load on another; interleaved, medians of the rounds. In
# brackets: ecohttpd's in terms of the other's, the median of the rounds' ratios.
# Environment: ROUNDS (default 7), DURATION (seconds of a run, 1), those of lib.sh.
# shellcheck source=lib.sh source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

rounds=${ROUNDS:-7} duration=${DURATION:-1} connections=8 waiting=50
servers=(ecohttpd lighttpd busybox)
need wrk wrk lighttpd lighttpd busybox busybox gcc gcc taskset util-linux curl curl
setup

cgi=$dir/www/cgi-bin
mkdir "$cgi"
cat >"$dir/hello.c" <<-'END'
	#include <unistd.h>
	int main(void)
	{
	    static const char reply[] = "Content-Type: text/plain\r\n\r\nhello\n";
	    return write(1, reply, sizeof reply - 1) != sizeof reply - 1;
	}
END
gcc -O2 -static -s -o "$cgi/static" "$dir/hello.c"
printf '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\nhello\\n"\n' >"$cgi/shell"
printf '#!/bin/sh\nexec sleep 1000\n' >"$cgi/slow"
chmod 755 "$cgi"/* "$dir" "$dir/www"

# start COMMAND...: runs a server that listens on $port.
start() {
    taskset -c "$SERVER_CPU" "$@" >"$dir/$port.log" 2>&1 &
    pid=$!
    started+=("$pid")
    for ((i = 0; i < 300; i++)); do
        ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || return 0
        sleep 0.1
    done
    tail -5 "$dir/$port.log" >&2
    exit 1
}

declare -A base_of
for server in "${servers[@]}"; do
    free_port
    case $server in
    ecohttpd) start "$ECOHTTPD" -f -h "$dir/www" -p "127.0.0.1:$port" -k 300 -n "$connections" ;;
    lighttpd)
        cat >"$dir/cgi.conf" <<-END
			server.document-root = "$dir/www"
			server.bind = "127.0.0.1"
			server.port = $port
			server.max-worker = 0
			server.max-keep-alive-requests = 65535
			server.max-keep-alive-idle = 300
			server.modules = ( "mod_cgi" )
			\$HTTP["url"] =~ "^/cgi-bin/" { cgi.assign = ( "" => "" ) }
		END
        start lighttpd -D -f "$dir/cgi.conf"
        ;;
    busybox) start busybox httpd -f -p "127.0.0.1:$port" -h "$dir/www" ;;
    esac
    base_of[$server]=http://127.0.0.1:$port
    for script in static shell; do check "${base_of[$server]}/cgi-bin/$script" 6; done
done

cat >"$dir/count.lua" <<-'END'
	function done(s, latency)
	    local e = s.errors
	    -- Not e.read: wrk takes it for an error when a connection's end ends a reply, as busybox's does.
	    local bad = e.connect + e.write + e.status + e.timeout
	    io.write(string.format("COUNT %d %d %d %d %d\n", s.requests, bad, s.duration, latency:percentile(50), latency:percentile(99)))
	end
END

# run URL CONNECTIONS: sets $rate, and $p50 and $p99 in µs.
run() {
    local count bad us
    read -r count bad us p50 p99 < <(taskset -c "$CLIENT_CPU" wrk -t1 -c"$2" -d"${duration}s" -s "$dir/count.lua" -H "$accept" "$1" |
        sed -n 's/^COUNT //p')
    [ "$bad" = 0 ] || echo "warning: $1: $bad of $count requests failed" >&2
    rate=$(awk -v n="$count" -v us="$us" 'BEGIN { print n / us * 1e6 }')
}

for ((round = 1; round <= rounds; round++)); do
    for script in static shell; do
        for server in "${servers[@]}"; do
            run "${base_of[$server]}/cgi-bin/$script" "$connections"
            echo "$script $server $round $rate" >>"$dir/results"
        done
    done
done

machine lighttpd
echo "CGI requests a second, $connections connections, medians of $rounds rounds of $duration s."
awk -v servers="${servers[*]}" -v rounds="$rounds" '
    function median(from, n,   i, j, t, a) {
        for (i = 1; i <= n; i++) a[i] = from[i]
        for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j - 1] > a[j]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
        return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
    }
    { v[$1, $2, $3] = $4 }
    END {
        ns = split(servers, s, " "); split("static shell", r, " ")
        head = "\n| |"; rule = "| --- |"
        for (i = 1; i <= ns; i++) { head = head " " s[i] " |"; rule = rule " ---: |" }
        print head; print rule
        for (k = 1; k <= 2; k++) {
            line = "| hello, " r[k] " |"
            for (i = 1; i <= ns; i++) {
                for (q = 1; q <= rounds; q++) { x[q] = v[r[k], s[i], q]; y[q] = v[r[k], "ecohttpd", q] / x[q] }
                line = line sprintf(i == 1 ? " %.0f |" : " %.0f (%.2f) |", median(x, rounds), median(y, rounds))
            }
            print line
        }
    }' "$dir/results"

printf '\nA file of 1 KiB by one connection, while %d scripts sleep or wait for their turn:\n\n| | p50, µs | p99, µs |\n| --- | ---: | ---: |\n' "$waiting"
file=${base_of[ecohttpd]}/1k.bin
run "$file" 1
echo "| without | $p50 | $p99 |"
clients=()
for ((i = 0; i < waiting; i++)); do
    curl -s -o /dev/null "${base_of[ecohttpd]}/cgi-bin/slow" &
    clients+=($!)
done
sleep 2
run "$file" 1
echo "| with | $p50 | $p99 |"
kill "${clients[@]}"
wait "${clients[@]}" 2>/dev/null || true
