# shellcheck shell=dash
# Switches between uhttpd and ecohttpd, and makes sure that one of them serves this router.
#
# Sourced by the init script, by the package's scripts and by /etc/uci-defaults/50_ecohttpd.
#
# ecohttpd serves /etc/config/uhttpd if ecohttpd.global.use_uhttpd_config is 1. Then the sections there have `enabled 0`,
# so that uhttpd does not start as well: other packages call `service uhttpd reload`, which starts a stopped service.
# ecohttpd.global.taken lists the sections that were enabled, as NAME or as NAME=VALUE-OF-ENABLED, to restore them.

ECO_BIN=/usr/sbin/ecohttpd
ECO_INIT=/etc/init.d/ecohttpd
ECO_SHARE=/usr/share/ecohttpd
# The configuration that the daemon reads: made from UCI at each start and reload. If it exists, it is valid.
ECO_CONF=/var/etc/ecohttpd.conf
# Where rpcd keeps what LuCI's sessions have changed and not applied: a folder for each, uci-SESSION.
ECO_SESSIONS=/var/run/rpcd
UHTTPD_INIT=/etc/init.d/uhttpd

# Seconds until a started server must answer. A slow router takes two, and five more if procd restarts it.
ECO_PATIENCE=20
# Seconds of these for one address.
ECO_PROBE=5
# Seconds until a stopped server has released its ports; procd kills it after five.
ECO_STOPPING=7

# eco_say LEVEL TEXT: logs a line, and prints it.
eco_say() {
	logger -t ecohttpd -p "daemon.$1" "$2" 2>/dev/null
	echo "ecohttpd: $2" >&2
}

eco_in_charge() {
	case "$(uci -q get ecohttpd.global.use_uhttpd_config)" in
	1) return 0 ;;
	0 | auto) return 1 ;;
	# The file was lost. ecohttpd was in charge unless uhttpd is enabled.
	*) ! { [ -x "$UHTTPD_INIT" ] && "$UHTTPD_INIT" enabled; } ;;
	esac
}

# The sections of uhttpd, as uci names them.
eco_sections() {
	uci -q show uhttpd | sed -n 's/^uhttpd\.\([^.=]*\)=uhttpd$/\1/p'
}

# Disables all enabled sections of uhttpd, and notes which they were. Fails if that can't be written.
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
	# In this order: a section that is noted but still enabled does no harm.
	uci -q commit ecohttpd && uci -q commit uhttpd
}

# LuCI is several times as fast with /ubus, which is part of ecohttpd. Who sets ubus_prefix for uhttpd has decided.
eco_add_ubus() {
	uci -q get uhttpd.main >/dev/null && ! uci -q get uhttpd.main.ubus_prefix >/dev/null || return 0
	uci -q get ecohttpd.main >/dev/null || uci -q set ecohttpd.main=uhttpd
	uci -q get ecohttpd.main.ubus_prefix >/dev/null || uci -q set ecohttpd.main.ubus_prefix=/ubus
}

# Enables the sections of uhttpd again.
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

# eco_export PACKAGE: its sections, with the changes in the folder ECO_CHANGES if that is set.
eco_export() {
	uci ${ECO_CHANGES:+-P "$ECO_CHANGES"} export "$1"
}

# eco_generate WITH_UHTTPD: prints the configuration: the enabled sections of uhttpd (if 1) and of ecohttpd. A section of
# ecohttpd with the name of one of uhttpd adds to it. Fails if UCI can't read a file.
eco_generate() {
	local text=""
	if [ "$1" = 1 ]; then
		text="$(eco_export uhttpd)" || return 1
	fi
	if [ -e /etc/config/ecohttpd ]; then
		text="$text
$(eco_export ecohttpd)" || return 1
	fi
	printf '%s\n' "$text" | awk -v taken="$(uci -q get ecohttpd.global.taken)" -f "$ECO_SHARE/sections.awk"
}

# eco_serves FILE: whether a configuration has anything to serve.
eco_serves() {
	grep -q '^config uhttpd' "$1"
}

# The configuration if no other is valid: LuCI at its usual place, on the LAN only if its address is known.
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

# eco_draft FILE: creates a draft of the configuration, readable by root only: it may contain passwords.
eco_draft() {
	mkdir -p "${ECO_CONF%/*}"
	rm -f "$1"
	(umask 077 && : >"$1")
}

# eco_configure: makes the configuration of the daemon. Fails if there is nothing to serve.
eco_configure() {
	local draft="$ECO_CONF.new" with=0 error
	eco_draft "$draft"
	if [ "$ECO_RESCUE" = 1 ]; then
		rm -f "$draft"
		eco_rescue >"$ECO_CONF"
		return
	fi
	if eco_in_charge; then
		with=1
		eco_take_sections || eco_say err "cannot disable the sections of uhttpd: is the flash full?"
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
		eco_say notice "nothing to serve: uhttpd is in charge; to change that, run: service ecohttpd take_over"
		return 1
	else
		error="no section 'config uhttpd' is enabled"
	fi
	rm -f "$draft"
	eco_say err "configuration error: $error"
	if [ -s "$ECO_CONF" ]; then
		eco_say err "keeping the old configuration"
	elif [ "$with" = 1 ]; then
		eco_say err "serving LuCI with the default configuration; fix the configuration, then run: service ecohttpd reload"
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

# eco_strangers FILE: other programs that listen on an address of a configuration, as lines for people to read.
#
# IPv6 addresses are not compared: any other on the same port counts.
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

# Whether ecohttpd listens. One that is about to exit does not.
eco_listens() {
	eco_holders | grep -q ' ecohttpd$'
}

# Whether ecohttpd answers on one of its addresses.
eco_answers() {
	local port address program
	eco_holders | {
		while read -r port address program; do
			[ "$program" = ecohttpd ] || continue
			case "$address" in
			any | 0100007F | 7F000001) address=127.0.0.1 ;;
			any6) address=::1 ;;
			# The router may not have that address yet, so listening is enough.
			*) exit 0 ;;
			esac
			! eco_speaks "$address" "$port" || exit 0
		done
		exit 1
	}
}

# eco_speaks ADDRESS PORT: whether there is an answer in HTTP. A port with TLS also gives one to a request without.
eco_speaks() {
	local answer="${ECO_CONF%/*}/ecohttpd.answer" deadline probe
	command -v nc >/dev/null || return 0
	deadline=$(($(eco_now) + ECO_PROBE))
	rm -f "$answer"
	# OpenWrt's nc has no timeout, and there is no program `timeout`.
	printf 'OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' | nc "$1" "$2" >"$answer" 2>/dev/null &
	probe=$!
	while [ "$(eco_now)" -lt "$deadline" ] && kill -0 "$probe" 2>/dev/null && ! grep -qs '^HTTP/1' "$answer"; do
		sleep 1
	done
	kill "$probe" 2>/dev/null
	grep -qs '^HTTP/1' "$answer"
}

# Seconds since boot: the time of day jumps when the clock is set.
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

# eco_pids PROGRAM: the processes that execute it. pidof also finds scripts of that name, such as those in /etc/init.d.
eco_pids() {
	# A readlink for each would be slow.
	# shellcheck disable=SC2012
	ls -l /proc/[0-9]*/exe 2>/dev/null | sed -n "s#.* /proc/\([0-9]*\)/exe -> .*/$1\( (deleted)\)\{0,1\}\$#\1#p"
}

# Whether the server that runs is in the jail: procd sets no_new_privs for it.
eco_jailed() {
	local pid
	for pid in $(eco_pids ecohttpd); do
		grep -q '^NoNewPrivs:.*1' "/proc/$pid/status" && return
	done
	return 1
}

# eco_await_end PROGRAM: waits until it has released its ports.
eco_await_end() {
	local seconds=0
	while [ -n "$(eco_pids "$1")" ] && [ "$seconds" -lt "$ECO_STOPPING" ]; do
		seconds=$((seconds + 1))
		sleep 1
	done
}

# eco_check [SESSION]: prints what is wrong with the configuration that ecohttpd has, or would have in the place of uhttpd.
# Fails if that is an error. SESSION is how a session of LuCI begins, whose changes count, too: with all of it, others
# could read in the list of processes what logs them in.
eco_check() {
	local draft="$ECO_CONF.check.$$" status=0 ECO_CHANGES=""
	case "$1" in
	*[!0-9a-f]*) ;;
	????????*) for ECO_CHANGES in "$ECO_SESSIONS/uci-$1"*; do [ -d "$ECO_CHANGES" ] || ECO_CHANGES=""; done ;;
	esac
	eco_draft "$draft"
	eco_wrong "$draft" || status=1
	rm -f "$draft"
	return "$status"
}

# eco_wrong FILE: makes the configuration there, and prints what is wrong with it. Fails if that is an error.
eco_wrong() {
	local said status=0
	said="$(eco_generate 1 2>&1 >"$1")" || {
		echo "${said:-uci could not read it}"
		return 1
	}
	eco_serves "$1" || {
		echo "no section 'config uhttpd' is enabled"
		return 1
	}
	said="$("$ECO_BIN" --config "$1" --test 2>&1 >/dev/null)" || status=1
	# The file and its lines are of no use to people: it is made from others.
	[ -z "$said" ] || printf '%s\n' "$said" | sed "s|^ecohttpd: ||; s|^$1:[0-9: ]*||"
	said="$(eco_strangers "$1")"
	[ -z "$said" ] || {
		echo "$said"
		status=1
	}
	return "$status"
}

# eco_refuse TEXT: says why nothing changes.
eco_refuse() {
	rm -f "$ECO_CONF.new"
	eco_say err "$1"
	eco_say err "uhttpd stays in charge; when that is fixed, run: service ecohttpd take_over"
	return 1
}

# Takes over from uhttpd. A web server always runs: uhttpd until the last step, then what the init script makes sure of.
eco_take_over() {
	local draft="$ECO_CONF.new" error was_running=0
	"$ECO_BIN" --version >/dev/null 2>&1 || {
		eco_refuse "$ECO_BIN does not run on this router"
		return
	}
	[ -e /etc/config/uhttpd ] || cp "$ECO_SHARE/uhttpd.config" /etc/config/uhttpd || return
	eco_draft "$draft"
	error="$(eco_generate 1 2>&1 >"$draft")" || {
		eco_refuse "cannot read the configuration: $error"
		return
	}
	eco_serves "$draft" || {
		eco_refuse "no section 'config uhttpd' is enabled in /etc/config/uhttpd"
		return
	}
	error="$("$ECO_BIN" --config "$draft" --test 2>&1 >/dev/null)" || {
		eco_refuse "configuration error: $error"
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
	eco_add_ubus
	eco_take_sections || {
		# Part of it may have been written. The rest must not be written later.
		eco_restore_sections
		uci -q set ecohttpd.global.use_uhttpd_config=auto
		uci -q commit uhttpd
		uci -q commit ecohttpd
		uci -q revert uhttpd
		uci -q revert ecohttpd
		eco_refuse "cannot write the configuration: is the flash full?"
		return
	}
	# ecohttpd first: after a power failure in between both start, and the sections decide which one serves.
	"$ECO_INIT" enable
	if [ -x "$UHTTPD_INIT" ]; then
		[ -z "$(eco_pids uhttpd)" ] || was_running=1
		"$UHTTPD_INIT" disable
		"$UHTTPD_INIT" stop
		[ "$was_running" = 0 ] || eco_await_end uhttpd
	fi
	# At boot, and when the package is installed, it is started anyway.
	[ "$was_running" = 0 ] || "$ECO_INIT" start
}

# eco_give_back STATE: switches back to uhttpd, and sets use_uhttpd_config to STATE.
eco_give_back() {
	eco_restore_sections
	uci -q set "ecohttpd.global.use_uhttpd_config=$1"
	# If the flash is full, uhttpd sees the uncommitted change until the next boot.
	uci -q commit uhttpd
	uci -q commit ecohttpd
	[ ! -x "$UHTTPD_INIT" ] || "$UHTTPD_INIT" enable
	"$ECO_INIT" stop
	eco_await_end ecohttpd
	rm -f "$ECO_CONF"
	[ ! -x "$UHTTPD_INIT" ] || "$UHTTPD_INIT" start
}
