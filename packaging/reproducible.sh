#!/usr/bin/env bash
# Makes a release of the last commit twice, and compares the bytes: in two folders, with two homes of cargo, two musls and
# two masks for new files. Some minutes for each target.
#
#   packaging/reproducible.sh [TARGET...]         by default x86_64 and mipsel
#
# Environment: that of lib.sh here and in cross.
# shellcheck source=lib.sh source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
# shellcheck source=../cross/lib.sh source-path=SCRIPTDIR
. "$repository/cross/lib.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

main() {
    [ $# = 0 ] || TARGETS=("$@")
    [ $# != 0 ] || TARGETS=(x86_64-unknown-linux-musl mipsel-unknown-linux-musl)
    build "$work/one" 022
    build "$work/another/and/longer" 077
    diff "$work/one/dist/SHA256SUMS" "$work/another/and/longer/dist/SHA256SUMS" || fail "two builds differ"
    cat "$work/one/dist/SHA256SUMS"
    echo "the same bytes twice"
}

# build FOLDER MASK: a release from a copy of the last commit, where nothing but the downloaded crates is shared.
build() {
    local cargo=${CARGO_HOME:-$HOME/.cargo}
    mkdir -p "$1/source" "$1/cross/musl" "$1/cargo"
    git archive HEAD | tar -C "$1/source" -x
    cp -r "$CACHE/musl/source" "$1/cross/musl/source"
    [ ! -e "$cargo/registry" ] || cp -r "$cargo/registry" "$1/cargo/registry"
    (
        umask "$2"
        REHEARSAL=1 CARGO_HOME="$1/cargo" ECOHTTPD_CROSS="$1/cross" DIST="$1/dist" \
            "$1/source/packaging/release.sh" "${TARGETS[@]}" >&2
    )
}

main "$@"
