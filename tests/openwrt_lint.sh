#!/usr/bin/env bash
# What can be told of the OpenWrt packages by reading them: scripts, JSON, the Makefile's facts.
set -euo pipefail
cd "$(dirname "$0")/.."
files=openwrt/ecohttpd/files
app=openwrt/luci-app-ecohttpd
work=$(mktemp -d "${TMPDIR:-/tmp}/openwrt.XXXXXX")
trap 'rm -rf "$work"' EXIT

main() {
    facts
    if has shellcheck; then
        shellcheck -x -P "$files" -s dash "$files/functions.sh" "$files/ecohttpd.init" "$files"/*.uci-defaults openwrt/ecohttpd/test.sh
    fi
    if has node; then
        json
    fi
    if has busybox; then
        feed_test
    fi
}

has() {
    command -v "$1" >/dev/null || { echo "skipped: $1 is not installed" && return 1; }
}

fail() {
    echo "$*" >&2
    exit 1
}

facts() {
    local version name file
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
    [ "$(sed -n 's/^PKG_VERSION:=//p' openwrt/ecohttpd/Makefile)" = "$version" ] || fail "the package's version is not $version"
    for name in ecohttpd ecohttpd-notls; do
        # The feed's tools look for literal names.
        # shellcheck disable=SC2016
        grep -qF '$(eval $(call BuildPackage,'$name'))' openwrt/ecohttpd/Makefile || fail "$name is not built"
    done
    for file in "$files"/*; do
        grep -q " ./files/${file##*/} " openwrt/ecohttpd/Makefile || fail "${file##*/} is not installed"
    done
}

json() {
    local file
    for file in "$files"/*.json $app/root/usr/share/*/*/*.json; do
        node -e 'JSON.parse(require("fs").readFileSync(process.argv[1]))' "$file" || fail "$file"
    done
}

# What the feed's CI runs on a device, by the shell of one.
feed_test() {
    local version name=ecohttpd
    "${DAEMON:-false}" --version >/dev/null 2>&1 || { echo "skipped: there is no daemon for this machine" && return; }
    mkdir "$work/bin"
    ln -s "$(realpath "$DAEMON")" "$work/bin/ecohttpd"
    version=$(sed -n 's/^PKG_VERSION:=//p' openwrt/ecohttpd/Makefile)
    PATH=$work/bin:$PATH busybox ash openwrt/ecohttpd/test.sh "$name" "$version" >"$work/log" 2>&1 || {
        cat "$work/log"
        fail "test.sh"
    }
}

main
