#!/usr/bin/env bash
# Tests a cross-built daemon, and the library, under qemu-user with the processor of OpenWrt's routers.
#
#   cross/test.sh TARGET
#
# 1. The program of cross/build.sh, driven by the black-box tests built for this machine.
# 2. The tests of units and of the library, built for the target themselves, clients and all: protocol, files, TLS.
#    Each runs in a process of its own, as a failure aborts: nothing unwinds there.
# 3. With TLS: cross/tls.sh, every suite, group and kind of key.
#
# What tells nothing there is skipped: the table SKIPPED. Environment: that of lib.sh, JOBS (default: a process a core).
# shellcheck source=lib.sh source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

# The tests that start the daemon, and those of them that use nothing of the library: as programs of the target they
# would do the same again.
mapfile -t DRIVERS < <(grep -lE '\b(common_cgi|common_config|common_ubus|program|Daemon)\b' tests/*.rs)
mapfile -t OUTSIDE < <(grep -L 'ecohttpd::' "${DRIVERS[@]}")

# Those of them that say nothing of a daemon under an emulator, each with its reason.
EMULATED="
large_bodies_pass_in_constant_memory                measures its memory, which is the emulator's: code that it has translated
a_reader_that_is_slow_and_steady_is_not             counts on the pace of both ends, which the native tests can
time_runs_while_an_answer_is_not_read               has 400 calls begin within a second, which an emulator does not do
failures_have_a_status                              quotes why connecting failed, which qemu 7 tells by this machine's numbers
tls_handshakes_are_finished_beside_scripts          has 1,600 handshakes, which take an emulator minutes
"

# Tests that can't run as the target's program under qemu-user, each with its reason. All run on this machine.
SKIPPED="
errors_before_and_after_the_head                    needs panics that unwind
a_handler_that_fails_ends_its_own_connection_only   needs panics that unwind
outside_of_a_server_the_runtime_panics              needs panics that unwind
a_reply_without_a_body_is_whole                     needs panics that unwind
what_was_sent_arrives_and_the_end_tells             needs panics that unwind
what_can_not_be_completed_is_reset                  needs panics that unwind
the_panic_of_a_task_reaches_who_awaits_it           needs panics that unwind
a_panic_ends_no_more_than_its_own                   needs panics that unwind
daemon::ubus::client::tests::however_a_connection_ends_it_is_over   needs panics that unwind
values_are_judged_as_the_server_judges_them         starts the program itself, which needs binfmt_misc
without_descriptors_it_answers_503                  restarts itself, which needs binfmt_misc
running_out_of_descriptors                          restarts itself, which needs binfmt_misc
an_idle_one_owns_no_buffers                         measures its memory, which is the emulator's
files_that_the_kernel_makes_up                      compares with /proc/self/stat, which qemu makes up for those who open it by its path
symbolic_links                                      wants openat2(2), unknown to qemu 7: without, links may lead out and back in
"

main() {
    target "${1:?usage: cross/test.sh TARGET}"
    # A copy: a build with other features takes its place.
    cp "$(cross/build.sh "$target")" "$work/ecohttpd"
    ECOHTTPD_BIN=$work/ecohttpd
    export ECOHTTPD_BIN ECOHTTPD_RUNNER="${runner[*]}"
    echo "== the daemon, driven by this machine"
    driven
    echo "== the tests as programs of $target"
    programs
    echo "== TLS by curl and openssl"
    cross/tls.sh "$target"
}

# driven: runs the tests of this machine that start the daemon.
driven() {
    local name reason skip=() tests
    mapfile -t tests < <(names "${DRIVERS[@]}")
    if [ ${#runner[@]} != 0 ]; then
        while read -r name reason; do
            [ -n "$name" ] || continue
            echo "skipped: $name: $reason"
            skip+=(--skip "$name")
        done <<<"$EMULATED"
    fi
    cargo test --locked --quiet "${tests[@]}" -- "${skip[@]}"
}

# names FILE...: cargo's options for these files of tests.
names() {
    printf '%s\n' "$@" | sed 's|^tests/|--test=|; s|\.rs$||'
}

# programs: builds the tests for the target and runs them.
programs() {
    local program name failed=0 tests
    mapfile -t tests < <(names "$(printf '%s\n' tests/*.rs | grep -vxF "$(printf '%s\n' "${OUTSIDE[@]}")")")
    std=("${talking[@]}")
    # What it builds is in the cache, not where the tests of this machine are.
    CARGO_TARGET_DIR=$CACHE/test xcargo test --locked --lib --bins "${tests[@]}" --no-run --message-format=json |
        sed -n 's/.*"test":true},"features".*"executable":"\([^"]*\)".*/\1/p' >"$work/programs"
    [ -s "$work/programs" ] || { echo "cargo named no test programs" >&2 && exit 1; }
    export runner_line="${runner[*]}" work SKIPPED EMULATED
    while read -r program; do
        RUSTC_BOOTSTRAP=1 "${runner[@]}" "$program" -Zunstable-options --list --format terse | sed -n "s|: test\$| $program|p"
    done <"$work/programs" >"$work/all"
    while read -r name program; do
        # An ignored test is one that another starts.
        printf '%s\0%s\0' "$name" "$program"
    done <"$work/all" | xargs -0 -n 2 -P "${JOBS:-$(nproc)}" bash -c 'one "$@"' one || failed=1
    grep -h '^skipped:' -r "$work" || true
    printf '%d tests of %d programs\n' "$(wc -l <"$work/all")" "$(wc -l <"$work/programs")"
    return $failed
}

# one NAME PROGRAM: runs one test; prints what it said if it fails. In the process it is in: with panic=abort libtest
# would restart itself, which the kernel can't do with a program of another processor.
one() {
    local reason log
    reason=$(awk -v name="$1" '$1 == name { sub(/^[^ ]* */, ""); print }' <<<"$SKIPPED$EMULATED")
    [ -z "$reason" ] || { echo "skipped: $1: $reason" && return; }
    log=$(mktemp -p "$work")
    # shellcheck disable=SC2086 # the runner is words
    RUSTC_BOOTSTRAP=1 timeout 300 $runner_line "$2" -Zunstable-options --force-run-in-process --nocapture \
        --exact "$1" >"$log" 2>&1 && return
    printf -- '--- %s FAILED\n' "$1"
    cat "$log"
    return 1
}
export -f one

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
main "$@"
