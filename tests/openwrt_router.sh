# shellcheck shell=bash
# A router to try the package on: a tree with as much of OpenWrt as its scripts meet, written for these tests.
#
# Sourced. `make_router TREE` makes it: busybox, rc.common, procd's functions, uci, and a package manager of either kind.
# uhttpd there is our own daemon by another name: it takes the same options.

make_router() {
    local tree=$1 applet
    mkdir -p "$tree"/{bin,sbin,usr/sbin,usr/bin,usr/share,etc/config,etc/init.d,etc/rc.d,etc/uci-defaults,lib/functions} \
        "$tree"/{tmp,proc,dev,www/cgi-bin,packages}
    ln -s tmp "$tree/var"
    : >"$tree/dev/null"
    bring "$tree" "$BUSYBOX" /bin/busybox
    for applet in sh ash awk sed grep cat cp mv rm mkdir ln ls chmod sort head tail printf sleep nc netstat pidof kill \
        md5sum basename dirname readlink touch tr cut true false test env wc wget setsid xargs expr cmp find id; do
        ln -s busybox "$tree/bin/$applet"
    done
    bring "$tree" "$(command -v flock)" /bin/flock
    bring "$tree" "$DAEMON" /packages/ecohttpd.bin
    echo 'root:x:0:0:root:/root:/bin/sh' >"$tree/etc/passwd"
    echo '<h1>LuCI</h1>' >"$tree/www/index.html"
    # shellcheck disable=SC2016
    printf '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\nLuCI by %%s\\n" "$GATEWAY_INTERFACE"\n' >"$tree/www/cgi-bin/luci"
    chmod -R a+rX "$tree/www"
    chmod +x "$tree/www/cgi-bin/luci"
    commands "$tree"
    uci "$tree"
    rc_common "$tree"
    procd "$tree"
    functions "$tree"
    packages "$tree"
}

# bring TREE PROGRAM PLACE: a program of this machine, with the libraries that it needs.
bring() {
    local library
    cp -l "$2" "$1$3" 2>/dev/null || cp "$2" "$1$3"
    # A static program has none.
    { ldd "$2" 2>/dev/null | grep -o '/[^ ]*' || true; } | while read -r library; do
        mkdir -p "$1${library%/*}"
        [ -e "$1$library" ] || cp -L "$library" "$1$library"
    done
}

commands() {
    # The system's log is a file, and so is what procd was told.
    cat >"$1/bin/logger" <<'FILE'
#!/bin/sh
while [ $# -gt 1 ]; do shift; done
echo "$1" >>/tmp/syslog
FILE
    # As OpenWrt builds it: without options.
    rm "$1/bin/nc"
    cat >"$1/bin/nc" <<'FILE'
#!/bin/sh
case "$1" in -*) echo "nc: invalid option -- '${1#-}'" >&2; exit 1 ;; esac
exec busybox nc "$@"
FILE
    cat >"$1/sbin/service" <<'FILE'
#!/bin/sh
name=$1
shift
exec "/etc/init.d/$name" "$@"
FILE
    cat >"$1/bin/ubus" <<'FILE'
#!/bin/sh
[ "$1 $2 $3" = "call service delete" ] || exit 1
. /lib/functions/procd.sh
procd_lock() { :; }
procd_kill "$(echo "$4" | sed 's/.*"name":"\([^"]*\)".*/\1/')"
FILE
    # One instance: runs it, and again when it ends by itself, three times.
    cat >"$1/sbin/supervise" <<'FILE'
#!/bin/sh
folder=$1
shift
trap '[ -z "$child" ] || { kill "$child" 2>/dev/null; wait "$child"; }; exit 0' TERM
while [ -n "$(ls "${folder%/*}.leaving" 2>/dev/null)" ]; do sleep 0.1; done
count=0
while [ "$count" -lt 3 ]; do
    "$@" >>/tmp/syslog 2>&1 &
    child=$!
    echo "$child" >"$folder/child"
    wait "$child"
    count=$((count + 1))
    sleep 1
done
FILE
    chmod +x "$1/bin/ubus" "$1/bin/logger" "$1/bin/nc" "$1/sbin/service" "$1/sbin/supervise"
}

# uci: changes wait in /tmp/.uci, or the folder of -P, until they are committed. /tmp/flash-full makes commits fail.
uci() {
    cat >"$1/sbin/uci" <<'FILE'
#!/bin/sh
[ "$1" != -q ] || { shift; exec 2>/dev/null; }
changes=/tmp/.uci
[ "$1" != -P ] || { changes=$2; shift 2; }
command=$1 argument=$2
package=${argument%%[.=]*}
file=/etc/config/$package
staged=$changes/$package
case "$command" in
commit)
    [ -n "$package" ] || set -- commit $(ls /tmp/.uci 2>/dev/null)
    shift
    for package; do
        [ -e "/tmp/.uci/$package" ] || continue
        [ ! -e /tmp/flash-full ] || { echo "uci: I/O error" >&2; exit 1; }
        mv "/tmp/.uci/$package" "/etc/config/$package"
    done
    exit 0 ;;
revert)
    rm -f "$staged"
    exit 0 ;;
esac
[ -e "$staged" ] && from=$staged || from=$file
[ -e "$from" ] || { echo "uci: Entry not found" >&2; exit 1; }
case "$command" in
export | show | get) exec awk -v command="$command" -v argument="$argument" -v package="$package" -f /sbin/uci.awk "$from" ;;
esac
mkdir -p "$changes"
awk -v command="$command" -v argument="$argument" -v package="$package" -f /sbin/uci.awk "$from" >"$staged.new" &&
    mv "$staged.new" "$staged" || { rm -f "$staged.new"; exit 1; }
FILE
    chmod +x "$1/sbin/uci"
    cat >"$1/sbin/uci.awk" <<'FILE'
# Fields of a line in UCI's syntax: words[1..n]; -1 for a quote that is left open.
function words_of(line,    n, c, at, quote, some) {
    n = 0; some = 0; quote = ""
    for (at = 1; at <= length(line); at++) {
        c = substr(line, at, 1)
        if (quote != "") {
            if (c == quote) quote = ""
            else words[n] = words[n] c
        } else if (c == "'" || c == "\"") {
            if (!some) { words[++n] = ""; some = 1 }
            quote = c
        } else if (c == " " || c == "\t") some = 0
        else if (c == "#" && !some) break
        else {
            if (c == "\\") c = substr(line, ++at, 1)
            if (!some) { words[++n] = ""; some = 1 }
            words[n] = words[n] c
        }
    }
    return quote == "" ? n : -1
}
{
    n = words_of($0)
    if (n < 0 || (n > 0 && words[1] !~ /^(package|config|option|list)$/)) {
        print "uci: Parse error (invalid command) at line " NR > "/dev/stderr"
        bad = 1
        exit 1
    }
    if (n < 2) next
    if (words[1] == "config") {
        # A name is there once, for all types.
        if (n > 2 && words[3] in type_of && type_of[words[3]] != words[2]) {
            print "uci: Parse error (section of different type overwrites prior section with same name)" > "/dev/stderr"
            bad = 1
            exit 1
        }
        if (n > 2) type_of[words[3]] = words[2]
        sections++
        type[sections] = words[2]; name[sections] = n > 2 ? words[3] : ""
        count[sections] = 0
    } else if (words[1] == "list") add(sections, words[2], words[3])
    else if (words[1] == "option") put(sections, words[2], words[3])
}
function find(s, o,    k) {
    for (k = 1; k <= count[s]; k++) if (key[s, k] == o) return k
    return 0
}
function put(s, o, v,    k) {
    k = find(s, o)
    if (!k) { k = ++count[s]; key[s, k] = o }
    value[s, k] = v; list[s, k] = 0
}
function add(s, o, v,    k) {
    k = find(s, o)
    if (!k) { k = ++count[s]; key[s, k] = o; value[s, k] = v }
    else value[s, k] = value[s, k] "\001" v
    list[s, k] = 1
}
function section(id,    s, n, kind) {
    if (id ~ /^@/) {
        kind = id; sub(/^@/, "", kind); sub(/\[.*/, "", kind)
        n = id; sub(/.*\[/, "", n); sub(/\].*/, "", n)
        for (s = 1; s <= sections; s++) if (type[s] == kind && n-- == 0) return s
        return 0
    }
    for (s = 1; s <= sections; s++) if (name[s] == id && id != "") return s
    return 0
}
function quoted(text) { gsub(/'/, "'\\''", text); return "'" text "'" }
function output(    s, k, n, parts, m) {
    if (command == "export") print "package " package "\n"
    for (s = 1; s <= sections; s++) if (!gone[s]) {
        print "config " type[s] (name[s] == "" ? "" : " " quoted(name[s]))
        for (k = 1; k <= count[s]; k++) if (!((s, k) in dropped)) {
            n = list[s, k] ? split(value[s, k], parts, "\001") : 1
            if (!list[s, k]) parts[1] = value[s, k]
            for (m = 1; m <= n; m++) print "\t" (list[s, k] ? "list " : "option ") key[s, k] " " quoted(parts[m])
        }
        print ""
    }
}
END {
    if (bad) exit 1
    path = argument; text = ""
    if ((at = index(argument, "=")) > 0) { path = substr(argument, 1, at - 1); text = substr(argument, at + 1) }
    parts = split(path, place, ".")
    if (command == "export") { output(); exit 0 }
    if (command == "show") {
        for (s = 1; s <= sections; s++) {
            id = name[s] != "" ? name[s] : "@" type[s] "[" seen[type[s]] + 0 "]"
            seen[type[s]]++
            print package "." id "=" type[s]
        }
        exit 0
    }
    s = section(place[2]); k = s && parts > 2 ? find(s, place[3]) : 0
    if (command == "get") {
        if (!s || (parts > 2 && !k)) exit 1
        v = parts > 2 ? value[s, k] : type[s]
        gsub(/\001/, " ", v)
        print v
    } else if (command == "set") {
        if (!s && parts == 2) { s = ++sections; type[s] = text; name[s] = place[2]; count[s] = 0 }
        else if (!s) exit 1
        else if (parts > 2) put(s, place[3], text)
        output()
    } else if (command == "add_list") { if (!s) exit 1; add(s, place[3], text); output() }
    else if (command == "delete") {
        if (!s || (parts > 2 && !k)) exit 1
        if (parts > 2) dropped[s, k]; else gone[s] = 1
        output()
    } else exit 1
}
FILE
}

rc_common() {
    cat >"$1/etc/rc.common" <<'FILE'
#!/bin/sh
. "$IPKG_INSTROOT/lib/functions.sh"
initscript=$1
action=${2:-help}
shift 2
# Also by its link in rc.d.
name=$(basename "$(readlink "$initscript" || echo "$initscript")")
start_service() { :; }
stop_service() { :; }
service_triggers() { :; }
boot() { start "$@"; }
restart() { stop "$@"; start "$@"; }
enable() { ln -sf "../init.d/$name" "$IPKG_INSTROOT/etc/rc.d/S$START$name"; }
disable() { rm -f "$IPKG_INSTROOT"/etc/rc.d/S??"$name"; }
enabled() { [ -x "/etc/rc.d/S$START$name" ]; }
. "$initscript"
. "$IPKG_INSTROOT/lib/functions/procd.sh"
start() {
    procd_open_service "$name"
    start_service "$@"
    procd_close_service
    ! type service_started >/dev/null 2>&1 || service_started
}
stop() {
    stop_service "$@"
    procd_kill "$name" "$1"
}
reload() { if type reload_service >/dev/null 2>&1; then reload_service; else start; fi; }
running() { procd_lock; }
case " start stop reload restart boot enable disable enabled running $EXTRA_COMMANDS " in
*" $action "*) "$action" "$@" ;;
*) echo "no such command: $action" >&2; exit 1 ;;
esac
FILE
    chmod +x "$1/etc/rc.common"
}

# Of procd: what a service is told goes to /tmp/procd/SERVICE/next, then takes the place of what was.
procd() {
    cat >"$1/lib/functions/procd.sh" <<'FILE'
# Held until the script ends, and inherited by the scripts that it runs.
procd_lock() {
    flock -n 1000 2>/dev/null && return
    mkdir -p /tmp/lock
    exec 1000>"/tmp/lock/$name"
    flock 1000
}
procd_open_service() {
    procd_lock
    service=$1
    next=/tmp/procd/$service.next
    rm -rf "$next"
    mkdir -p "$next"
}
procd_open_instance() { instance=$next/${1:-instance$(ls "$next" | wc -l)}; mkdir -p "$instance"; }
procd_close_instance() { instance=; }
procd_set_param() { local kind=$1; shift; for value; do echo "$value"; done >"$instance/$kind"; }
procd_append_param() { local kind=$1; shift; for value; do echo "$value"; done >>"$instance/$kind"; }
procd_add_jail() { echo "$*" >"$instance/jail"; }
procd_add_jail_mount() { for value; do echo "$value"; done >>"$instance/jail_mount"; }
procd_open_trigger() { :; }
procd_close_trigger() { :; }
procd_add_reload_trigger() { for value; do echo "config.change $value /etc/init.d/$service reload"; done >>"/tmp/procd/$service.triggers"; }
procd_add_raw_trigger() { echo "$1 - $3 $4" >>"/tmp/procd/$service.triggers"; }
procd_close_service() {
    local folder
    : >"/tmp/procd/$service.triggers"
    service_triggers
    for folder in "/tmp/procd/$service"/*; do
        [ ! -d "$folder" ] || [ -d "$next/${folder##*/}" ] || instance_stop "$folder"
    done
    for folder in "$next"/*; do
        [ ! -d "$folder" ] || instance_update "$folder" "/tmp/procd/$service/${folder##*/}"
    done
    rm -rf "$next"
    # What procd itself does then: another process of that name, which waits for the lock.
    setsid "/etc/init.d/$service" running </dev/null >/dev/null 2>&1 1000>&- &
}
procd_kill() {
    local folder service=$1
    procd_lock
    for folder in "/tmp/procd/$1"/${2:-*}; do
        [ ! -d "$folder" ] || instance_leave "$folder"
    done
}
# It does not wait for the end. Another start does, in supervise.
instance_leave() {
    local leaving="/tmp/procd/$service.leaving/$$.${1##*/}"
    mkdir -p "${leaving%/*}"
    mv "$1" "$leaving"
    (instance_stop "$leaving") </dev/null >/dev/null 2>&1 1000>&- &
}
instance_sum() {
    (cd "$1" && cat command jail jail_mount capabilities seccomp 2>/dev/null; cat "$1/file" 2>/dev/null | xargs md5sum 2>/dev/null) | md5sum
}
instance_runs() { [ -e "$1/supervisor" ] && kill -0 "$(cat "$1/supervisor")" 2>/dev/null; }
instance_update() {
    instance_sum "$1" >"$1/sum"
    if instance_runs "$2"; then
        cmp -s "$1/sum" "$2/sum" && return
        # The signal of before, and nothing else, whatever has changed.
        if [ -e "$2/reload_signal" ]; then
            echo "procd: HUP to $service" >>/tmp/syslog
            kill -HUP "$(cat "$2/child")"
            instance_new "$1" "$2"
            return
        fi
        instance_stop "$2"
    fi
    mkdir -p "$2"
    instance_new "$1" "$2"
    echo "procd: start of $service" >>/tmp/syslog
    set --  "$2"
    while read -r value; do set -- "$@" "$value"; done <"$1/command"
    setsid /sbin/supervise "$@" </dev/null >/dev/null 2>&1 1000>&- &
    echo $! >"$1/supervisor"
}
instance_new() {
    rm -f "$2"/jail "$2"/jail_mount "$2"/reload_signal
    cp "$1"/* "$2/"
}
# Seconds since boot.
now() { local uptime; read -r uptime _ </proc/uptime; echo "${uptime%.*}"; }
# It is killed after five seconds by the clock, however busy the machine is: the scripts wait for little more.
instance_stop() {
    local deadline
    if instance_runs "$1"; then
        deadline=$(($(now) + 5))
        kill "$(cat "$1/supervisor")"
        while instance_runs "$1" && [ "$(now)" -lt "$deadline" ]; do sleep 0.1; done
        ! instance_runs "$1" || kill -9 "$(cat "$1/child")" "$(cat "$1/supervisor")"
        echo "procd: stop of $service" >>/tmp/syslog
    fi
    rm -rf "$1"
}
FILE
}

functions() {
    # Of base-files, as far as packages meet it: what runs when one is installed and removed.
    cat >"$1/lib/functions.sh" <<'FILE'
default_postinst() {
    local script
    if [ -z "$IPKG_INSTROOT" ]; then
        mkdir -p /tmp/.uci
        for script in $(grep -s ^/etc/uci-defaults/ "/packages/$pkgname.list"); do
            ( [ -f "$script" ] && cd "$(dirname "$script")" && . "$script" ) && rm -f "$script"
        done
        uci commit
    fi
    [ "$1" = apk ] || ( . "/packages/$pkgname.postinst-pkg" )
    for script in $(grep -s ^/etc/init.d/ "/packages/$pkgname.list"); do
        if [ -n "$IPKG_INSTROOT" ]; then
            sh "$IPKG_INSTROOT/etc/rc.common" "$IPKG_INSTROOT$script" enable
        else
            [ "$PKG_UPGRADE" = 1 ] || "$script" enable
            "$script" start
        fi
    done
}
default_prerm() {
    local script
    [ "$1" = apk ] || ( . "/packages/$pkgname.prerm-pkg" )
    for script in $(grep -s ^/etc/init.d/ "/packages/$pkgname.list"); do
        [ "$PKG_UPGRADE" = 1 ] || "$script" disable
        "$script" stop
    done
}
FILE
    # The stand-in for uhttpd's own script.
    cat >"$1/packages/uhttpd.init" <<'FILE'
#!/bin/sh /etc/rc.common
START=50
USE_PROCD=1
start_service() {
    local section listen
    for section in $(uci -q show uhttpd | sed -n 's/^uhttpd\.\([^=]*\)=uhttpd$/\1/p'); do
        [ "$(uci -q get "uhttpd.$section.enabled")" != 0 ] || continue
        # A process each, as uhttpd goes on without an address that it can't have.
        for listen in $(uci -q get "uhttpd.$section.listen_http"); do
            procd_open_instance
            procd_set_param command /usr/sbin/uhttpd -f -h "$(uci -q get "uhttpd.$section.home")" -p "$listen"
            procd_close_instance
        done
    done
}
service_triggers() { procd_add_reload_trigger uhttpd; }
FILE
    chmod +x "$1/packages/uhttpd.init"
}

packages() {
    # pkg MANAGER ACTION: opkg and apk run a package's scripts in another order, and around an upgrade not the same.
    cat >"$1/sbin/pkg" <<'FILE'
#!/bin/sh
export pkgname=ecohttpd
manager=$1
unpack() {
    cd /packages/ecohttpd || exit 1
    find . -type f | sed 's/^\.//' >/packages/ecohttpd.list
    while read -r file; do
        mkdir -p "${file%/*}"
        case "$file" in
        /etc/config/*) [ ! -e "$file" ] || continue ;;
        esac
        # Another inode, as a program that runs can't be written to.
        cp "/packages/ecohttpd$file" "$file.new" && mv "$file.new" "$file"
    done </packages/ecohttpd.list
    cd /
}
script() { ( . /lib/functions.sh; "$@" ); }
case "$manager $2" in
"opkg install") unpack; script default_postinst opkg ;;
"opkg upgrade")
    export PKG_UPGRADE=1
    script default_prerm opkg
    unpack
    script default_postinst opkg ;;
"opkg remove") script default_prerm opkg ;;
"apk install") unpack; script default_postinst apk; sh /packages/ecohttpd.postinst-pkg ;;
"apk upgrade")
    export PKG_UPGRADE=1
    unpack
    script default_postinst apk
    sh /packages/ecohttpd.postinst-pkg ;;
"apk remove") script default_prerm apk; sh /packages/ecohttpd.prerm-pkg ;;
"image install")
    # By the builder of an image, on another machine.
    unpack
    export IPKG_INSTROOT=/.
    script default_postinst opkg ;;
esac
[ "$2" != remove ] || while read -r file; do
    case "$file" in
    /etc/config/*) ;;
    *) rm -f "$file" ;;
    esac
done </packages/ecohttpd.list
FILE
    chmod +x "$1/sbin/pkg"
}
