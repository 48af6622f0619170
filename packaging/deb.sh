#!/usr/bin/env bash
# Makes a package for Debian from a program that is built. Prints where it is.
#
#   packaging/deb.sh PROGRAM FOLDER
#
# Environment: that of lib.sh; DEB_VERSION (default: the version of Cargo.toml), ARCHITECTURE (default: this machine's, as
# Debian calls it). The same program gives the same bytes. Needs dpkg-dev and binutils.
# shellcheck source=lib.sh source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

program=${1:?usage: packaging/deb.sh PROGRAM FOLDER} out=${2:?usage: packaging/deb.sh PROGRAM FOLDER}
deb_version=${DEB_VERSION:-$version}
architecture=${ARCHITECTURE:-$(dpkg --print-architecture)}
tree=$(mktemp -d)
chmod 755 "$tree"
trap 'rm -r "$tree"' EXIT

main() {
    local from=$repository/packaging/debian package=$out/ecohttpd_${deb_version}_$architecture.deb
    put 755 "$program" "$tree/usr/bin/ecohttpd"
    put 644 "$from/ecohttpd.service" "$tree/lib/systemd/system/ecohttpd.service"
    put 644 "$from/ecohttpd.conf" "$tree/etc/ecohttpd/ecohttpd.conf"
    install -d -m 755 "$tree/var/www/html"
    documents "$from"
    # Before the control files: the sums are of what is installed.
    control "$from"
    # dpkg-deb gives no file a later time than this; earlier ones must not differ either.
    find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    mkdir -p "$out"
    dpkg-deb --root-owner-group --threads-max=1 -Zxz --build "$tree" "$package" >&2
    echo "$package"
}

# documents FOLDER: the manual page, completions, and what Debian has for each package.
documents() {
    local doc=$tree/usr/share/doc/ecohttpd
    put 644 "$repository/docs/ecohttpd.8" "$tree/usr/share/man/man8/ecohttpd.8"
    put 644 "$repository/docs/ecohttpd.bash" "$tree/usr/share/bash-completion/completions/ecohttpd"
    put 644 "$repository/docs/ecohttpd.zsh" "$tree/usr/share/zsh/vendor-completions/_ecohttpd"
    put 644 "$repository/docs/ecohttpd.fish" "$tree/usr/share/fish/vendor_completions.d/ecohttpd.fish"
    put 644 "$repository/LICENSE" "$doc/copyright"
    put 644 "$repository/CHANGELOG.md" "$doc/changelog"
    put 644 "$1/README.Debian" "$doc/README.Debian"
    gzip -9n "$tree/usr/share/man/man8/ecohttpd.8" "$doc/changelog"
}

# control FOLDER: what dpkg reads of the package.
control() {
    local size sums script
    size=$(du -sk --apparent-size "$tree" | cut -f1)
    sums=$(cd "$tree" && find . -type f ! -path './etc/*' -printf '%P\0' | sort -z | xargs -0 md5sum)
    for script in postinst prerm postrm; do
        put 755 "$1/$script" "$tree/DEBIAN/$script"
    done
    printf '%s\n' "$sums" >"$tree/DEBIAN/md5sums"
    echo /etc/ecohttpd/ecohttpd.conf >"$tree/DEBIAN/conffiles"
    cat >"$tree/DEBIAN/control" <<-END
		Package: ecohttpd
		Version: $deb_version
		Architecture: $architecture
		Maintainer: ecohttpd maintainers <ecohttpd@users.noreply.github.com>
		Installed-Size: $size
		Section: httpd
		Priority: optional
		Homepage: https://github.com/ecohttpd/ecohttpd
		Description: small, strict HTTP server
		 Serves files, CGI scripts and FastCGI, forwards to other servers, and speaks
		 HTTPS and HTTP/2. It reads the configuration of OpenWrt's uhttpd. The service
		 is not started before it is told to.
	END
    sed -i "/^Installed-Size/r /dev/stdin" "$tree/DEBIAN/control" < <(libraries)
    chmod 644 "$tree/DEBIAN"/{control,conffiles,md5sums}
}

# libraries: the packages of those that the program is linked to; nothing for a static one. Nothing else is needed: the
# service has a user that systemd makes.
libraries() {
    local work
    readelf -d "$program" | grep -q '(NEEDED)' || return 0
    work=$(mktemp -d)
    mkdir "$work/debian"
    echo "Source: ecohttpd" >"$work/debian/control"
    (cd "$work" && dpkg-shlibdeps -O -e "$tree/usr/bin/ecohttpd" | sed -n 's/^shlibs:Depends=/Depends: /p')
    rm -r "$work"
}

main
