#!/usr/bin/env bash
# By which names files are reached on file systems that have several for one: on real ones, in a virtual machine.
#
#   tests/file_systems.sh [PROGRAM]          default: target/debug/ecohttpd
#
# It boots Debian's kernel under qemu-system-x86_64 with a disk of each kind, serves each of them, and asks for what a
# login protects and for scripts by other names than those that the folders list. Needs Debian's packages below and 75 MB
# of download. A file that ECOHTTPD_SKIPS names is told if it can't be run.
cd "$(dirname "$0")/.."
subject="file systems"
# shellcheck source=vm.sh source-path=SCRIPTDIR
. tests/vm.sh

program=${1:-${CARGO_TARGET_DIR:-target}/debug/ecohttpd}

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
    tools qemu-system-x86_64:qemu-system-x86 mkfs.vfat:dosfstools mkfs.exfat:exfatprogs mkfs.ext4:e2fsprogs \
        mkfs.f2fs:f2fs-tools xorriso:xorriso cpio:cpio depmod:kmod
    kernel amd64 linux-image-amd64
    disks
    initramfs
    start
    judge
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
    local name
    initramfs_begin virtio_pci virtio_blk vfat nls_cp437 nls_ascii nls_utf8 exfat ext4 f2fs hfsplus isofs crc32c_generic \
        crc32_generic
    for name in mount mkdir cp printf echo chmod cat nc head cut ifconfig modprobe poweroff sleep grep sed tr; do
        ln -s busybox "$initramfs/bin/$name"
    done
    cp "$program" "$initramfs/bin/ecohttpd"
    cp "$(command -v chattr)" "$initramfs/bin/chattr"
    with_libraries "$program" "$(command -v chattr)"
    init >"$initramfs/init"
    initramfs_end
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
    awk 'NF { print $1 }' <<<"$ROWS" >"$initramfs/targets"
    local name letters=abcdefgh at=0
    while read -r name _; do
        [ -n "$name" ] || continue
        printf 'serve %s /dev/vd%s %s\n' "$name" "${letters:at:1}" "${name%fold}"
        at=$((at + 1))
    done <<<"$DISKS"
    echo 'echo DONE'
    echo 'poweroff -f'
}

start() {
    # Emulated: what passes for KVM inside of a container may hang.
    local args=(-accel tcg -m 256 -append 'console=ttyS0 quiet panic=-1') name
    while read -r name _; do
        [ -z "$name" ] || args+=(-drive "file=$work/$name.img,format=raw,if=virtio")
    done <<<"$DISKS"
    boot qemu-system-x86_64 "${args[@]}"
    # It takes half a minute.
    await 300 DONE
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
