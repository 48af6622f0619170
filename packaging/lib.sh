# shellcheck shell=bash
# What the scripts beside it share: the version, and the time that files get.
#
# Sourced. Environment: SOURCE_DATE_EPOCH (default: the time of the last commit).

set -euo pipefail
export LC_ALL=C TZ=UTC
umask 022
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The one place of the version.
# shellcheck disable=SC2034
version=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' "$repository/Cargo.toml")

# The same for each build of a commit, so that the bytes are the same.
: "${SOURCE_DATE_EPOCH:=$(git -C "$repository" log -1 --format=%ct)}"
export SOURCE_DATE_EPOCH

# fail TEXT: one line of what is wrong, and what to do.
fail() {
    printf '%s\n' "$1" >&2
    exit 1
}

# put MODE FILE DESTINATION: copies a file, and makes its folder.
put() {
    install -D -m "$1" "$2" "$3"
}
