#!/usr/bin/env bash
# Builds the daemon for a router: static, stripped, small. Prints where it is.
#
#   cross/build.sh TARGET [CARGO FLAG...]          such as --no-default-features --features daemon
#
# The targets: mips-unknown-linux-musl (ath79), mipsel-unknown-linux-musl (ramips), armv7-unknown-linux-musleabihf,
# aarch64-unknown-linux-musl, riscv64gc-unknown-linux-musl, x86_64-unknown-linux-musl. Environment: that of lib.sh.
# shellcheck source=lib.sh source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

target "${1:?usage: cross/build.sh TARGET [CARGO FLAG...]}"
shift
daemon "$@"
echo "$binary"
