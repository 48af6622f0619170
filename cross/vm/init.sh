#!/bin/sh
# The first process of the router in a box: what a router has when its server starts, and a shell for the tests.
#
# It says READY on the console when the server answers, or GONE. Then it runs the lines that come on the second serial
# port, and says what each of them printed and its status; see checks.py.
# shellcheck shell=dash

/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o size=32m tmpfs /tmp
for module in virtio_pci virtio_blk virtio_net; do
    modprobe "$module" || echo "no module $module"
done
hostname router
ifconfig lo 127.0.0.1 up
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
route add default gw 10.0.2.2
# A router has no battery.
date -s '1970-01-01 00:01' >/dev/null

# The disks: what of them can't be mounted is missing from here, and its checks say so.
mkdir -p /www/squashfs /www/overlay /www/vfat /www/jffs2 /www/ubifs /www/ram /mnt/work
mount -t tmpfs -o size=32m tmpfs /www/ram
modprobe squashfs && mount -t squashfs -o ro /dev/vda /www/squashfs
mount -t tmpfs -o size=1m tmpfs /mnt/work
mkdir /mnt/work/upper /mnt/work/work
modprobe overlay &&
    mount -t overlay -o lowerdir=/www/squashfs,upperdir=/mnt/work/upper,workdir=/mnt/work/work overlay /www/overlay
modprobe vfat && mount -t vfat /dev/vdb /www/vfat
# Flash: what is a disk here is an MTD with the size of block that a NOR has.
modprobe block2mtd block2mtd=/dev/vdc,65536
modprobe jffs2 && mount -t jffs2 mtd0 /www/jffs2
echo /dev/vdd,65536 >/sys/module/block2mtd/parameters/block2mtd
modprobe ubi mtd=1
modprobe ubifs && mount -t ubifs ubi0:files /www/ubifs
truncate -s 100M /www/ram/large
# What kernel TLS needs; a check inserts the module itself.
for module in rfc7539 chacha20 poly1305 gcm ctr ghash aes; do
    modprobe "crypto-$module" || echo "no module $module"
done
mv /lib/modules/*/kernel/net/tls/tls.ko /
# They are in memory, as all of this is.
rm -r /lib/modules

# serve: as procd does it, again a second after it has ended. What is in /tmp/how goes before it.
serve() {
    while :; do
        echo start >>/tmp/starts
        $(cat /tmp/how) /bin/ecohttpd -f --config /etc/config/uhttpd >>/tmp/log 2>&1
        sleep 1
    done
}
: >/tmp/how
serve &
tries=0
until wget -q -O /dev/null http://127.0.0.1/index.html; do
    tries=$((tries + 1))
    [ $tries -lt 60 ] || { cat /tmp/log && echo GONE; }
    sleep 0.5
done
echo READY

exec <>/dev/ttyS1 >&0
stty raw -echo
echo HELLO
while read -r line; do
    (eval "$line") </dev/null 2>&1
    echo "END $?"
done
