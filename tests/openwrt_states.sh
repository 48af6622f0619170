# shellcheck shell=dash disable=SC2119,SC2120,SC2317
# Every state in which the package may find a router, and leave it: what its scripts do there, and who serves afterwards.
#
# Run by the router's own shell, in its tree and network, by openwrt.sh: $1 is the state.

# uhttpd is what it is on most routers; with an argument, its configuration has more sections, from standard input.
uhttpd_runs() {
    cp /packages/uhttpd.init /etc/init.d/uhttpd
    cp /packages/ecohttpd.bin /usr/sbin/uhttpd
    grep -v ubus_prefix /packages/ecohttpd/usr/share/ecohttpd/uhttpd.config >/etc/config/uhttpd
    [ $# = 0 ] || cat >>/etc/config/uhttpd
    /etc/init.d/uhttpd enable
    /etc/init.d/uhttpd start
    served_by uhttpd
    uci export uhttpd >/packages/before
}

# Everything that runs ends, /tmp is empty, and what is enabled starts: uci-defaults first, as in /etc/init.d/boot.
reboot() {
    local script
    for script in /tmp/procd/*/*/supervisor; do
        [ ! -e "$script" ] || kill "$(cat "$script")"
    done
    while runs ecohttpd uhttpd; do sleep 0.1; done
    cp /tmp/syslog /packages/syslog.before 2>/dev/null
    rm -rf /tmp/* /tmp/.uci
    for script in /etc/uci-defaults/*; do
        # shellcheck disable=SC1090
        [ ! -e "$script" ] || { (cd /etc/uci-defaults && . "$script") && rm -f "$script"; }
    done
    uci commit
    for script in /etc/rc.d/S*; do
        "$script" boot
    done
}

# A change in LuCI: committed, then told to procd, which runs what asked for it.
changed() {
    uci commit "$1"
    cat /tmp/procd/*.triggers | sed -n "s/^config.change $1 //p" | sort -u | while read -r line; do
        # shellcheck disable=SC2086
        $line
    done
}

# check NAME COMMAND...: notes whether the command succeeds, within thirty seconds.
check() {
    local name=$1 tries=0
    shift
    until "$@" >/tmp/check 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || {
            echo "FAILED: $name: $*"
            head -n 5 /tmp/check
            failed=1
            return
        }
        sleep 0.1
    done
    checks=$((checks + 1))
}

# What must hold at once.
check_now() {
    local name=$1
    shift
    if "$@" >/tmp/check 2>&1; then
        checks=$((checks + 1))
    else
        echo "FAILED: $name: $*"
        head -n 5 /tmp/check
        failed=1
    fi
}

not() { ! "$@"; }
is() { [ "$1" = "$2" ]; }
said() { grep -q -e "$1" /tmp/syslog; }
option() { uci -q get "$1"; }
holds() { eco_holders | grep -q "^$2 .* $1\$"; }
holds_everywhere() { eco_holders | grep -q "^$2 any6\\{0,1\\} $1\$"; }
answers() { printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "${2:-/}" "${3:-localhost}" | busybox nc -w 5 127.0.0.1 "$1"; }
answer_has() { answers "$1" "$2" "$4" | grep -q -e "$3"; }
process() { eco_pids "$1" | sort -n | head -n 1; }
served_anew() { runs ecohttpd && ! is "$(process ecohttpd)" "$1"; }
# Whether one of these programs runs.
runs() { for program; do [ -z "$(eco_pids "$program")" ] || return 0; done; return 1; }

# Port 80 is served by that program, and by it alone.
served_by() {
    local other=uhttpd
    [ "$1" = uhttpd ] && other=ecohttpd
    check "$1 listens" holds "$1" 80
    check "LuCI's page" answer_has 80 / '<h1>LuCI</h1>'
    check_now "$other is gone" not runs "$other"
}

# LuCI is served by us, now and whatever others do to uhttpd.
in_charge() {
    served_by ecohttpd
    check "scripts run" answer_has 80 /cgi-bin/luci 'LuCI by CGI/1.1'
    check "HTTPS" holds ecohttpd 443
    check_now "noted" is "$(option ecohttpd.global.use_uhttpd_config)" 1
    check_now "starts at boot" test -e /etc/rc.d/S50ecohttpd
    if [ -e /etc/init.d/uhttpd ]; then
        check_now "uhttpd does not" not test -e /etc/rc.d/S50uhttpd
        service uhttpd reload
        service uhttpd restart
        check_now "the trap is closed" not runs uhttpd
    fi
}

# All is as it was before.
given_back() {
    served_by uhttpd
    uci export uhttpd >/packages/after
    check_now "uhttpd's configuration is what it was" cmp /packages/before /packages/after
    check_now "uhttpd starts at boot" test -e /etc/rc.d/S50uhttpd
}

refused() {
    given_back
    check_now "nothing was taken" is "$(option ecohttpd.global.use_uhttpd_config):$(option ecohttpd.global.taken)" auto:
    check_now "and it says why" said "$1"
    check_now "and what to do" said 'service ecohttpd take_over'
}

# The next package, broken in a way.
broken_program() {
    cat >/packages/ecohttpd/usr/sbin/ecohttpd
    chmod +x /packages/ecohttpd/usr/sbin/ecohttpd
}

fresh_opkg() {
    uhttpd_runs
    pkg opkg install
    in_charge
    check_now "done once" not test -e /etc/uci-defaults/50_ecohttpd
    reboot
    in_charge
}

fresh_apk() {
    uhttpd_runs
    pkg apk install
    in_charge
    reboot
    in_charge
}

first_boot_of_an_image() {
    uhttpd_runs
    pkg image install
    reboot
    in_charge
    reboot
    in_charge
}

uhttpd_absent() {
    pkg opkg install
    in_charge
    pkg opkg remove
    check_now "it says that nobody serves" said 'no web server is left'
    check_now "nothing of it is left" not runs ecohttpd
    check_now "a uhttpd that came would serve" is "$(option uhttpd.main.enabled)" ""
}

image_without_uhttpd() {
    pkg image install
    reboot
    in_charge
}

uhttpd_not_in_use() {
    uhttpd_runs
    /etc/init.d/uhttpd stop
    /etc/init.d/uhttpd disable
    pkg opkg install
    check_now "nobody opens LuCI to the network" not runs ecohttpd uhttpd
    check_now "it says how to" said 'service ecohttpd take_over'
    service ecohttpd take_over
    in_charge
}

broken_configuration() {
    uhttpd_runs with <<END

config uhttpd 'other'
	list listen_http '127.0.0.1:8081'
	option home '/www'
	option http_keepalive 'often'
END
    pkg opkg install
    refused 'http_keepalive: "often" is wrong'
    reboot
    given_back
}

unreadable_configuration() {
    uhttpd_runs
    echo "	option realm 'open" >>/etc/config/uhttpd
    cp /etc/config/uhttpd /packages/kept
    pkg opkg install
    check_now "it says why" said 'Parse error'
    check_now "the file is what it was" cmp /packages/kept /etc/config/uhttpd
    served_by uhttpd
}

missing_folder() {
    uhttpd_runs with <<END

config uhttpd 'other'
	list listen_http '127.0.0.1:8081'
	option home '/srv/missing'
	option enabled '0'
END
    uci set uhttpd.other.enabled=1
    uci commit
    uci export uhttpd >/packages/before
    pkg opkg install
    refused '/srv/missing'
}

port_taken_at() {
    uhttpd_runs with <<END

config uhttpd 'other'
	list listen_http '127.0.0.1:8081'
	option home '/www'
	option enabled '0'
END
    cp /packages/ecohttpd.bin /usr/sbin/nginx
    /usr/sbin/nginx -f -h /www -p "$1:8081" &
    uci set uhttpd.other.enabled=1
    uci commit
    uci export uhttpd >/packages/before
    check "somebody is there" holds nginx 8081
    pkg opkg install
}

port_taken() {
    port_taken_at 127.0.0.1
    refused 'port 8081 is used by nginx'
}

port_taken_by_all() {
    port_taken_at 0.0.0.0
    refused 'port 8081 is used by nginx'
}

port_taken_elsewhere() {
    port_taken_at 127.0.0.3
    in_charge
}

program_does_not_run() {
    uhttpd_runs
    printf '#!/bin/sh\nexit 132\n' | broken_program
    pkg opkg install
    refused 'does not run on this router'
}

program_does_not_serve() {
    uhttpd_runs
    cat <<'END' | broken_program
#!/bin/sh
case "$*" in *--version* | *--test* | *--dump*) exec /packages/ecohttpd.bin "$@" ;; esac
exit 139
END
    pkg "$1" install
    given_back
    check_now "not to be tried again by itself" is "$(option ecohttpd.global.use_uhttpd_config)" 0
    check_now "it says so" said 'switched back to uhttpd'
    reboot
    given_back
}

# It listens and never answers: a program of its name that only reads, and stands still as soon as it is seen.
program_stalls() {
    mkdir /packages/stalled
    cp /bin/busybox /packages/stalled/ecohttpd
    ln -s ecohttpd /packages/stalled/nc
    uhttpd_runs
    cat <<'END' | broken_program
#!/bin/sh
case "$*" in *--version* | *--test* | *--dump*) exec /packages/ecohttpd.bin "$@" ;; esac
(until netstat -tln | grep -q ':80 '; do sleep 0.1; done; kill -STOP $$) &
exec /packages/stalled/nc -l -p 80
END
    pkg opkg install
    given_back
    check_now "it says so" said 'does not answer'
}

# One that served before and is busy is not given up for a change of its configuration.
busy_at_a_change() {
    uhttpd_runs
    pkg opkg install
    in_charge
    kill -STOP "$(process ecohttpd)"
    uci set uhttpd.main.http_keepalive=7
    changed uhttpd
    kill -CONT "$(process ecohttpd)"
    check_now "nobody waited for it" not said 'does not answer'
    in_charge
}

# procd does not wait for the end of a server that is stopped: this one is killed after five seconds.
restart_of_one_that_stalls() {
    uhttpd_runs
    pkg opkg install
    in_charge
    kill -STOP "$(process ecohttpd)"
    printf '#!/bin/sh\ncase "$*" in *--dump*) exec /packages/ecohttpd.bin "$@" ;; esac\nexit 139\n' >/usr/sbin/ecohttpd.new
    chmod +x /usr/sbin/ecohttpd.new
    mv /usr/sbin/ecohttpd.new /usr/sbin/ecohttpd
    service ecohttpd restart
    given_back
    check_now "it says so" said 'switched back to uhttpd'
}

program_does_not_serve_opkg() { program_does_not_serve opkg; }
program_does_not_serve_apk() { program_does_not_serve apk; }

flash_full() {
    uhttpd_runs
    touch /tmp/flash-full
    pkg opkg install
    rm /tmp/flash-full
    rm -rf /tmp/.uci
    refused 'flash full'
}

sections_of_all_kinds() {
    uhttpd_runs with <<END

config uhttpd 'off'
	list listen_http '127.0.0.1:8081'
	option home '/www'
	option enabled '0'

config uhttpd
	list listen_http '127.0.0.1:8082'
	option home '/www'

config uhttpd 'on'
	list listen_http '127.0.0.1:8083'
	option home '/www'
	option enabled '1'
END
    pkg opkg install
    in_charge
    check_now "which were taken" is "$(option ecohttpd.global.taken)" 'main @uhttpd[2] on=1'
    check_now "the one without a name" holds ecohttpd 8082
    check_now "the one that was on" holds ecohttpd 8083
    check_now "the one that was off" not holds ecohttpd 8081
    pkg opkg remove
    given_back
    check_now "nothing of it is left" not runs ecohttpd
}

upgrade() {
    uhttpd_runs
    pkg "$1" install
    in_charge
    local before
    before=$(process ecohttpd)
    pkg "$1" upgrade
    in_charge
    check_now "it is the new one" not is "$before" "$(process ecohttpd)"
    check_now "its sections once" is "$(option ecohttpd.global.taken)" main
    printf '#!/bin/sh\nexit 132\n' | broken_program
    pkg "$1" upgrade
    given_back
    cp /packages/ecohttpd.bin /packages/ecohttpd/usr/sbin/ecohttpd
    pkg "$1" upgrade
    given_back
    check_now "as it was decided" is "$(option ecohttpd.global.use_uhttpd_config)" 0
    service ecohttpd take_over
    in_charge
}

upgrade_opkg() { upgrade opkg; }
upgrade_apk() { upgrade apk; }

removal() {
    uhttpd_runs
    pkg "$1" install
    in_charge
    pkg "$1" remove
    given_back
    check_now "nothing runs of it" not runs ecohttpd
    check_now "nothing starts" not test -e /etc/rc.d/S50ecohttpd
    reboot
    given_back
    pkg "$1" install
    in_charge
}

removal_opkg() { removal opkg; }
removal_apk() { removal apk; }

firmware_without_it() {
    uhttpd_runs
    pkg opkg install
    in_charge
    # A new firmware: what is kept are configuration and what keep.d names; uhttpd is enabled.
    grep -v '^/etc/config/' /packages/ecohttpd.list | grep -vxf /lib/upgrade/keep.d/ecohttpd | xargs rm -f
    rm -f /etc/rc.d/*
    /etc/init.d/uhttpd enable
    reboot
    given_back
    check_now "that was the last of it" not test -e /etc/uci-defaults/zz_ecohttpd-gone
}

# The steps of a takeover that are done when the power fails: nothing of them, or half of it, must leave nobody.
power_lost() {
    uhttpd_runs
    pkg image install
    rm /etc/uci-defaults/50_ecohttpd
    reboot
    given_back
    uci set ecohttpd.global.use_uhttpd_config=1
    uci add_list ecohttpd.global.taken=main
    uci commit
    reboot
    served_by ecohttpd
    check_now "taken once" is "$(option ecohttpd.global.taken):$(option uhttpd.main.enabled)" main:0
    service uhttpd reload
    served_by ecohttpd
}

switched_back_by_hand() {
    uhttpd_runs
    pkg opkg install
    in_charge
    service ecohttpd disable
    reboot
    check_now "disabled is disabled" not runs ecohttpd uhttpd
    service uhttpd enable
    reboot
    given_back
    check_now "that is a decision" is "$(option ecohttpd.global.use_uhttpd_config)" 0
    service ecohttpd take_over
    in_charge
    reboot
    in_charge
}

configuration_breaks_later() {
    uhttpd_runs
    pkg opkg install
    in_charge
    local before
    before=$(process ecohttpd)
    uci set uhttpd.main.http_keepalive=often
    changed uhttpd
    check_now "it says what" said 'http_keepalive: "often" is wrong'
    check_now "the old one serves" is "$before" "$(process ecohttpd)"
    in_charge
    reboot
    in_charge
    check_now "it says what" said 'http_keepalive: "often" is wrong'
    uci set uhttpd.main.http_keepalive=20
    uci add_list uhttpd.main.listen_http=127.0.0.1:8085
    changed uhttpd
    check "mended, it is served" holds ecohttpd 8085
}

configuration_is_lost() {
    uhttpd_runs
    pkg opkg install
    : >/etc/config/uhttpd
    uci set network.lan=interface 2>/dev/null
    printf "config interface 'lan'\n\toption ipaddr '192.0.2.1/24'\n" >/etc/config/network
    reboot
    served_by ecohttpd
    check_now "on the LAN alone" not holds_everywhere ecohttpd 443
    check_now "on the LAN" holds ecohttpd 443
    echo "option x 'y" >/etc/config/uhttpd
    reboot
    served_by ecohttpd
}

own_configuration_is_lost() {
    uhttpd_runs
    pkg opkg install
    : >/etc/config/ecohttpd
    reboot
    served_by ecohttpd
    rm /etc/config/ecohttpd
    reboot
    served_by ecohttpd
}

another_server_at_boot() {
    uhttpd_runs
    pkg opkg install
    uci add_list uhttpd.main.listen_http=127.0.0.1:8086
    uci commit
    while :; do busybox nc -l -p 8086; done &
    sleep 0.3
    reboot
    # One of its addresses can't be bound: it serves at the others, and tries that one again.
    check "somebody serves LuCI" answer_has 80 / '<h1>LuCI</h1>'
    served_by ecohttpd
    check_now "it says so" said 'cannot listen on 127.0.0.1:8086'
}

another_server_without_uhttpd() {
    pkg opkg install
    in_charge
    while :; do busybox nc -l -p 8086; done &
    check "somebody is there" holds busybox 8086
    uci add_list uhttpd.main.listen_http=127.0.0.1:8086
    uci commit
    reboot
    served_by ecohttpd
    check_now "it says so" said 'cannot listen on 127.0.0.1:8086'
}

new_section() {
    uhttpd_runs
    pkg opkg install
    in_charge
    printf "\nconfig uhttpd 'radio'\n\tlist listen_http '127.0.0.1:8087'\n\toption home '/www'\n" >>/etc/config/uhttpd
    changed uhttpd
    check "it is served" answer_has 8087 / '<h1>LuCI</h1>'
    in_charge
    pkg opkg remove
    check "and goes with the others" holds uhttpd 8087
}

what_uhttpd_lacks() {
    uhttpd_runs
    pkg opkg install
    mkdir -p /srv/cloud
    echo 'a cloud' >/srv/cloud/index.html
    chmod -R a+rX /srv
    local before
    before=$(process ecohttpd)
    cat >>/etc/config/ecohttpd <<END

config uhttpd 'main'
	list header 'X-Test: yes'

config uhttpd 'cloud'
	list listen_http '0.0.0.0:80'
	list server_name 'cloud.lan'
	option home '/srv/cloud'

config uhttpd 'nobody'
	list header 'X-Test: no'
END
    changed ecohttpd
    check "a header field" answer_has 80 / '^X-Test: yes'
    check "a virtual host" answer_has 80 / 'a cloud' cloud.lan
    check_now "without a restart" is "$before" "$(process ecohttpd)"
    in_charge
    pkg opkg remove
    given_back
}

certificates_and_triggers() {
    uhttpd_runs
    pkg opkg install
    in_charge
    local before
    before=$(process ecohttpd)
    for trigger in 'config.change uhttpd' 'config.change ecohttpd' 'acme.issue -' 'acme.renew -'; do
        check_now "$trigger" grep -q "^$trigger /etc/init.d/ecohttpd reload\$" /tmp/procd/ecohttpd.triggers
    done
    check_now "the command line" is "$(tr '\n' ' ' </tmp/procd/ecohttpd/server/command)" \
        "/usr/sbin/ecohttpd -f --config /var/etc/ecohttpd.conf "
    check_now "the files" is "$(tr '\n' ' ' </tmp/procd/ecohttpd/server/file)" \
        "/var/etc/ecohttpd.conf /etc/httpd.conf /etc/uhttpd.crt /etc/uhttpd.key "
    check_now "to the log" is "$(cat /tmp/procd/ecohttpd/server/stderr)" 1
    check_now "again when it ends" is "$(tr '\n' ' ' </tmp/procd/ecohttpd/server/respawn)" "3600 5 0 "
    check "certificate" test -s /etc/uhttpd.crt
    check_now "passwords may be in it" is "$(ls -l /var/etc/ecohttpd.conf | cut -c 1-10)" -rw-------
    service ecohttpd reload
    : >/tmp/syslog
    service ecohttpd reload
    check_now "nothing changed" not said HUP
    rm /etc/uhttpd.crt /etc/uhttpd.key
    service ecohttpd reload
    check "renewed" said HUP
    check "reloaded" said 'configuration reloaded'
    check_now "without a restart" is "$before" "$(process ecohttpd)"
    kill -9 "$before"
    in_charge
}

jail() {
    uhttpd_runs
    pkg opkg install
    uci set ecohttpd.global.jail=1
    changed ecohttpd
    in_charge
    check_now "not with LuCI in it" said 'running without the jail'
    check_now "so it is not" not test -e /tmp/procd/ecohttpd/server/jail
    mkdir -p /srv/static
    cp /www/index.html /srv/static
    chmod -R a+rX /srv
    printf '#!/bin/sh\n' >/sbin/ujail
    chmod +x /sbin/ujail
    uci set uhttpd.main.home=/srv/static
    uci delete ecohttpd.main.ubus_prefix
    local before
    before=$(process ecohttpd)
    changed uhttpd
    check "in the jail from now on" served_anew "$before"
    check_now "files alone are" is "$(cat /tmp/procd/ecohttpd/server/jail)" 'ecohttpd log ronly'
    check_now "with what it serves" grep -qx /srv/static /tmp/procd/ecohttpd/server/jail_mount
    check_now "and its key" grep -qx /etc/uhttpd.key /tmp/procd/ecohttpd/server/jail_mount
    check_now "and little it may" grep -qx /etc/capabilities/ecohttpd.json /tmp/procd/ecohttpd/server/capabilities
    check_now "no passwords of the system" not grep -qx /etc/shadow /tmp/procd/ecohttpd/server/jail_mount
    echo 'root:x:0:0:99999:7:::' >/etc/shadow
    # shellcheck disable=SC2016
    echo '/private:root:$p$root' >/etc/httpd.conf
    service ecohttpd reload
    check_now "but for a login of one of its users" grep -qx /etc/shadow /tmp/procd/ecohttpd/server/jail_mount
    check_now "new mounts need a restart" not test -e /tmp/procd/ecohttpd/server/reload_signal
    served_by ecohttpd
}

there_and_back() {
    uhttpd_runs
    pkg opkg install
    in_charge
    service ecohttpd give_back
    given_back
    service ecohttpd take_over
    in_charge
    service ecohttpd give_back
    reboot
    given_back
    check_now "not by itself" is "$(option ecohttpd.global.use_uhttpd_config)" 0
}

# What LuCI's button asks: the configuration with the changes of its session, which nobody has applied.
checked_before_it_is_applied() {
    local session=0123456789abcdef0123456789abcdef
    uhttpd_runs
    pkg opkg install
    in_charge
    check_now "nothing is wrong" is "$(service ecohttpd check)" ''
    mkdir -p "/var/run/rpcd/uci-$session"
    uci -P "/var/run/rpcd/uci-$session" set ecohttpd.main.http_keepalive=x
    check_now "the change is wrong" not service ecohttpd check 01234567
    check_now "why" is "$(service ecohttpd check 01234567)" \
        'uhttpd.main.http_keepalive: "x" is wrong: expected a whole number from 0 to 86400'
    for other in '' 0123456 ffffffff '*' "../uci-$session" '????????'; do
        check_now "not the session $other" service ecohttpd check "$other"
    done
    uci -P "/var/run/rpcd/uci-$session" set ecohttpd.main.http_keepalive=7
    check_now "the change is right" service ecohttpd check 01234567
    check_now "it is not applied" not option ecohttpd.main.http_keepalive
    service ecohttpd give_back
    given_back
    check_now "without being in charge" is "$(service ecohttpd check)" ''
    check_now "no draft is left" not ls /var/etc/*.check.*
}

# The daemon of another processor, under an emulator.
foreign() {
    pkg opkg install
    in_charge
    echo ready >/packages/ready
    while [ ! -e /packages/done ]; do sleep 0.1; done
}

# shellcheck source=../openwrt/ecohttpd/files/functions.sh
. /packages/ecohttpd/usr/share/ecohttpd/functions.sh
# shellcheck disable=SC2034
ECO_SHARE=/packages/ecohttpd/usr/share/ecohttpd
failed=0 checks=0
"$1"
[ "$failed" = 0 ] || { echo "--- the log:" && cat /packages/syslog.before /tmp/syslog 2>/dev/null | tail -n 40; }
echo "$checks checks"
exit "$failed"
