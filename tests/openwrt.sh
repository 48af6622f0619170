#!/usr/bin/env bash
# Tries the OpenWrt package without a router: every state in which its scripts may find one.
#
#   tests/openwrt.sh DAEMON [STATE...]
#
# The package is made by its own Makefile, with stand-ins for OpenWrt's. Each state has a tree and a network of its own,
# where procd, uci and a package manager are stand-ins, too (openwrt_router.sh), and the shell is busybox, as there.
# Environment: ECOHTTPD_MIPS, a daemon for big-endian MIPS: the state "foreign" runs it under qemu-user.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=openwrt_router.sh source-path=SCRIPTDIR
. tests/openwrt_router.sh
# shellcheck source=openwrt_package.sh source-path=SCRIPTDIR
. tests/openwrt_package.sh

STATES=(fresh_opkg fresh_apk first_boot_of_an_image uhttpd_absent image_without_uhttpd uhttpd_not_in_use
    broken_configuration unreadable_configuration missing_folder port_taken port_taken_by_all port_taken_elsewhere
    program_does_not_run program_does_not_serve_opkg program_does_not_serve_apk busy_at_a_change
    program_stalls restart_of_one_that_stalls flash_full sections_of_all_kinds upgrade_opkg upgrade_apk removal_opkg
    removal_apk firmware_without_it power_lost switched_back_by_hand configuration_breaks_later configuration_is_lost
    own_configuration_is_lost another_server_at_boot another_server_without_uhttpd new_section what_uhttpd_lacks
    certificates_and_triggers jail there_and_back checked_before_it_is_applied)

main() {
    local state failed=0
    DAEMON=$(realpath "${1:?usage: tests/openwrt.sh DAEMON [STATE...]}")
    shift
    [ $# = 0 ] || STATES=("$@")
    [ -z "${ECOHTTPD_MIPS:-}" ] || STATES+=(foreign)
    work=$(mktemp -d "${TMPDIR:-/tmp}/openwrt.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    BUSYBOX=$(command -v busybox) || skip "busybox is not installed"
    command -v make >/dev/null || skip "make is not installed"
    "$DAEMON" --version >/dev/null 2>&1 || skip "the daemon is one for another machine"
    isolated true 2>/dev/null || skip "no namespaces for users, networks and mounts here"
    package ecohttpd "$DAEMON" "$work/package"
    package ecohttpd-notls "$DAEMON" "$work/notls"
    cmp -s "$work/package.prerm-pkg" "$work/notls.prerm-pkg" || { echo "the variants differ in their scripts" >&2 && exit 1; }
    # Nobody waits twenty seconds here.
    sed -i 's/^ECO_PATIENCE=.*/ECO_PATIENCE=4/' "$work/package/usr/share/ecohttpd/functions.sh"
    printf '%s\0' "${STATES[@]}" |
        DAEMON=$DAEMON BUSYBOX=$BUSYBOX work=$work xargs -0 -n 1 -P "${JOBS:-8}" tests/openwrt.sh --state || failed=1
    printf '| state | checks | result |\n| --- | ---: | --- |\n'
    for state in "${STATES[@]}"; do
        printf '| %s | %s | %s |\n' "${state//_/ }" "$(sed -n 's/ checks$//p' "$work/$state.log")" "$(cat "$work/$state.result")"
    done
    for state in "${STATES[@]}"; do
        # What the foreign one answers is worth seeing.
        [ "$state $(cat "$work/$state.result")" != "foreign passed" ] || cat "$work/$state.log"
        [ "$(cat "$work/$state.result")" = passed ] || { echo "== $state" && cat "$work/$state.log"; }
    done
    return "$failed"
}

skip() {
    echo "skipped: $1"
    exit 0
}

# isolated COMMAND...: as root of namespaces of its own; what it starts ends with it.
isolated() {
    unshare --user --map-root-user --mount --net --pid --fork --kill-child "$@"
}

# One state, in a router of its own.
state() {
    local tree=$work/$1
    mkdir "$tree"
    make_router "$tree"
    cp -R "$work/package" "$tree/packages/ecohttpd"
    cp "$work/package".*-pkg "$tree/packages/"
    for script in postinst prerm; do
        mv "$tree/packages/package.$script-pkg" "$tree/packages/ecohttpd.$script-pkg"
    done
    cp tests/openwrt_states.sh "$tree/packages/states.sh"
    [ "$1" != foreign ] || emulate "$tree"
    if isolated bash -c '
        tree=$1 state=$2
        mount -t proc proc "$tree/proc"
        mount --bind /dev/null "$tree/dev/null"
        busybox ip link set lo up
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ timeout -k 1 120 chroot "$tree" /bin/sh /packages/states.sh "$state" &
        router=$!
        [ "$state" != foreign ] || visit "$tree" || kill "$router"
        wait "$router"' bash "$tree" "$1" >"$work/$1.log" 2>&1; then
        echo passed >"$work/$1.result"
    else
        echo FAILED >"$work/$1.result"
    fi
    rm -rf "$tree"
    [ "$(cat "$work/$1.result")" = passed ]
}

# Puts a program in the daemon's place that runs the one for MIPS, by an emulator of the daemon's name.
emulate() {
    mkdir "$1/packages/qemu"
    bring "$1" "$(command -v qemu-mips)" /packages/qemu/ecohttpd
    cp "$ECOHTTPD_MIPS" "$1/packages/ecohttpd.mips"
    printf '#!/bin/sh\nexec /packages/qemu/ecohttpd -cpu 24Kc /packages/ecohttpd.mips "$@"\n' >"$1/packages/ecohttpd/usr/sbin/ecohttpd"
}

# visit TREE: asks the router for pages, from outside of its tree.
visit() {
    # shellcheck disable=SC2154
    until [ -e "$1/packages/ready" ]; do
        sleep 0.1
        kill -0 "$router" || return
    done
    for url in http://127.0.0.1/ https://127.0.0.1/ http://127.0.0.1/cgi-bin/luci https://127.0.0.1/cgi-bin/luci; do
        curl -sSf -m 30 --cacert "$1/etc/uhttpd.crt" -w "    %{http_code} %{url}\n" "$url" || return
    done
    touch "$1/packages/done"
}
export -f visit

# It calls itself for each state, so that several run at once.
if [ "${1:-}" = --state ]; then
    state "$2"
else
    main "$@"
fi
