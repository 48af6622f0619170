#!/usr/bin/env bash
# Installs what cross-building and its tests need, on Debian 12; safe to run again. One to three minutes, 1.5 GB.
#
#   cross/setup.sh                  TOOLCHAIN=nightly takes that of rustup instead of Debian's Rust
#
# shellcheck source=lib.sh source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

# Of the Rust compilers in Debian 12 rustc-web alone is new enough; its source of std is of the same version.
packages=("clang-$LLVM" "lld-$LLVM" "llvm-$LLVM" qemu-user make dpkg-dev ca-certificates curl openssl)
[ -n "${TOOLCHAIN:-}" ] || packages+=(rustc-web cargo-web rust-web-src)

main() {
    local missing=() package
    for package in "${packages[@]}"; do
        dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] || install "${missing[@]}"
    [ -z "${TOOLCHAIN:-}" ] || rustup component add --toolchain "$TOOLCHAIN" rust-src
    [ -e "$CACHE/musl/source/configure" ] || musl
    printf 'musl %s, ' "$(<"$CACHE/musl/source/VERSION")"
    if [ -n "${TOOLCHAIN:-}" ]; then rustc "+$TOOLCHAIN" -V; else /usr/bin/rustc -V; fi
}

# root COMMAND ARG...: as root.
root() {
    if [ "$EUID" = 0 ]; then "$@"; else sudo "$@"; fi
}

install() {
    local try
    for try in 1 2 3; do
        if root apt-get update -qq &&
            root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; then
            return
        fi
        echo "apt-get failed ($try of 3)" >&2
        sleep $((try * 5))
    done
    echo "cannot install: $*" >&2
    exit 1
}

# musl: its source, 1.2.5 as in OpenWrt, is in the next Debian: by an apt with a state of its own, which checks the
# signatures and leaves that of the system as it is.
musl() {
    local apt=$CACHE/apt site
    # shellcheck disable=SC2016 # apt fills these in
    site=$(apt-get indextargets --format '$(SITE) $(CODENAME)' 'Created-By: Packages' |
        awk '$2 == "bookworm" { print $1; exit }')
    rm -rf "$apt" "$CACHE/musl/source"
    mkdir -p "$apt"/{parts,lists/partial,cache/archives/partial} "$CACHE/musl"
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${site:-http://deb.debian.org/debian} trixie main" \
        >"$apt/sources.list"
    (
        cd "$apt"
        export APT_CONFIG=$apt/apt.conf
        cat >apt.conf <<-END
			Dir::Etc::sourcelist "$apt/sources.list";
			Dir::Etc::sourceparts "$apt/parts";
			Dir::State::lists "$apt/lists";
			Dir::Cache "$apt/cache";
			APT::Sandbox::User "";
		END
        apt-get update -qq
        apt-get source -qq --download-only musl
        dpkg-source -x musl_*.dsc "$CACHE/musl/source"
    ) >"$apt/log" 2>&1 || { cat "$apt/log" >&2 && exit 1; }
    rm -rf "$apt"
}

main
