#!/usr/bin/env bash
# Prints the table of sizes: bytes of the daemon, static and stripped, by target: with everything, without TLS, and
# alone, which is without /ubus, too.
#
#   cross/sizes.sh [TARGET...]
#
# Environment: that of lib.sh.
# shellcheck source=lib.sh source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

[ $# = 0 ] || TARGETS=("$@")
echo "| target | everything | compressed | without TLS | compressed | alone | compressed |"
echo "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
for name in "${TARGETS[@]}"; do
    row="| $name"
    target "$name"
    for features in daemon,http2,proxy,status,tls,ubus,workers daemon,ubus daemon; do
        daemon --quiet --no-default-features --features "$features" >&2
        # As squashfs does it, in a firmware image.
        row+=" | $(stat -c %s "$binary") | $(xz -9e -c "$binary" | wc -c)"
    done
    echo "$row |"
done
