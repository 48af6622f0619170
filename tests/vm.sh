# shellcheck shell=bash
# What the scripts share that boot a virtual machine with Debian's kernel: packages, the initramfs, booting, the end.
#
# Sourced, at the root of the repository. Sets $work, a folder that is removed at the end, when the machine ends as well.
# Environment:
#   ECOHTTPD_VM      where kernels are kept (default: ~/.cache/ecohttpd-vm)
#   ECOHTTPD_SKIPS   a file that gets the line that says what can't be run

set -euo pipefail

cache=${ECOHTTPD_VM:-${HOME:?}/.cache/ecohttpd-vm}
work=$(mktemp -d)
qemu=
trap 'end_machine; rm -rf "$work"' EXIT

# skip REASON: ends, as $subject can't be tested here.
skip() {
    # shellcheck disable=SC2154 # the script's
    echo "skipped: $subject: $1" | tee -a "${ECOHTTPD_SKIPS:-/dev/null}" >&2
    exit 0
}

# tools PROGRAM:PACKAGE...: installs what is missing.
tools() {
    local missing=() pair
    for pair in "$@"; do
        command -v "${pair%:*}" >/dev/null || [ -x "/sbin/${pair%:*}" ] || missing+=("${pair#*:}")
    done
    [ ${#missing[@]} != 0 ] || return 0
    [ "$EUID" = 0 ] || skip "not installed: ${missing[*]}"
    if ! apt-get update -qq ||
        ! DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; then
        skip "cannot install ${missing[*]}"
    fi
}

# kernel ARCHITECTURE PACKAGE: Debian's kernel that the package depends on, and a static busybox, unpacked beside each other
# and not installed. Sets $debian, $vmlinuz, $release and $modules.
kernel() {
    local folder=$cache/$1 package
    debian=$folder/root
    if [ ! -e "$folder/done" ]; then
        rm -rf "$folder"
        mkdir -p "$folder"/apt/{parts,lists/partial,cache/archives/partial}
        foreign_apt "$1" "$folder/apt"
        package=$(APT_CONFIG=$folder/apt/conf apt-cache depends "$2" 2>/dev/null |
            sed -n 's/ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
        [ -n "$package" ] || skip "no package of a kernel"
        (cd "$folder" && APT_CONFIG=$folder/apt/conf apt-get download -qq "$package" busybox-static) ||
            skip "no package of a kernel: cannot download $package"
        for package in "$folder"/*.deb; do
            dpkg-deb -x "$package" "$debian"
        done
        rm -r "$folder"/*.deb "$folder/apt"
        /sbin/depmod -b "$debian" "$(basename "$debian"/lib/modules/*)"
        touch "$folder/done"
    fi
    vmlinuz=$(echo "$debian"/boot/vmlinuz-*)
    modules=$(echo "$debian"/lib/modules/*)
    # shellcheck disable=SC2034
    release=${modules##*/}
}

# foreign_apt ARCHITECTURE FOLDER: an apt of another architecture with a state of its own, which leaves that of the system
# as it is. It has the lists of the releases that this system has.
foreign_apt() {
    local site suite
    # shellcheck disable=SC2016 # apt fills these in
    apt-get indextargets --format '$(SITE) $(CODENAME)' 'Created-By: Packages' | sort -u |
        while read -r site suite; do
            # Debian's own alone: others may not have the architecture.
            [[ "$site" != */debian && "$site" != */debian-security ]] ||
                echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $suite main"
        done >"$2/sources.list"
    : >"$2/status"
    cat >"$2/conf" <<-END
		Dir::Etc::sourcelist "$2/sources.list";
		Dir::Etc::sourceparts "$2/parts";
		Dir::State::lists "$2/lists";
		Dir::State::status "$2/status";
		Dir::Cache "$2/cache";
		APT::Architecture "$1";
		APT::Architectures "$1";
		APT::Sandbox::User "";
		Acquire::Languages "none";
	END
    APT_CONFIG=$2/conf apt-get update -qq || skip "no package of a kernel: apt-get update failed"
}

# initramfs_begin MODULE...: sets $initramfs, a folder with busybox, these modules and what they need.
initramfs_begin() {
    local name file
    initramfs=$work/initramfs
    mkdir -p "$initramfs"/{bin,sbin,dev,proc,sys,tmp,mnt,etc} "$initramfs/lib/modules/$release"
    cp "$debian/bin/busybox" "$initramfs/bin/busybox"
    # What the kernel itself asks for modules, by that name.
    ln -s ../bin/busybox "$initramfs/sbin/modprobe"
    ln -s busybox "$initramfs/bin/sh"
    for name in "$@"; do
        /sbin/modprobe -d "$debian" -S "$release" --show-depends "$name" || { echo "no module $name" >&2 && exit 1; }
    done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u >"$work/modules"
    while read -r file; do
        file=${file#*/lib/modules/}
        install -D -m 644 "$debian/lib/modules/$file" "$initramfs/lib/modules/$file"
    done <"$work/modules"
    cp "$modules"/modules.{order,builtin,builtin.modinfo} "$initramfs/lib/modules/$release"
    /sbin/depmod -b "$initramfs" "$release"
}

# with_libraries PROGRAM...: the libraries of programs of this machine.
with_libraries() {
    local library
    for library in $(ldd "$@" 2>/dev/null | grep -o '/[^ :]*' | grep '\.so' | sort -u); do
        mkdir -p "$initramfs${library%/*}"
        cp -L "$library" "$initramfs$library"
    done
}

# initramfs_end: packs it; its /init is the first process.
initramfs_end() {
    chmod 755 "$initramfs/init"
    (cd "$initramfs" && find . | cpio -o -H newc --quiet -R 0:0 | gzip -1) >"$work/initramfs.gz"
}

# boot QEMU ARG...: starts the machine in the background; what it says is in $work/console.
boot() {
    "$@" -nographic -no-reboot -kernel "$vmlinuz" -initrd "$work/initramfs.gz" </dev/null >"$work/console" 2>&1 &
    qemu=$!
}

# end_machine: ends it, if there is one.
end_machine() {
    [ -n "$qemu" ] || return 0
    kill "$qemu" 2>/dev/null || true
    wait "$qemu" 2>/dev/null || true
    qemu=
}

# await SECONDS WORD: waits until the machine says the word.
await() {
    local end=$((SECONDS + $1))
    until grep -aq "$2" "$work/console"; do
        kill -0 "$qemu" 2>/dev/null || broken "it ended too early"
        [ $SECONDS -lt $end ] || broken "it does not say $2"
        sleep 0.2
    done
}

# broken WHY: tells what the machine said last, and ends.
broken() {
    tail -50 "$work/console" >&2
    echo "$subject: the virtual machine: $1" >&2
    exit 1
}
