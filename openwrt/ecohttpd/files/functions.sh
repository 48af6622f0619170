# shellcheck shell=dash
# Who serves this router's web pages, uhttpd or ecohttpd, and how it changes without leaving it with neither.
#
# Sourced by the init script, by the package's scripts and by /etc/uci-defaults/50_ecohttpd.
#
# ecohttpd is in charge of /etc/config/uhttpd when ecohttpd.global.use_uhttpd_config is 1. Then the sections there have
# `enabled 0`, so that nobody starts uhttpd beside it: others call `service uhttpd reload`, which starts a stopped
# service. ecohttpd.global.taken lists the sections that were enabled, as NAME or as NAME=VALUE-OF-ENABLED, to restore
# exactly these.

ECO_BIN=/usr/sbin/ecohttpd
ECO_INIT=/etc/init.d/ecohttpd
ECO_SHARE=/usr/share/ecohttpd
# What the daemon reads: made from UCI at each start and reload, and good whenever it is there.
ECO_CONF=/var/etc/ecohttpd.conf
UHTTPD_INIT=/etc/init.d/uhttpd

# Seconds until a server that was started must answer. A slow router takes two, and five more if procd starts it again.
ECO_PATIENCE=20
# Seconds of these that one address may take.
ECO_PROBE=5
# Seconds until a server that was stopped has let go of its ports; procd kills after five.
ECO_STOPPING=7

# eco_say LEVEL TEXT: to the system's log, and to whoever looks on.
eco_say() {
	logger -t ecohttpd -p "daemon.$1" "$2" 2>/dev/null
	echo "ecohttpd: $2" >&2
}

eco_in_charge() {
	case "$(uci -q get ecohttpd.global.use_uhttpd_config)" in
	1) return 0 ;;
	0 | auto) return 1 ;;
	# The file was lost. Whoever does not start at boot was not in charge.
	*) ! { [ -x "$UHTTPD_INIT" ] && "$UHTTPD_INIT" enabled; } ;;
	esac
}

# The sections of uhttpd, as uci names them.
eco_sections() {
	uci -q show uhttpd | sed -n 's/^uhttpd\.\([^.=]*\)=uhttpd$/\1/p'
}

# Has uhttpd leave every enabled section alone, and notes which they were. Fails if that can't be written.
eco_take_sections() {
	local section enabled taken
	taken=" $(uci -q get ecohttpd.global.taken) "
	for section in $(eco_sections); do
		enabled="$(uci -q get "uhttpd.$section.enabled")"
		case "$enabled" in 0 | off | false | no | disabled) continue ;; esac
		case "$taken" in
		*" $section "* | *" $section="*) ;;
		*) uci -q add_list "ecohttpd.global.taken=$section${enabled:+=$enabled}" ;;
		esac
		uci -q set "uhttpd.$section.enabled=0"
	done
	# In this order: what is noted and not yet done does no harm.
	uci -q commit ecohttpd && uci -q commit uhttpd
}

# Gives uhttpd its sections back.
eco_restore_sections() {
	local entry
	for entry in $(uci -q get ecohttpd.global.taken); do
		case "$entry" in
		*=*) uci -q set "uhttpd.${entry%%=*}.enabled=${entry#*=}" ;;
		*) uci -q delete "uhttpd.$entry.enabled" ;;
		esac
	done
	uci -q delete ecohttpd.global.taken
}

# eco_generate WITH_UHTTPD: prints the configuration: the sections that are served, those of uhttpd (if 1) and our own.
# A section of ours by the name of one of uhttpd's adds to it. Fails if UCI can't read a file.
eco_generate() {
	local text=""
	if [ "$1" = 1 ]; then
		text="$(uci export uhttpd)" || return 1
	fi
	if [ -e /etc/config/ecohttpd ]; then
		text="$text
$(uci export ecohttpd)" || return 1
	fi
	printf '%s\n' "$text" | awk -v taken="$(uci -q get ecohttpd.global.taken)" -f "$ECO_SHARE/sections.awk"
}

# eco_serves FILE: whether a configuration has anything to serve.
eco_serves() {
	grep -q '^config uhttpd' "$1"
}

# What is served when the configuration can't be: LuCI, where OpenWrt has it; on the LAN alone if its address is known.
eco_rescue() {
	local lan
	lan="$(uci -q get network.lan.ipaddr)"
	lan="${lan%%[ /]*}"
	case "$lan" in
	'' | *[!0-9.]*) lan=0.0.0.0 ;;
	esac
	echo "config uhttpd 'rescue'"
	printf "\tlist listen_http '%s:80'\n\tlist listen_https '%s:443'\n" "$lan" "$lan"
	[ "$lan" = 0.0.0.0 ] || printf "\tlist listen_http '127.0.0.1:80'\n"
	printf "\toption home '/www'\n\toption rfc1918_filter '1'\n\toption ubus_prefix '/ubus'\n"
}

# Makes the file that a configuration grows in, for nobody else's eyes: there may be passwords in it.
eco_draft() {
	mkdir -p "${ECO_CONF%/*}"
	rm -f "$ECO_CONF.new"
	(umask 077 && : >"$ECO_CONF.new")
}

# eco_configure: makes the daemon's configuration. Fails if there is nothing to be served.
eco_configure() {
	local draft="$ECO_CONF.new" with=0 error
	eco_draft
	if [ "$ECO_RESCUE" = 1 ]; then
		rm -f "$draft"
		eco_rescue >"$ECO_CONF"
		return
	fi
	if eco_in_charge; then
		with=1
		eco_take_sections || eco_say err "the sections of uhttpd can't be marked as taken: is the flash full?"
	fi
	if ! error="$(eco_generate "$with" 2>&1 >"$draft")"; then
		[ -n "$error" ] || error="uci could not read it"
	elif eco_serves "$draft"; then
		error="$("$ECO_BIN" --config "$draft" --dump 2>&1 >/dev/null)" && {
			mv "$draft" "$ECO_CONF"
			return
		}
	elif [ "$with" = 0 ]; then
		rm -f "$draft" "$ECO_CONF"
		eco_say notice "there is nothing to serve, as uhttpd is in charge; to change that: service ecohttpd take_over"
		return 1
	else
		error="no section 'config uhttpd' is enabled"
	fi
	rm -f "$draft"
	eco_say err "the configuration is wrong: $error"
	if [ -s "$ECO_CONF" ]; then
		eco_say err "the one in force stays"
	elif [ "$with" = 1 ]; then
		eco_say err "LuCI is served as OpenWrt has it; mend the configuration, then: service ecohttpd reload"
		eco_rescue >"$ECO_CONF"
	else
		return 1
	fi
}

# eco_listeners FILE: the addresses that a configuration listens on, as "PORT ADDRESS" lines.
eco_listeners() {
	"$ECO_BIN" --config "$1" --dump 2>/dev/null |
		sed -n "s/^[[:space:]]*list listen_https\{0,1\} '\(.*\)'\$/\1/p" |
		sed 's/^\([0-9]*\)$/0.0.0.0:\1/; s/^\[\(.*\)\]:/\1:/; s/^\(.*\):\([0-9]*\)$/\2 \1/'
}

# eco_holders: who listens where, as "PORT ADDRESS PROGRAM" lines.
eco_holders() {
	{
		cat /proc/net/tcp /proc/net/tcp6
		ls -l /proc/[0-9]*/fd
	} 2>/dev/null | awk -f "$ECO_SHARE/holders.awk" | sort -u
}

# eco_strangers FILE: who else has an address that a configuration wants, as lines to be read by people.
#
# Where that can't be told from other addresses of the port (IPv6), it counts as the same.
eco_strangers() {
	local port address program wanted wanted_port
	wanted="$(eco_listeners "$1")"
	eco_holders | while read -r port address program; do
		case "$program" in uhttpd | ecohttpd | -) continue ;; esac
		echo "$wanted" | while read -r wanted_port wanted; do
			[ "$wanted_port" = "$port" ] || continue
			case "$wanted $address" in
			0.0.0.0\ * | ::\ * | *\ any | *\ any6) ;;
			# IPv6 and IPv4, then both IPv6, both IPv4, and IPv4 and IPv6.
			*:*\ ????????) continue ;;
			*:*) ;;
			*\ ????????)
				# shellcheck disable=SC2046
				set -- $(echo "$wanted" | tr . ' ')
				case "$address" in
				"$(printf '%02X%02X%02X%02X' "$@")" | "$(printf '%02X%02X%02X%02X' "$4" "$3" "$2" "$1")") ;;
				*) continue ;;
				esac
				;;
			*) continue ;;
			esac
			echo "port $port is used by $program"
		done
	done | sort -u
}

# Whether ecohttpd listens; one that is about to end does not.
eco_listens() {
	eco_holders | grep -q ' ecohttpd$'
}

# Whether ecohttpd answers, at any of its addresses.
eco_answers() {
	local port address program
	eco_holders | {
		while read -r port address program; do
			[ "$program" = ecohttpd ] || continue
			case "$address" in
			any | 0100007F | 7F000001) address=127.0.0.1 ;;
			any6) address=::1 ;;
			# The router may not have that address yet: that it is listened on is all that can be told.
			*) exit 0 ;;
			esac
			! eco_speaks "$address" "$port" || exit 0
		done
		exit 1
	}
}

# eco_speaks ADDRESS PORT: whether there is an answer in HTTP. Over TLS, too: a request without gets one that says so.
eco_speaks() {
	local answer="${ECO_CONF%/*}/ecohttpd.answer" deadline probe
	command -v nc >/dev/null || return 0
	deadline=$(($(eco_now) + ECO_PROBE))
	rm -f "$answer"
	# OpenWrt's nc has no option for the time that it may take, and there is no `timeout`.
	printf 'OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' | nc "$1" "$2" >"$answer" 2>/dev/null &
	probe=$!
	while [ "$(eco_now)" -lt "$deadline" ] && kill -0 "$probe" 2>/dev/null && ! grep -qs '^HTTP/1' "$answer"; do
		sleep 1
	done
	kill "$probe" 2>/dev/null
	grep -qs '^HTTP/1' "$answer"
}

# Seconds since the boot: the time of day jumps once the router learns it.
eco_now() {
	local uptime
	read -r uptime _ </proc/uptime
	echo "${uptime%.*}"
}

# Waits until ecohttpd answers.
eco_await() {
	local deadline
	deadline=$(($(eco_now) + ECO_PATIENCE))
	until eco_answers; do
		[ "$(eco_now)" -lt "$deadline" ] || return 1
		sleep 1
	done
}

# eco_await_end PROGRAM: waits until it has let go of its ports.
eco_await_end() {
	local seconds=0
	while pidof "$1" >/dev/null && [ "$seconds" -lt "$ECO_STOPPING" ]; do
		seconds=$((seconds + 1))
		sleep 1
	done
}

# eco_refuse TEXT: says why all stays as it is.
eco_refuse() {
	rm -f "$ECO_CONF.new"
	eco_say err "$1"
	eco_say err "uhttpd stays in charge; when that is mended: service ecohttpd take_over"
	return 1
}

# Takes over from uhttpd. Whatever fails, a web server is there: uhttpd until the last step, then by the init script.
eco_take_over() {
	local draft="$ECO_CONF.new" error was_running=0
	"$ECO_BIN" --version >/dev/null 2>&1 || {
		eco_refuse "$ECO_BIN does not run on this router"
		return
	}
	[ -e /etc/config/uhttpd ] || cp "$ECO_SHARE/uhttpd.config" /etc/config/uhttpd || return
	eco_draft
	error="$(eco_generate 1 2>&1 >"$draft")" || {
		eco_refuse "the configuration can't be read: $error"
		return
	}
	eco_serves "$draft" || {
		eco_refuse "no section 'config uhttpd' is enabled in /etc/config/uhttpd"
		return
	}
	error="$("$ECO_BIN" --config "$draft" --test 2>&1 >/dev/null)" || {
		eco_refuse "the configuration is wrong: $error"
		return
	}
	error="$(eco_strangers "$draft")"
	[ -z "$error" ] || {
		eco_refuse "$error"
		return
	}
	rm -f "$draft"
	uci -q get ecohttpd.global >/dev/null || uci -q set ecohttpd.global=ecohttpd
	uci -q set ecohttpd.global.use_uhttpd_config=1
	eco_take_sections || {
		# Half of it may have been written; what can't be is not to wait for a better moment.
		eco_restore_sections
		uci -q set ecohttpd.global.use_uhttpd_config=auto
		uci -q commit uhttpd
		uci -q commit ecohttpd
		uci -q revert uhttpd
		uci -q revert ecohttpd
		eco_refuse "the configuration can't be written: is the flash full?"
		return
	}
	# Ours first: without power between the two, both start, and the sections tell who serves.
	"$ECO_INIT" enable
	if [ -x "$UHTTPD_INIT" ]; then
		! pidof uhttpd >/dev/null || was_running=1
		"$UHTTPD_INIT" disable
		"$UHTTPD_INIT" stop
		[ "$was_running" = 0 ] || eco_await_end uhttpd
	fi
	# While the router boots, or the package is installed, it is started anyway, and later than uhttpd was not yet.
	[ "$was_running" = 0 ] || "$ECO_INIT" start
}

# eco_give_back STATE: gives everything back to uhttpd; use_uhttpd_config becomes STATE.
eco_give_back() {
	eco_restore_sections
	uci -q set "ecohttpd.global.use_uhttpd_config=$1"
	# Uncommitted, on a full flash, uhttpd sees it as well: until the next boot.
	uci -q commit uhttpd
	uci -q commit ecohttpd
	[ ! -x "$UHTTPD_INIT" ] || "$UHTTPD_INIT" enable
	"$ECO_INIT" stop
	eco_await_end ecohttpd
	rm -f "$ECO_CONF"
	[ ! -x "$UHTTPD_INIT" ] || "$UHTTPD_INIT" start
}
