#!/bin/sh
# The CI of the feed runs this in a container of the target's architecture, with the package installed: $1 package,
# $2 version. It needs only the loopback interface.
set -e

case "$1" in
ecohttpd | ecohttpd-notls) ;;
*) exit 0 ;;
esac

work="$(mktemp -d)"
pid=""
trap '[ -z "$pid" ] || kill "$pid"; rm -rf "$work"' EXIT

[ "$(ecohttpd --version)" = "ecohttpd $2" ]

# An error is one line.
if ecohttpd --http-keepalive x 2>"$work/error"; then exit 1; fi
grep -e '-k: "x" is wrong' "$work/error"

mkdir "$work/www" "$work/www/cgi-bin"
echo 'a page' >"$work/www/index.html"
# shellcheck disable=SC2016
printf '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\nby $REQUEST_METHOD\\n"\n' >"$work/www/cgi-bin/hello"
chmod +x "$work/www/cgi-bin/hello"
chmod -R go+rX "$work"
cat >"$work/config" <<END
config uhttpd 'main'
	list listen_http '127.0.0.1:0'
	list header 'X-Test: 1'
	option home '$work/www'
END
ecohttpd --config "$work/config" --test

# It prints where it serves. The timeouts are for the event loop, which is what hangs on a broken processor or kernel.
ecohttpd -f --config "$work/config" >"$work/log" 2>&1 &
pid=$!
tries=0
until url="$(sed -n 's|.* at \(http://127.0.0.1:[0-9]*\)/$|\1|p' "$work/log")" && [ -n "$url" ]; do
	tries=$((tries + 1))
	[ "$tries" -lt 30 ] || { cat "$work/log" && exit 1; }
	sleep 1
done
timeout 30 wget -q -O - "$url/" | grep '^a page$'
timeout 30 wget -q -O - "$url/cgi-bin/hello" | grep '^by GET$'
if timeout 30 wget -q -O - "$url/missing" 2>/dev/null; then exit 1; fi

# A certificate is made, and HTTPS is served.
if [ "$1" = ecohttpd ]; then
	kill "$pid"
	wait "$pid" || true
	pid=""
	ecohttpd -f -s 127.0.0.1:0 --self-signed -C "$work/cert" -K "$work/key" -h "$work/www" >"$work/log" 2>&1 &
	pid=$!
	tries=0
	until grep 'https://127.0.0.1:' "$work/log"; do
		tries=$((tries + 1))
		[ "$tries" -lt 30 ] || { cat "$work/log" && exit 1; }
		sleep 1
	done
	grep 'BEGIN CERTIFICATE' "$work/cert"
fi

# It stops when it is told to.
kill "$pid"
wait "$pid"
pid=""
