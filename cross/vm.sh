#!/usr/bin/env bash
# A router in a box: a whole machine of 64 MB with Debian's kernel, the program of cross/build.sh, and the checks of
# cross/vm/checks.py from outside.
#
#   cross/vm.sh [mipsel|x86_64] [CHECK...]     default: mipsel, every check
#
# mipsel is a MIPS 24Kc, as in routers, emulated. Debian has no kernel for mips, which is big-endian. What a kernel
# without procd can't tell is in tests/openwrt.sh. Environment: that of lib.sh and of tests/vm.sh; ECOHTTPD_BIN (default:
# cross/build.sh makes it), RESULT: a file for the verdicts and the table of memory, QUICK=yes: without the check that takes
# minutes.
# shellcheck source=lib.sh source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # vm.sh's
subject="router in a box"
# shellcheck source=../tests/vm.sh
. tests/vm.sh

# Bytes of the largest file: what does not fit into buffers, and not much of what the machine has.
RANDOM_FILE=300000

main() {
    machine "${1:-mipsel}"
    tools "${machine[0]}:$package" cpio:cpio depmod:kmod mkfs.vfat:dosfstools mcopy:mtools mksquashfs:squashfs-tools \
        mkfs.jffs2:mtd-utils curl:curl python3:python3
    kernel "$debian_name" "$kernel_package"
    # A copy: a build with other features takes its place.
    cp "${ECOHTTPD_BIN:-$(cross/build.sh "$target")}" "$work/ecohttpd"
    content "$work/files"
    disks
    initramfs
    start
    python3 cross/vm/checks.py "$work/monitor" "$work/shell" "$work/files" "${RESULT:-$work/result}" "${@:2}"
}

# machine NAME: sets what depends on it.
machine() {
    case $1 in
    mipsel)
        target mipsel-unknown-linux-musl
        debian_name=mipsel kernel_package=linux-image-4kc-malta package=qemu-system-mips
        # Not the board's own network, a pcnet: it loses packets when they come fast.
        machine=(qemu-system-mipsel -M malta -cpu 24Kc -vga none -m 64 -device "virtio-net-pci,netdev=n0,addr=0b")
        ;;
    x86_64)
        target x86_64-unknown-linux-musl
        debian_name=amd64 kernel_package=linux-image-amd64 package=qemu-system-x86
        # Its kernel alone takes more. Emulated: what passes for KVM inside of a container may hang.
        machine=(qemu-system-x86_64 -accel tcg -vga none -m 128 -device "virtio-net-pci,netdev=n0")
        ;;
    mips) skip "no package of a kernel for mips" ;;
    *) echo "unknown machine: $1; one of: mipsel, x86_64" >&2 && exit 1 ;;
    esac
}

# content FOLDER: what is served, from the initramfs and from the disks.
content() {
    mkdir -p "$1"/{folder,secret,root,private-things}
    echo '<!doctype html><title>router</title>' >"$1/index.html"
    echo 'a file' >"$1/long-name.html"
    echo inside >"$1/folder/inside.txt"
    echo secret | tee "$1/secret/x" "$1/root/x" >"$1/private-things/x"
    head -c "$RANDOM_FILE" /dev/urandom >"$1/random"
}

# The disks, in the order of their letters: squashfs, vfat, jffs2, ubifs.
disks() {
    local files=$work/files erase=65536
    mkdir "$work/disk"
    cp -r "$files/." "$work/disk"
    ln -s index.html "$work/disk/link.html"
    {
        mksquashfs "$work/disk" "$work/vda" -quiet -no-progress -comp xz -all-root
        truncate -s 4M "$work/vdb"
        /sbin/mkfs.vfat "$work/vdb"
        mcopy -i "$work/vdb" -s "$files"/* ::
        mkfs.jffs2 --root="$files" --eraseblock=$erase --pad=4194304 --squash --little-endian --output="$work/vdc"
        # A block of 64 KiB less two headers of 64 bytes. No compressor, as the kernel has each as a module.
        mkfs.ubifs --root="$files" --min-io-size=8 --leb-size=$((erase - 128)) --max-leb-cnt=100 --squash-uids \
            --output="$work/ubifs"
        printf '[files]\nmode=ubi\nimage=%s\nvol_id=0\nvol_size=5MiB\nvol_type=dynamic\nvol_name=files\n' \
            "$work/ubifs" >"$work/ubi.ini"
        ubinize --min-io-size=1 --peb-size=$erase --output="$work/vdd" "$work/ubi.ini"
        truncate -s 8M "$work/vdd"
    } >"$work/mkfs.log" 2>&1 || { cat "$work/mkfs.log" >&2 && exit 1; }
}

initramfs() {
    local name
    initramfs_begin virtio_net virtio_pci virtio_blk squashfs overlay vfat nls_cp437 nls_ascii nls_utf8 nls_iso8859-1 jffs2 \
        block2mtd ubi ubifs deflate zstd lzo crc32c_generic tls \
        crypto-rfc7539 crypto-chacha20 crypto-poly1305 crypto-gcm crypto-ctr crypto-ghash crypto-aes
    mkdir -p "$initramfs"/etc/config "$initramfs/www/cgi-bin"
    cp -r "$work/files/." "$initramfs/www"
    cp "$work/ecohttpd" "$initramfs/bin/ecohttpd"
    settings
    scripts
    launcher "$initramfs/bin/jail"
    cp cross/vm/init.sh "$initramfs/init"
    initramfs_end
}

settings() {
    # Times in which nothing ends while the memory is measured, and as many connections as it takes.
    cat >"$initramfs/etc/config/uhttpd" <<-END
		config uhttpd main
		    list listen_http 0.0.0.0:80
		    list listen_https 0.0.0.0:443
		    option home /www
		    option cgi_prefix /cgi-bin
		    option max_connections 600
		    option http_keepalive 300
		    option network_timeout 300
	END
    # shellcheck disable=SC2016
    printf '/secret:user:pass\n/root:root:$p$root\n/vfat/private-things:user:pass\n' >"$initramfs/etc/httpd.conf"
    echo 'root:x:0:0:root:/root:/bin/sh' >"$initramfs/etc/passwd"
    echo 'root:x:0:' >"$initramfs/etc/group"
    echo "root:$(openssl passwd -6 -salt salt password):0:0:99999:7:::" >"$initramfs/etc/shadow"
    chmod 600 "$initramfs/etc/shadow"
}

scripts() {
    local folder=$initramfs/www/cgi-bin
    printf '#!/bin/sh\nprintf "Content-Type: text/plain\\n\\n"\nenv\n' >"$folder/env"
    printf '#!/bin/sh\nexit 1\n' >"$folder/broken"
    # shellcheck disable=SC2016
    printf '#!/bin/sh\ncat >/tmp/upload.$$\nprintf "Content-Type: text/plain\\n\\n"\nsha256sum </tmp/upload.$$\n' >"$folder/sum"
    chmod 755 "$folder"/*
}

# launcher PROGRAM: jail.c, with the calls that the jail of OpenWrt allows as far as the architecture has them.
launcher() {
    local name
    # musl calls the old ones with 32-bit times by another name.
    python3 -c 'import json, sys
for name in json.load(sys.stdin)["syscalls"][0]["names"]:
    print(f"#if defined SYS_{name}\nSYS_{name},\n#elif defined SYS_{name}32\nSYS_{name}32,\n#endif")' \
        <openwrt/ecohttpd/files/seccomp.json >"$work/calls.h"
    # The headers of the kernel are the same for all architectures, as far as these go.
    compile -Os -static -nostdlibinc -isystem "$sysroot/include" -idirafter /usr/include \
        -idirafter "/usr/include/$(gcc -print-multiarch)" -I "$work" -fuse-ld=lld-$LLVM --sysroot="$sysroot" \
        -nostdlib "$sysroot/lib/crt1.o" cross/vm/jail.c "$sysroot/lib/libc.a" -o "$1"
}

start() {
    # The four slots of a Malta's board that have an interrupt, as hexadecimal numbers.
    local disk slot=12 drives=()
    for disk in vda vdb vdc vdd; do
        drives+=(-drive "file=$work/$disk,format=raw,if=none,id=$disk" -device "virtio-blk-pci,drive=$disk,addr=$slot")
        slot=$((slot + 1))
    done
    # Port 0: qemu takes free ones, and its monitor tells which.
    boot "${machine[@]}" -append 'console=ttyS0 quiet panic=-1' "${drives[@]}" \
        -netdev "user,id=n0,hostfwd=tcp:127.0.0.1:0-:80,hostfwd=tcp:127.0.0.1:0-:443" \
        -serial stdio -serial "unix:$work/shell,server=on,wait=off" -monitor "unix:$work/monitor,server=on,wait=off"
    await 120 READY
}

main "$@"
