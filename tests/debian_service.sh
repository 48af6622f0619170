#!/usr/bin/env bash
# Installs a package for Debian and runs its service under a systemd of its own, in namespaces: it listens on ports below
# 1024, makes a certificate, writes its log, reloads, refuses a wrong configuration, and leaves nothing behind.
#
#   tests/debian_service.sh PACKAGE               as root, on Debian; a minute
#
# This system's files are seen through an overlay, so nothing of it changes.
set -euo pipefail

package=""

main() {
    package=$(realpath "$1")
    local work
    for tool in curl systemctl unshare; do
        command -v "$tool" >/dev/null || skip "no $tool"
    done
    [ "$EUID" = 0 ] || skip "it needs root"
    unshare -fpmuinC true 2>/dev/null || skip "no namespaces"
    work=$(mktemp -d)
    : >"$work/said"
    # The system ends by itself; were it to hang, it would be killed.
    timeout 120 unshare -fpmuinC "$0" --boot "$package" "$work" >"$work/boot" 2>&1 || true
    cat "$work/said"
    tail -n 1 "$work/said" | grep -qx "all well" || { cat "$work/boot" >&2 && exit 1; }
    rm -r "$work"
}

skip() {
    echo "skipped: service for Debian: $1"
    exit 0
}

# boot WORK: becomes a system with systemd, which runs the probe.
boot() {
    local root=$1/system/root device
    mount --make-rprivate /
    mkdir "$1/system"
    mount -t tmpfs tmpfs "$1/system"
    mkdir "$1/system"/{changes,work,root}
    mount -t overlay -o "lowerdir=/,upperdir=$1/system/changes,workdir=$1/system/work" overlay "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs sysfs "$root/sys"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
    for device in run tmp dev; do
        mount -t tmpfs tmpfs "$root/$device"
    done
    for device in null:3 zero:5 full:7 random:8 urandom:9; do
        mknod -m 666 "$root/dev/${device%:*}" c 1 "${device#*:}"
    done
    mknod -m 666 "$root/dev/tty" c 5 0
    mkdir "$root"/dev/{shm,pts,mqueue,hugepages} "$root"/{old,probe}
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
    ln -s pts/ptmx "$root/dev/ptmx"
    touch "$root"/{dev/console,probe/said}
    mount --bind "$1/said" "$root/probe/said"
    cp "$package" "$root/probe/package.deb"
    cp "$0" "$root/probe/probe.sh"
    units "$root/etc/systemd/system"
    cd "$root"
    pivot_root . old
    exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        /bin/bash -c 'umount -l /old; exec /lib/systemd/systemd --system --unit=probe.target'
}

# units FOLDER: a target that is the probe and the journal alone, and nothing of this system.
units() {
    printf '%s\n' "[Unit]" DefaultDependencies=no "Wants=probe.service systemd-journald.service" >"$1/probe.target"
    printf '%s\n' "[Unit]" DefaultDependencies=no After=systemd-journald.service "[Service]" Type=oneshot \
        "ExecStart=/bin/bash /probe/probe.sh --probe" >"$1/probe.service"
}

# probe: what is looked at, within the system.
probe() {
    local conf=/etc/ecohttpd/ecohttpd.conf pid
    trap 'systemctl poweroff -f' EXIT
    exec >/probe/said 2>&1
    PS4='line $LINENO: '
    set -x
    dpkg -P ecohttpd
    dpkg -i /probe/package.deb
    [ "$(systemctl is-active ecohttpd)" = inactive ]
    sed -i 's/# option access_log/option access_log/; s/# list listen_https/list listen_https/' "$conf"
    echo hello >/var/www/html/index.html
    chmod 644 /var/www/html/index.html
    systemctl start ecohttpd
    [ "$(curl -s --retry 9 --retry-connrefused http://127.0.0.1/)" = hello ]
    [ "$(curl -sk https://127.0.0.1/)" = hello ]
    [ -s /var/log/ecohttpd/access.log ]
    pid=$(systemctl show -p MainPID --value ecohttpd)
    # CAP_NET_BIND_SERVICE is the tenth, and it is not root.
    grep -qx "CapBnd:.0000000000000400" "/proc/$pid/status"
    fails grep -q "^Uid:.0" "/proc/$pid/status"
    cp "$conf" /probe/right
    sed -i "s/max_connections '.*'/max_connections 'many'/" "$conf"
    fails systemctl reload ecohttpd
    cp /probe/right "$conf"
    systemctl reload ecohttpd
    dpkg -i /probe/package.deb
    [ "$(systemctl is-active ecohttpd)" = active ]
    [ "$(systemctl show -p MainPID --value ecohttpd)" != "$pid" ]
    [ "$(curl -s --retry 9 --retry-connrefused http://127.0.0.1/)" = hello ]
    dpkg -r ecohttpd
    [ "$(systemctl is-active ecohttpd)" = inactive ]
    [ -e "$conf" ]
    dpkg -P ecohttpd
    [ ! -e "$conf" ]
    [ ! -e /var/lib/private/ecohttpd ]
    set +x
    echo "all well"
}

# fails COMMAND ARG...: it must not succeed. (`set -e` ignores a command behind `!`.)
fails() {
    if "$@"; then return 1; fi
}

case ${1:?usage: tests/debian_service.sh PACKAGE} in
--boot)
    package=$2
    boot "$3"
    ;;
--probe) probe ;;
*) main "$1" ;;
esac
