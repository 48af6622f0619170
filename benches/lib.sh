# shellcheck shell=bash
# What the measures share: tools, a docroot, servers on free loopback ports, a clean end.
#
# Sourced by the scripts beside it. Environment:
#   ECOHTTPD, HELLO, CEILING   the binaries to measure; what is unset is built with cargo (release)
#   SERVER_CPU, CLIENT_CPU     the cores of the server (default: the last) and of the load (the first)

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PATH:/usr/sbin:/sbin # where nginx and lighttpd are, for a user too
export LC_ALL=C

# What every browser sends, and what makes a server look for precompressed files: a request without it costs less.
accept="Accept-Encoding: gzip, deflate, br, zstd"

# need COMMAND-OR-FILE PACKAGE ...: says which Debian packages are missing, and ends.
need() {
    local missing=()
    while [ $# -gt 0 ]; do
        command -v "$1" >/dev/null || [[ $1 == /* && -e $1 ]] || missing+=("$2")
        shift 2
    done
    if [ ${#missing[@]} -gt 0 ]; then
        echo "missing Debian packages: apt-get install ${missing[*]}" >&2
        exit 1
    fi
}

# setup EXAMPLE...: builds the server and these examples, makes the folder $dir with a docroot.
setup() {
    local args=() out=${CARGO_TARGET_DIR:-target}/release
    [ -n "${ECOHTTPD:-}" ] || args+=(--bin ecohttpd)
    for example; do
        case $example in
        hello) [ -n "${HELLO:-}" ] || args+=(--example hello) ;;
        ceiling) [ -n "${CEILING:-}" ] || args+=(--example ceiling) ;;
        esac
    done
    [ ${#args[@]} = 0 ] || cargo build --quiet --release --locked "${args[@]}"
    ECOHTTPD=${ECOHTTPD:-$out/ecohttpd} HELLO=${HELLO:-$out/examples/hello} CEILING=${CEILING:-$out/examples/ceiling}

    local cpus
    mapfile -t cpus < <(taskset -cp $$ | sed 's/.*: //' | tr , '\n' |
        awk -F- '{ for (i = $1; i <= $NF; i++) print i }')
    SERVER_CPU=${SERVER_CPU:-${cpus[-1]}} CLIENT_CPU=${CLIENT_CPU:-${cpus[0]}}
    [ "$SERVER_CPU" != "$CLIENT_CPU" ] || echo "warning: one core only, server and load share it" >&2

    # For 10,000 connections.
    ulimit -n 32768 2>/dev/null || ulimit -n "$(ulimit -Hn)"
    dir=$(mktemp -d)
    trap cleanup EXIT
    trap 'exit 130' INT TERM
    mkdir "$dir/www" "$dir/tmp"
    local size
    for size in 1 10 100; do head -c "${size}K" /dev/zero >"$dir/www/${size}k.bin"; done
    head -c 100M /dev/zero >"$dir/www/100m.bin" # not sparse: its pages must be in the cache
    # ecohttpd reads a file that changed within the last three seconds for each request.
    sleep 4
}

# certificate: makes cert.pem and key.pem in $dir, ECDSA P-256, which HTTPS servers (tls=1) take.
certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
        -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>"$dir/openssl.log" || { cat "$dir/openssl.log" >&2 && exit 1; }
}

started=()

cleanup() {
    [ ${#started[@]} = 0 ] || stop "${started[@]}"
    rm -rf "$dir"
}

# stop PID...: ends processes of ours, and waits until they have gone.
stop() {
    local i pid rest=() gone=" $* "
    kill "$@" 2>/dev/null || true
    for ((i = 0; i < 50; i++)); do
        kill -0 "$@" 2>/dev/null || break
        sleep 0.1
    done
    for pid; do
        # Who does not listen takes its worker along.
        # shellcheck disable=SC2046
        ! kill -0 "$pid" 2>/dev/null || kill -KILL $(family "$pid")
    done
    wait "$@" 2>/dev/null || true
    for pid in "${started[@]}"; do [[ $gone == *" $pid "* ]] || rest+=("$pid"); done
    started=("${rest[@]}")
}

# free_port: sets $port. Below the range of ephemeral ports, so that no client's connection takes it.
free_port() {
    while :; do
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || return 0
    done
}

# serve KIND [ARG...]: starts a server on a free port, under ${under[@]} if set; sets $pid, $port and $base (its URL).
# KIND is ecohttpd, hello, nginx, lighttpd, h2o or ceiling (whose arguments are ARG). If $tls is not empty it is HTTPS
# alone, with tickets for resumption (all have them by default), and TLS 1.3 with those that know it.
# With $http2 nginx speaks HTTP/2, too, as the others do by themselves.
# With $origin and $fpm it forwards what is below /up/, and .php files: see backends.
under=() tls="" http2="" origin="" fpm=""
serve() {
    local kind=$1 cmd i listen=-p secure=()
    shift
    [ -z "$tls" ] || listen=-s secure=(-C "$dir/cert.pem" -K "$dir/key.pem")
    free_port
    # shellcheck disable=SC2034 # for who sources this
    base=http${tls:+s}://127.0.0.1:$port
    case $kind in
    ecohttpd)
        cmd=("$ECOHTTPD" -f -h "$dir/www" "$listen" "127.0.0.1:$port" "${secure[@]}" -k 300 -T 300 -N 12000)
        [ -z "$origin" ] || cmd+=(--proxy "/up=http://127.0.0.1:$origin/")
        [ -z "$fpm" ] || cmd+=(--fastcgi ".php=unix:$fpm")
        ;;
    hello) cmd=("$HELLO" "127.0.0.1:$port") ;;
    ceiling) cmd=("$CEILING" "127.0.0.1:$port" "$@") ;;
    nginx) nginx_conf >"$dir/$port.conf" && cmd=(nginx -e stderr -p "$dir" -c "$dir/$port.conf") ;;
    lighttpd) lighttpd_conf >"$dir/$port.conf" && cmd=(lighttpd -D -f "$dir/$port.conf") ;;
    h2o) h2o_conf >"$dir/$port.conf" && cmd=(h2o -m worker -c "$dir/$port.conf") ;;
    esac
    taskset -c "$SERVER_CPU" "${under[@]}" "${cmd[@]}" >"$dir/$port.log" 2>&1 &
    pid=$!
    started+=("$pid")
    for ((i = 0; i < 300; i++)); do
        kill -0 "$pid" 2>/dev/null || break
        ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || return 0
        sleep 0.1
    done
    echo "$kind does not start:" >&2
    tail -5 "$dir/$port.log" >&2
    exit 1
}

# count_rows PEER...: calls `count SERVER REQUEST PATH BYTES` for ecohttpd and each peer, and each kind of request; with
# $BACKENDS also for requests that are forwarded.
count_rows() {
    local server
    for server in ecohttpd "$@"; do
        count "$server" "1 KiB file" /1k.bin 1024
    done
    count hello "hello handler" / 6
    [ -n "${BACKENDS:-}" ] || return 0
    backends
    # shellcheck disable=SC2034 # for count
    connections=8
    for server in ecohttpd "$@"; do
        [ "$server" != h2o ] || continue
        count "$server" "1 KiB, proxied" /up/1k.bin 1024
        count "$server" "PHP hello, FastCGI" /hello.php 6
    done
}

# backends: starts what requests are forwarded to, on the load's core: nginx with 1 KiB files, and php-fpm with hello.php.
# The servers that start after it use them. Each keeps 8 connections, and a process of php-fpm serves only one.
backends() {
    local i
    printf '<?php echo "hello\\n";' >"$dir/www/hello.php"
    cat >"$dir/fpm.conf" <<-END
		[global]
		error_log = $dir/fpm.log
		daemonize = no
		[www]
		listen = $dir/fpm.sock
		pm = static
		pm.max_children = 32
		$([ "$EUID" != 0 ] || printf 'user = root\ngroup = root\n')
	END
    SERVER_CPU=$CLIENT_CPU serve nginx
    origin=$port
    taskset -c "$CLIENT_CPU" php-fpm8.2 -R -y "$dir/fpm.conf" 2>"$dir/fpm.err" &
    started+=("$!")
    # shellcheck disable=SC2034 # for who sources this
    fpm_pid=$! fpm=$dir/fpm.sock
    for ((i = 0; i < 300; i++)); do
        [ ! -S "$fpm" ] || return 0
        sleep 0.1
    done
    cat "$dir/fpm.err" >&2
    exit 1
}

# Started by root, nginx and h2o stay root, as the others do: no other user may read the docroot.
nginx_conf() {
    cat <<-END
		daemon off;
		worker_processes 1;
		pid $dir/$port.pid;
		$([ "$EUID" != 0 ] || echo "user root root;")
		events { worker_connections 12000; }
		http {
		    access_log off;
		    sendfile on;
		    tcp_nopush on;
		    keepalive_requests 1000000000;
		    keepalive_timeout 300s;
		    send_timeout 300s;
		    client_body_temp_path tmp;
		    proxy_temp_path tmp;
		    fastcgi_temp_path tmp;
		    uwsgi_temp_path tmp;
		    scgi_temp_path tmp;
		    server {
		        listen 127.0.0.1:$port ${tls:+ssl ${http2:+http2}} backlog=1024;
		        ${tls:+ssl_certificate $dir/cert.pem; ssl_certificate_key $dir/key.pem; ssl_session_tickets on;}
		        ${tls:+ssl_protocols TLSv1.2 TLSv1.3; # 1.3 was no default before nginx 1.23.4}
		        root $dir/www;
		        location = /hello { default_type text/plain; return 200 "hello\n"; }
		        $(nginx_locations)
		    }
		    $(nginx_upstreams)
		}
	END
}

# What the backends answer.
nginx_locations() {
    [ -z "$origin" ] || cat <<-'END'
		location /up/ {
		    proxy_pass http://origin/;
		    proxy_http_version 1.1;
		    proxy_set_header Connection "";
		    proxy_set_header Host $host;
		    proxy_set_header X-Forwarded-For $remote_addr;
		    proxy_set_header X-Forwarded-Proto $scheme;
		}
	END
    [ -z "$fpm" ] || cat <<-'END'
		location ~ \.php$ {
		    include /etc/nginx/fastcgi_params;
		    fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
		    fastcgi_keep_conn on;
		    fastcgi_pass fpm;
		}
	END
}

nginx_upstreams() {
    [ -z "$origin" ] || echo "upstream origin { server 127.0.0.1:$origin; keepalive 8; keepalive_requests 1000000000; }"
    [ -z "$fpm" ] || echo "upstream fpm { server unix:$fpm; keepalive 8; keepalive_requests 1000000000; }"
}

# 65535 is the most that its 16 bits hold: wrk reconnects after that, which is lost in the noise.
lighttpd_conf() {
    cat <<-END
		server.document-root = "$dir/www"
		server.bind = "127.0.0.1"
		server.port = $port
		server.listen-backlog = 1024
		server.max-worker = 0
		server.max-connections = 12000
		server.max-fds = 24000
		server.network-backend = "sendfile"
		server.max-keep-alive-requests = 65535
		server.max-keep-alive-idle = 300
		mimetype.assign = ( ".bin" => "application/octet-stream" )
	END
    [ -z "$origin" ] || cat <<-END
		server.modules += ( "mod_proxy" )
		proxy.server = ( "/up/" => (( "host" => "127.0.0.1", "port" => $origin )) )
		proxy.header = ( "map-urlpath" => ( "/up/" => "/" ) )
	END
    [ -z "$fpm" ] || cat <<-END
		server.modules += ( "mod_fastcgi" )
		fastcgi.server = ( ".php" => (( "socket" => "$fpm" )) )
	END
    [ -z "$tls" ] || cat <<-END
		server.modules += ( "mod_openssl" )
		ssl.engine = "enable"
		ssl.pemfile = "$dir/cert.pem"
		ssl.privkey = "$dir/key.pem"
	END
}

# Its nearest to a hello handler is a line of mruby.
h2o_conf() {
    cat <<-END
		num-threads: 1
		max-connections: 12000
		http1-request-timeout: 300
		$([ "$EUID" != 0 ] || echo "user: root")
		listen: { host: 127.0.0.1, port: $port${tls:+, ssl: { certificate-file: $dir/cert.pem, key-file: $dir/key.pem \}} }
		hosts:
		  default:
		    paths:
		      "/hello":
		        mruby.handler: |
		          Proc.new { |env| [200, {"content-type" => "text/plain"}, ["hello\n"]] }
		      "/":
		        file.dir: $dir/www
	END
}

# family PID: the process and its children (nginx: master and worker).
family() {
    echo "$1"
    pgrep -P "$1" || true
}

# check URL BYTES: a benchmark of error pages is easily made.
check() {
    local got
    got=$(curl -sk --http1.1 -H "$accept" -o /dev/null -w '%{http_code} %{size_download}' "$1")
    [ "$got" = "200 $2" ] && return
    echo "$1: expected 200 and $2 bytes, got $got" >&2
    exit 1
}

# load URL REQUESTS [CONNECTIONS]: exactly so many requests over 64 keep-alive connections.
load() {
    taskset -c "$CLIENT_CPU" h2load --h1 -H "$accept" -n "$2" -c "${3:-64}" "$1" >"$dir/h2load.log"
    grep -q "^requests: .* $2 succeeded" "$dir/h2load.log" && return
    grep ^requests: "$dir/h2load.log" >&2
    exit 1
}

# machine KIND...: a line of date and machine, and one of the versions of ecohttpd and of these peers.
machine() {
    local cpu kind
    cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)
    printf '%s, %s, Linux %s, server on one core\n' "$(date -u +%F)" "${cpu:-$(uname -m)}" "$(uname -r)"
    for kind in ecohttpd "$@"; do
        case $kind in
        ecohttpd) echo "ecohttpd/$(git describe --always --dirty 2>/dev/null || echo unknown)" ;;
        nginx) nginx -v 2>&1 | sed 's/.*: //' ;;
        lighttpd) lighttpd -v | sed 's/ .*//;q' ;;
        h2o) h2o -v | sed 's/ version /\//;q' ;;
        esac
    done | paste -sd ' '
    echo
}
