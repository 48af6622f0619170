# shellcheck shell=bash
# What the scripts beside it share: the targets, the cache, musl's sysroots, cargo's environment.
#
# Sourced. Environment:
#   ECOHTTPD_CROSS   where sysroots and builds are kept (default: ~/.cache/ecohttpd-cross)
#   TOOLCHAIN        a rustup toolchain that has rust-src, such as nightly (default: Debian's rustc-web)
#
# Rust has no standard library ready for MIPS: -Zbuild-std compiles it, which needs a compiler of exactly its version
# and RUSTC_BOOTSTRAP. clang compiles ring and musl for all targets, lld links: no gcc for each.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C

CACHE=${ECOHTTPD_CROSS:-${HOME:?}/.cache/ecohttpd-cross}
LLVM=22
TARGETS=(mips-unknown-linux-musl mipsel-unknown-linux-musl armv7-unknown-linux-musleabihf
    aarch64-unknown-linux-musl riscv64gc-unknown-linux-musl x86_64-unknown-linux-musl)

# MIPS executes the instruction behind a branch. LLVM looks for one to put there only in front of the branch, unless it is
# told to look behind it and at its target, too: 10 KB less of instructions that do nothing. It also traps when a divisor
# is zero, which Rust has checked already.
slots=(-Cllvm-args=-disable-mips-df-forward-search=false -Cllvm-args=-disable-mips-df-succbb-search=false
    -Cllvm-args=-mno-check-zero-division)
# For C, clang's order of instructions on MIPS needs more registers than there are: that of the source has a fifth less
# code in the arithmetic of elliptic curves. Rust's code does not change in size.
mips=(-march=mips32r2 -msoft-float -mllvm -pre-RA-sched=source)

# target NAME: sets $target, $triple (clang's name), $abi (flags for clang), $flags (for rustc) and $runner (an
# emulator, with the processor that OpenWrt builds for). MIPS routers have no floating point unit: 24Kc neither.
target() {
    target=$1 triple=${1/-unknown/} abi=() flags=() runner=()
    case $target in
    mips-unknown-linux-musl) abi=("${mips[@]}") flags=("${slots[@]}") runner=(qemu-mips -cpu 24Kc) ;;
    mipsel-unknown-linux-musl) abi=("${mips[@]}") flags=("${slots[@]}") runner=(qemu-mipsel -cpu 24Kc) ;;
    armv7-unknown-linux-musleabihf)
        # Thumb-2: three quarters of the size of ARM's code.
        abi=(-march=armv7-a -mfpu=vfpv3-d16 -mfloat-abi=hard -mthumb) flags=(-Ctarget-feature=+thumb-mode)
        runner=(qemu-arm -cpu cortex-a7)
        ;;
    aarch64-unknown-linux-musl) runner=(qemu-aarch64 -cpu cortex-a53) ;;
    riscv64gc-unknown-linux-musl) triple=riscv64-linux-musl abi=(-march=rv64gc -mabi=lp64d) runner=(qemu-riscv64) ;;
    x86_64-unknown-linux-musl) ;;
    *)
        printf 'unknown target: %s; one of: %s\n' "$target" "${TARGETS[*]}" >&2
        exit 1
        ;;
    esac
    sysroot=$CACHE/musl/$triple
}

# For C: the program stands at a fixed place, and code that need not find itself is an eighth less on MIPS. clang's default
# with musl is the other. Each function in a section of its own: what nothing calls is left out.
c_flags="-fno-pic -fno-pie -ffunction-sections -fdata-sections -fno-unwind-tables -fno-asynchronous-unwind-tables"

# compile ARG...: clang for the target.
compile() {
    "clang-$LLVM" "--target=$triple" "${abi[@]}" "$@"
}

# sysroot: makes musl for the target, static, if it is not there (half a minute of processor time).
sysroot() {
    local work object
    # Made before, with the same flags.
    [ "$(cat "$sysroot/done" 2>/dev/null)" != "${abi[*]} $c_flags" ] || return 0
    [ -e "$CACHE/musl/source/configure" ] || { echo "no source of musl: run cross/setup.sh" >&2 && exit 1; }
    echo "making musl for $target" >&2
    work=$(mktemp -d)
    (
        cd "$work"
        # compiler_builtins of Rust is the library of the compiler, hence no LIBCC.
        CC="clang-$LLVM --target=$triple ${abi[*]} -fuse-ld=lld-$LLVM" AR=llvm-ar-$LLVM RANLIB=llvm-ranlib-$LLVM \
            CFLAGS="-Oz $c_flags" LIBCC=" " "$CACHE/musl/source/configure" --target="$triple" --prefix="$sysroot" \
            --disable-shared --disable-wrapper
        make -j"$(nproc)"
        make install
    ) >"$work/log" 2>&1 || { tail -30 "$work/log" >&2 && exit 1; }
    # Rust links these, which gcc would bring: nothing is in them, as init_array has taken their place.
    for object in crtbegin crtend crtbeginS crtendS; do
        compile -c -x c /dev/null -o "$sysroot/lib/$object.o"
    done
    compile -Os -c cross/unwind.c -o "$work/unwind.o"
    llvm-ar-$LLVM rcs "$sysroot/lib/libunwind.a" "$work/unwind.o"
    rm -r "$work"
    printf '%s\n' "${abi[*]} $c_flags" >"$sysroot/done"
}

# xcargo COMMAND ARG...: cargo for the target, standard library included, which ${std[@]} says how to build, with the flags
# ${terse[@]} for rustc.
std=() terse=()
xcargo() {
    local name=${target//-/_} path=$PATH rustup=() command=$1
    shift
    sysroot
    if [ -n "${TOOLCHAIN:-}" ]; then
        rustup=("+$TOOLCHAIN")
    else
        # Before a rustup that may be there.
        path=/usr/bin:$PATH
    fi
    # ICF keeps one of functions that are the same, a hundredth of the program; nothing here compares their addresses.
    # musl has 64-bit times everywhere, since 1.2; the crate libc, std's too, has them on 32 bits when told so.
    env ${TOOLCHAIN:+--unset=RUSTC} PATH="$path" RUSTC_BOOTSTRAP=1 RUST_LIBC_UNSTABLE_MUSL_V1_2_3=1 \
        "CC_$name=clang-$LLVM" "AR_$name=llvm-ar-$LLVM" \
        "CFLAGS_$name=--target=$triple ${abi[*]} -nostdlibinc -isystem $sysroot/include $c_flags" \
        "CARGO_TARGET_${name^^}_LINKER=ld.lld-$LLVM" "CARGO_TARGET_${name^^}_RUNNER=${runner[*]:-env}" \
        "CARGO_TARGET_${name^^}_RUSTFLAGS=-Clinker-flavor=ld.lld -Clink-self-contained=yes -Lnative=$sysroot/lib \
-Ctarget-feature=+crt-static -Crelocation-model=static -Cforce-unwind-tables=no -Clink-arg=--icf=all \
${terse[*]} ${flags[*]}" \
        cargo "${rustup[@]}" "$command" --target "$target" "${std[@]}" "$@"
}

# daemon CARGO-FLAG...: builds the daemon to be shipped; sets $binary.
daemon() {
    local out=$CACHE/build${TOOLCHAIN:+-$TOOLCHAIN}
    std=("${small[@]}")
    # {:?} prints the name of a variant without its fields: messages show no more than that, rustls's too, and the fields
    # take 25 KB. Nothing prints the places in the source that log lines know.
    terse=(-Zfmt-debug=shallow -Zlocation-detail=none)
    CARGO_TARGET_DIR=$out xcargo build --profile router --locked --bin ecohttpd "$@"
    # lld leaves the section .pdr of MIPS, a debugger's, which is a tenth of the file.
    binary=$out/$target/ecohttpd
    "llvm-strip-$LLVM" -o "$binary" "$out/$target/router/ecohttpd"
}

# The standard library of a release: for size, and without the text of panics, which is a tenth of the program. Nothing
# unwinds, so the tables for that, a twelfth, are not made for any crate (in xcargo). Where the crates are on this machine
# is left out, so that each machine makes the same bytes.
# shellcheck disable=SC2034
small=(-Zbuild-std=std -Zbuild-std-features=optimize_for_size -Zpanic-immediate-abort -Ztrim-paths
    --config 'profile.router.panic="immediate-abort"' --config 'profile.router.trim-paths="all"')
# That of the tests, which are to say why they fail.
# shellcheck disable=SC2034
talking=("-Zbuild-std=std,panic_abort,test" -Zbuild-std-features= -Zpanic-abort-tests
    --config 'profile.dev.panic="abort"' --config 'profile.dev.opt-level=1' --config 'profile.dev.debug=false')
