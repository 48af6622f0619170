#!/usr/bin/env bash
# Fuzzes the parsers by libFuzzer, with the address sanitizer and all checks of debug builds.
#
#   fuzz/run.sh [SECONDS [TARGET...]]
#
# Each target for so many seconds (default 20), as many at once as there are cores. Begins with what lies in seeds/, keeps
# what it finds in target/fuzz/, and leaves an input that fails in target/fuzz/failures/. Needs a nightly toolchain and a
# C++ compiler; cargo-fuzz is not needed, but works, too. Environment: TOOLCHAIN (default nightly), SEED (default random:
# the checks give one, so that a change fails by what it changes).
set -euo pipefail
cd "$(dirname "$0")"

# A head of the largest size that the target allows, and more than a chunk's extension may have.
MAX_LEN=4096

seconds=${1:-20}
shift || true
targets=("$@")
[ ${#targets[@]} != 0 ] || mapfile -t targets < <(cd targets && printf '%s\n' *.rs | sed 's/\.rs$//')

toolchain=${TOOLCHAIN:-nightly}
host=$(rustc "+$toolchain" -vV | sed -n 's/^host: //p')
out=$(cd .. && realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz
export CARGO_TARGET_DIR=$out/build
# What cargo-fuzz passes. For a named host build scripts stay as they are.
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0 \
    -Zsanitizer=address -Ccodegen-units=1 --cfg fuzzing" \
    cargo "+$toolchain" build --release --locked --quiet --target "$host" --bins

mkdir -p "$out/failures"
fuzz() {
    local target=$1 log=$out/$1.log
    mkdir -p "$out/corpus/$target"
    if RUST_BACKTRACE=0 "$CARGO_TARGET_DIR/$host/release/$target" -max_total_time="$seconds" -max_len="$MAX_LEN" -timeout=10 \
        -seed="${SEED:-0}" \
        -rss_limit_mb=1024 -artifact_prefix="$out/failures/$target-" -print_final_stats=1 \
        "$out/corpus/$target" "seeds/$target" >"$log" 2>&1; then
        printf '%-12s %s runs\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
    else
        printf '%-12s FAILED\n' "$target"
        grep -aE -A 4 'panicked at|ERROR: |SUMMARY: |^artifact_prefix' "$log"
        return 1
    fi
}
export -f fuzz
export seconds out host MAX_LEN CARGO_TARGET_DIR
printf '%s\0' "${targets[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c 'fuzz "$1"' fuzz
