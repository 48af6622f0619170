#!/usr/bin/env bash
# By which names files are reached on file systems that have several for one: on real ones, in a virtual machine.
#
#   tests/file_systems.sh [PROGRAM]          default: target/debug/ecohttpd
#
# It boots Debian's kernel under qemu-system-x86_64 with a disk of each kind, serves each of them, and asks for what a
# login protects and for scripts by other names than those that the folders list. Needs Debian's packages below and 75 MB
# of download. A file that ECOHTTPD_SKIPS names is told if it can't be run.
set -euo pipefail
cd "$(dirname "$0")/.."

program=${1:-${CARGO_TARGET_DIR:-target}/debug/ecohttpd}
cache=${ECOHTTPD_VM:-${HOME:?}/.cache/ecohttpd-vm}
work=$(mktemp -d)
qemu=
trap '[ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true; rm -rf "$work"' EXIT

skip() {
    echo "skipped: file systems: $1" | tee -a "${ECOHTTPD_SKIPS:-/dev/null}" >&2
    exit 0
}

# What to ask for, and the status on file systems that ignore case and on those that don't; "-": not there to ask for.
# Behind a login that the request does not show, what is found is 401, and what is run answers 200 with "ran".
ROWS='
/private-things/x                 401 401 as it is listed
/PRIVATE-things/x                 401 401 in another case: the login ignores it
/private-things./x                404 404 with a dot, which FAT drops
/private-things%2e/x              404 404 the same, escaped
/private-things.../x              404 404 with dots
/private-things%20/x              404 404 with a blank, which FAT drops
/PRIVAT~1/x                       404 404 by its short name
/PRIVAT~1                         404 404 by its short name, as a file
/PRIVAT~1/                        404 404 by its short name, as a folder
/private-things%E2%80%8D/x        404 404 with a letter that folding case drops
/private-things/x.                401 401 the login goes before
/Stra%C3%9Fe/x                    401 401 beyond ASCII
/strasse/x                        404 404 what folding case makes of it
/%C3%84rger.txt                   200 200 composed
/A%CC%88rger.txt                  404 404 decomposed
/cgi-bin/x.cgi                    ran ran a script
/CGI-BIN/X.CGI                    ran 404 a script in another case
/cgi-bin./x.cgi                   404 404 a script by a folder with a dot
/cgi-bin/x.cgi.                   404 404 a script with a dot
/page.sh                          ran ran a page of an interpreter
/page.sh.                         404 404 with a dot
/page.sh%20                       404 404 with a blank
/long-name-page.sh                ran ran a page with a long name
/LONG-N~1.SH                      404 404 by its short name
/long-name.html                   200 200 a file
/LONG-NAME.HTML                   200 404 in another case
/LONG-N~1.HTM                     404 404 by its short name
/long-name.html.                  404 404 with a dot
/long-name.html                   200 200 it is still there
'

# NAME FOLDING: the disks, in the order of their letters.
DISKS='
vfat     folds
exfat    folds
ext4fold folds
f2fsfold folds
ext4     exact
hfsplus  folds
iso9660  exact
'

main() {
    [ -x "$program" ] || { echo "no program: $program" >&2 && exit 1; }
    tools
    kernel
    disks
    initramfs
    boot
    judge
}

tools() {
    local missing=() pair
    for pair in qemu-system-x86_64:qemu-system-x86 mkfs.vfat:dosfstools mkfs.exfat:exfatprogs mkfs.ext4:e2fsprogs \
        mkfs.f2fs:f2fs-tools xorriso:xorriso cpio:cpio depmod:kmod; do
        command -v "${pair%:*}" >/dev/null || [ -x "/sbin/${pair%:*}" ] || missing+=("${pair#*:}")
    done
    [ ${#missing[@]} = 0 ] && return
    [ "$EUID" = 0 ] || skip "not installed: ${missing[*]}"
    if ! apt-get update -qq ||
        ! DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; then
        skip "cannot install ${missing[*]}"
    fi
}

# Debian's kernel and a static busybox, unpacked beside each other and not installed.
kernel() {
    local image
    if [ ! -e "$cache/done" ]; then
        mkdir -p "$cache"
        image=$(apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
        [ -n "$image" ] || skip "no package of a kernel"
        (cd "$cache" && rm -f ./*.deb && apt-get download -qq "$image" busybox-static) || skip "cannot download $image"
        for image in "$cache"/*.deb; do
            dpkg-deb -x "$image" "$cache/root"
        done
        rm "$cache"/*.deb
        touch "$cache/done"
    fi
    vmlinuz=$(echo "$cache"/root/boot/vmlinuz-*)
}

disks() {
    local name _ tree=$work/tree
    for name in vfat exfat ext4fold f2fsfold ext4; do
        truncate -s 64M "$work/$name.img"
    done
    {
        /sbin/mkfs.vfat -F 32 "$work/vfat.img"
        /sbin/mkfs.exfat "$work/exfat.img"
        /sbin/mkfs.ext4 -O casefold -E encoding=utf8 "$work/ext4fold.img"
        /sbin/mkfs.f2fs -O casefold -C utf8 "$work/f2fsfold.img"
        /sbin/mkfs.ext4 "$work/ext4.img"
    } >"$work/mkfs.log" 2>&1 || { cat "$work/mkfs.log" >&2 && exit 1; }
    # Read-only ones, filled here: one disk is both.
    mkdir "$tree"
    fill "$tree"
    xorriso -as mkisofs -quiet -R -hfsplus -o "$work/hfsplus.img" "$tree" 2>"$work/mkfs.log" ||
        { cat "$work/mkfs.log" >&2 && exit 1; }
    cp "$work/hfsplus.img" "$work/iso9660.img"
}

# What is served, on this machine and in the other: by a shell of busybox.
# shellcheck disable=SC2016
FILL='
mkdir "$1/private-things" "$1/cgi-bin" "$1/Straße"
echo secret >"$1/private-things/x"
echo secret >"$1/Straße/x"
echo file >"$1/Ärger.txt"
echo file >"$1/long-name.html"
printf "#!/bin/sh\nprintf \"Content-Type: text/plain\\n\\nran\"\n" >"$1/cgi-bin/x.cgi"
chmod 755 "$1/cgi-bin/x.cgi"
cp "$1/cgi-bin/x.cgi" "$1/page.sh"
cp "$1/cgi-bin/x.cgi" "$1/long-name-page.sh"
'
fill() {
    sh -ec "$FILL" fill "$1"
}

initramfs() {
    local root=$work/initramfs library modules kernel
    modules=$(echo "$cache"/root/lib/modules/*)
    kernel=${modules##*/}
    mkdir -p "$root"/{bin,sbin,dev,proc,sys,tmp,mnt,etc} "$root/lib/modules/$kernel/kernel"
    cp "$cache/root/bin/busybox" "$root/bin/busybox"
    for library in sh mount mkdir cp printf echo chmod cat nc head cut ifconfig modprobe poweroff sleep grep sed tr; do
        ln -s busybox "$root/bin/$library"
    done
    # The kernel itself asks for modules by that name.
    ln -s ../bin/busybox "$root/sbin/modprobe"
    for library in fs/fat fs/exfat fs/ext4 fs/jbd2 fs/f2fs fs/hfsplus fs/isofs fs/nls fs/mbcache.ko lib crypto \
        arch/x86/crypto drivers/block/virtio_blk.ko drivers/virtio drivers/cdrom; do
        [ ! -e "$modules/kernel/$library" ] || (cd "$modules" && cp -r --parents "kernel/$library" "$root/lib/modules/$kernel")
    done
    cp "$modules"/modules.{order,builtin,builtin.modinfo} "$root/lib/modules/$kernel"
    /sbin/depmod -b "$root" "$kernel"
    cp "$program" "$root/bin/ecohttpd"
    cp "$(command -v chattr)" "$root/bin/chattr"
    # The libraries of both, where they are here.
    for library in $(ldd "$program" "$(command -v chattr)" | grep -o '/[^ :]*' | grep '\.so' | sort -u); do
        mkdir -p "$root${library%/*}"
        cp -L "$library" "$root$library"
    done
    init >"$root/init"
    chmod 755 "$root/init"
    (cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initramfs.gz"
}

# The other machine's first process.
init() {
    cat <<'END'
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
ifconfig lo 127.0.0.1 up
modprobe virtio_pci
modprobe virtio_blk
END
    printf 'fill() {\n%s\n}\n' "$FILL"
    cat <<'END'
printf '/private-things:u:p\n/Straße:u:p\n' >/etc/logins
# ask PORT TARGET: the status, or "ran" if a script did it.
ask() {
    printf 'GET %s HTTP/1.0\r\n\r\n' "$2" | nc -w 20 127.0.0.1 "$1" >/tmp/reply
    status=$(head -1 /tmp/reply | cut -d' ' -f2)
    if [ "$status" = 200 ] && grep -q '#!' /tmp/reply; then status=source; fi
    if [ "$status" = 200 ] && grep -q '^ran' /tmp/reply; then status=ran; fi
    echo "$status"
}
port=8000
# serve NAME DISK TYPE
serve() {
    root=/mnt/$1
    mkdir "$root"
    modprobe "$3" 2>/dev/null
    mount -t "$3" "$2" "$root" 2>/dev/null || mount -o ro -t "$3" "$2" "$root" || { echo "MISSING $1"; return; }
    case $1 in
    *fold) root=$root/folds; mkdir "$root"; chattr +F "$root" || echo "MISSING $1: chattr" ;;
    esac
    case $1 in hfsplus|iso9660) ;; *) fill "$root" ;; esac
    for strict in '' -S; do
        port=$((port + 1))
        ecohttpd -f -p 127.0.0.1:$port -h "$root" -c /etc/logins -i .sh=/bin/sh $strict >/tmp/out.$port 2>&1 &
        while ! grep -q serving /tmp/out.$port 2>/dev/null; do sleep 0.1; done
        while read -r target; do
            echo "GOT $1 ${strict:--} $target $(ask $port "$target")"
        done </targets
    done
}
END
    awk 'NF { print $1 }' <<<"$ROWS" >"$work/initramfs/targets"
    local name letters=abcdefgh at=0
    while read -r name _; do
        [ -n "$name" ] || continue
        printf 'serve %s /dev/vd%s %s\n' "$name" "${letters:at:1}" "${name%fold}"
        at=$((at + 1))
    done <<<"$DISKS"
    echo 'echo DONE'
    echo 'poweroff -f'
}

boot() {
    # Emulated: what passes for KVM inside of a container may hang.
    local args=(-accel tcg -m 256 -nographic -no-reboot -kernel "$vmlinuz" -initrd "$work/initramfs.gz"
        -append 'console=ttyS0 quiet panic=-1') name
    while read -r name _; do
        [ -z "$name" ] || args+=(-drive "file=$work/$name.img,format=raw,if=virtio")
    done <<<"$DISKS"
    qemu-system-x86_64 "${args[@]}" </dev/null >"$work/console" 2>&1 &
    qemu=$!
    # It takes half a minute, and ends itself.
    timeout 300 tail --pid="$qemu" -f /dev/null || { tail -50 "$work/console" >&2 && echo "it does not end" >&2 && exit 1; }
    wait "$qemu" || true
    qemu=
    grep -aq DONE "$work/console" || { tail -50 "$work/console" >&2 && echo "it ended too early" >&2 && exit 1; }
}

# Compares what was answered with what is right.
judge() {
    local wrong=0 count=0 name kind strict target folding exact why expected got
    tr -d '\r' <"$work/console" >"$work/said"
    if grep -a '^MISSING' "$work/said"; then
        exit 1
    fi
    while read -r name kind; do
        [ -n "$name" ] || continue
        for strict in - -S; do
            while read -r target folding exact why; do
                [ -n "$target" ] || continue
                if [ "$kind" = folds ]; then expected=$folding; else expected=$exact; fi
                got=$(grep -aF "GOT $name $strict $target " "$work/said" | head -1 | sed 's/.* //')
                count=$((count + 1))
                if [ "$got" != "$expected" ]; then
                    echo "$name $strict: $target: $got instead of $expected: $why" >&2
                    wrong=$((wrong + 1))
                fi
            done <<<"$ROWS"
        done
    done <<<"$DISKS"
    echo "file systems: $count requests on $(grep -c . <<<"$DISKS") kinds, $wrong wrong"
    [ "$wrong" = 0 ] && [ "$count" -gt 0 ]
}

main
