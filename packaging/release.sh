#!/usr/bin/env bash
# Makes a release in the folder `dist`: for each target a static program with its documents, packages for Debian, and
# SHA256SUMS. Then cargo checks the crate as it would be published. Nothing is uploaded.
#
#   packaging/release.sh [TARGET...]              by default the six of cross/lib.sh
#
# Environment: that of lib.sh here and in cross; DIST: another folder; REHEARSAL=1: before the version has an entry in
# CHANGELOG.md, with a version that sorts before it, and without cargo's check.
#
# The same commit gives the same bytes in any folder: packaging/reproducible.sh compares two.
# shellcheck source=lib.sh source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
# shellcheck source=../cross/lib.sh source-path=SCRIPTDIR
. "$repository/cross/lib.sh"

dist=${DIST:-$repository/dist}

# What OpenWrt's package has; elsewhere also what is for a person at a shell, and HTTPS to servers behind it.
ROUTER=$(sed -n '/^else$/,/^endif$/s/^  RUST_PKG_FEATURES:=//p' "$repository/openwrt/ecohttpd/Makefile")
FULL=$ROUTER,proxy-tls,terminal

main() {
    [ $# = 0 ] || TARGETS=("$@")
    check
    [ ! -e "$dist" ] || fail "$dist is there already: remove it"
    mkdir -p "$dist"
    for name in "${TARGETS[@]}"; do
        program "$name"
    done
    (cd "$dist" && sha256sum -- * >SHA256SUMS)
    [ -n "${REHEARSAL:-}" ] || cargo publish --dry-run --locked --package ecohttpd
    cat "$dist/SHA256SUMS"
}

# check: the version is that of every file that must name it.
check() {
    local makefile=openwrt/ecohttpd/Makefile
    grep -qx "PKG_VERSION:=$version" "$makefile" || fail "$makefile: PKG_VERSION must be $version, as in Cargo.toml"
    if [ -n "${REHEARSAL:-}" ]; then
        version+=~rehearsal
    elif ! grep -qE "^## \[${version//./\\.}\] - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md; then
        fail "CHANGELOG.md: there must be a heading '## [$version] - YYYY-MM-DD'"
    fi
}

# program TARGET: builds it, and packs it.
program() {
    local features=$FULL settings=() architecture=""
    target "$1"
    case $1 in
    mips*) features=$ROUTER ;;
    # For servers: fast. The others are for flash.
    x86_64-*) settings=(--config profile.router.opt-level=3) architecture=amd64 ;;
    aarch64-*) settings=(--config profile.router.opt-level=3) architecture=arm64 ;;
    armv7-*) architecture=armhf ;;
    riscv64gc-*) architecture=riscv64 ;;
    esac
    daemon --no-default-features --features "$features" "${settings[@]}"
    tarball "$1"
    [ -z "$architecture" ] || DEB_VERSION=$version ARCHITECTURE=$architecture packaging/deb.sh "$binary" "$dist"
}

# tarball TARGET: the program and its documents. What could differ between machines is set: order, times, owners.
tarball() {
    local folder=ecohttpd-$version-$1 work file
    work=$(mktemp -d)
    put 755 "$binary" "$work/$folder/ecohttpd"
    for file in CHANGELOG.md LICENSE README.md docs/ecohttpd.{8,bash,fish,zsh}; do
        put 644 "$file" "$work/$folder/${file##*/}"
    done
    tar -C "$work" --sort=name --format=ustar --owner=0 --group=0 --numeric-owner "--mtime=@$SOURCE_DATE_EPOCH" \
        -c "$folder" | xz -9 -T1 >"$dist/$folder.tar.xz"
    rm -r "$work"
}

main "$@"
