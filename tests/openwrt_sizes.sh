#!/usr/bin/env bash
# Prints the table of the packages' sizes: bytes installed, and bytes as a firmware image holds them.
#
#   tests/openwrt_sizes.sh [TARGET...]
#
# The program is that of cross/build.sh: static, for size. Environment: that of cross/lib.sh.
# shellcheck source=../cross/lib.sh source-path=SCRIPTDIR
. "$(dirname "$0")/../cross/lib.sh"
# shellcheck source=openwrt_package.sh source-path=SCRIPTDIR
. tests/openwrt_package.sh

[ $# = 0 ] || TARGETS=("$@")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "| target | ecohttpd | compressed | ecohttpd-notls | compressed |"
echo "| --- | ---: | ---: | ---: | ---: |"
for name in "${TARGETS[@]}"; do
    row="| $name"
    target "$name"
    for package in ecohttpd:daemon,http2,proxy,status,tls,ubus,workers ecohttpd-notls:daemon,ubus; do
        # shellcheck disable=SC2154
        daemon --quiet --no-default-features --features "${package#*:}" >&2
        rm -rf "$work/package"
        package "${package%:*}" "$binary" "$work/package"
        bytes=$(find "$work/package" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }')
        # As squashfs does it.
        row+=" | $bytes | $(tar -C "$work/package" -c . | xz -9e | wc -c)"
    done
    echo "$row |"
done
