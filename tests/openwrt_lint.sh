#!/usr/bin/env bash
# What can be told of the OpenWrt packages by reading them: scripts, JSON, the Makefile's facts, LuCI's page.
set -euo pipefail
cd "$(dirname "$0")/.."
files=openwrt/ecohttpd/files
app=openwrt/luci-app-ecohttpd
work=$(mktemp -d "${TMPDIR:-/tmp}/openwrt.XXXXXX")
trap 'rm -rf "$work"' EXIT

main() {
    facts
    if has shellcheck; then
        shellcheck -x -P "$files" -s dash "$files/functions.sh" "$files/ecohttpd.init" "$files"/*.uci-defaults openwrt/ecohttpd/test.sh
    fi
    if has node; then
        json
        page
    fi
    if has busybox; then
        feed_test
    fi
}

has() {
    command -v "$1" >/dev/null || { echo "skipped: $1 is not installed" && return 1; }
}

fail() {
    echo "$*" >&2
    exit 1
}

facts() {
    local version name names file
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
    [ "$(sed -n 's/^PKG_VERSION:=//p' openwrt/ecohttpd/Makefile)" = "$version" ] || fail "the package's version is not $version"
    for name in ecohttpd ecohttpd-notls; do
        # The feed's tools look for literal names.
        # shellcheck disable=SC2016
        grep -qF '$(eval $(call BuildPackage,'$name'))' openwrt/ecohttpd/Makefile || fail "$name is not built"
    done
    for file in "$files"/*; do
        grep -q " ./files/${file##*/} " openwrt/ecohttpd/Makefile || fail "${file##*/} is not installed"
    done
    # LuCI knows the options by our names for them.
    names=$(sed -n "s/.*add(form[^,]*, '\([a-z_]*\)'.*/\1/p" $app/htdocs/luci-static/resources/view/ecohttpd/settings.js)
    [ -n "$names" ] || fail "no option found on LuCI's page"
    for name in $names; do
        grep -q "\"$name\"" src/daemon/config/options.rs || fail "LuCI sets $name, which is no option"
    done
}

json() {
    local file
    for file in "$files"/*.json $app/root/usr/share/*/*/*.json; do
        node -e 'JSON.parse(require("fs").readFileSync(process.argv[1]))' "$file" || fail "$file"
    done
}

# The page and its module, strictly parsed, and run on a LuCI that only notes what it is asked for.
page() {
    if has openssl; then
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/key" -out "$work/pem" -days 40 \
            -subj /C=ZZ/CN=router -addext subjectAltName=DNS:router.lan,IP:192.0.2.1,IP:2001:db8::1 2>/dev/null
        openssl x509 -in "$work/pem" -outform der -out "$work/der"
    else
        return 0
    fi
    cat >"$work/page.js" <<'FILE'
const fs = require('fs'), assert = require('assert');
const [ , , resources, work ] = process.argv;
String.prototype.format = function(...args) { return this.replace(/%[sd]/g, () => args.shift()); };

/* As LuCI loads a module: a function of what it requires. */
function load(file, has) {
    const source = fs.readFileSync(resources + '/' + file, 'utf8');
    const wants = [ ...source.matchAll(/^'require ([\w.]+)(?: as (\w+))?';$/gm) ].map(m => [ m[1], m[2] || m[1] ]);
    for (const [ , name ] of wants)
        assert(new RegExp('\\b' + name + '\\.').test(source), `${file}: ${name} is not used`);
    assert(/^'use strict';/.test(source));
    const names = wants.map(([ , name ]) => name).concat([ '_', 'E', 'require', 'process', 'global' ]);
    const values = wants.map(([ module ]) => has[module] || assert.fail(`${file}: no ${module}`));
    return new Function(...names, source)(...values, text => (assert.equal(typeof text, 'string'), text), E);
}

const texts = [];
function E(name, attributes, children) {
    for (const one of [ attributes, children ].flat(9))
        if (typeof one == 'string') texts.push(one);
    return { name };
}

const baseclass = { extend: methods => methods };
const x509 = load('ecohttpd/x509.js', { baseclass });
for (const form of [ 'pem', 'der' ]) {
    const read = x509.parse(fs.readFileSync(`${work}/${form}`).toString('base64'));
    assert.deepEqual(read.names, [ 'router.lan', '192.0.2.1', '2001:db8:0:0:0:0:0:1' ]);
    assert.equal(read.subject, 'router');
    assert.equal(read.issuer, 'router');
    assert.equal(Math.round((read.notAfter - read.notBefore) / 864e5), 40);
}
/* No file makes it hang, or say something else than that it is none. */
const der = fs.readFileSync(`${work}/der`);
for (let cut = 0; cut < der.length; cut++) {
    try { x509.parse(der.subarray(0, cut).toString('base64')); assert(false, cut); } catch (error) { assert(error instanceof Error); }
    const wrong = Buffer.from(der);
    wrong[cut] ^= 0xff;
    try { x509.parse(wrong.toString('base64')); } catch (error) { assert(error instanceof Error); }
}

const options = [];
const section = {
    tab() {},
    option(kind, name) { const one = { name, value() {} }; options.push(one); return one; },
    taboption(tab, kind, name) { return this.option(kind, name); }
};
const config = {
    uhttpd: [ { '.name': 'main', listen_https: [ '443' ] }, { '.name': 'bad', listen_https: '8443', cert: '/etc/bad.crt' } ],
    ecohttpd: [ { '.name': 'cloud', server_name: 'cloud.lan' } ]
};
const view = load('view/ecohttpd/settings.js', {
    'view': { extend: methods => methods },
    'form': { Map: class { section() { return section; } render() { return 'map'; } }, DummyValue: 1, NamedSection: 1, TypedSection: 1, Flag: 1, Value: 1, DynamicList: 1 },
    'fs': { exec: (program, args) => Promise.resolve({ code: 0, stdout: args.includes('--version') ? 'ecohttpd 9.9\n' : 'right\n' }) },
    'rpc': { declare: call => (...args) => Promise.resolve(call.method == 'list' ? { ecohttpd: { instances: { server: { running: true, pid: 77 } } } } :
        args[0] == '/etc/bad.crt' ? Buffer.from('no').toString('base64') : der.toString('base64')) },
    'uci': { load: () => Promise.resolve(), get: () => '1', sections: config_ => config[config_] },
    'ecohttpd.x509': x509
});
view.load().then(data => view.render(data)).then(rendered => {
    assert.equal(rendered, 'map');
    const all = texts.join('\n');
    for (const expected of [ 'ecohttpd 9.9 is running with process id 77 and the configuration of uhttpd.', 'router.lan, 192.0.2.1', 'self-signed',
        'Cannot be read: not a certificate', 'days left', 'right' ])
        assert(all.includes(expected), `${expected} is not in:\n${all}`);
    const header = options.find(one => one.name == 'header').validate, host = options.find(one => one.name == 'server_name').validate;
    for (const right of [ '', 'X-A: b', '/p X-A: b', 'X-A:' ]) assert.equal(header('', right), true, right);
    for (const wrong of [ 'X-A', 'X A: b', ': b', 'X-A: \n', 'p X-A: b' ]) assert.notEqual(header('', wrong), true, wrong);
    for (const right of [ '', 'a', 'a.b', '*.a.b' ]) assert.equal(host('', right), true, right);
    for (const wrong of [ '*', 'a.', '.a', 'a b', 'a/b' ]) assert.notEqual(host('', wrong), true, wrong);
}).catch(error => { console.error(error); process.exit(1); });
FILE
    node "$work/page.js" $app/htdocs/luci-static/resources "$work" || fail "LuCI's page"
}

# What the feed's CI runs on a device, by the shell of one.
feed_test() {
    local version name=ecohttpd
    "${DAEMON:-false}" --version >/dev/null 2>&1 || { echo "skipped: there is no daemon for this machine" && return; }
    mkdir "$work/bin"
    ln -s "$(realpath "$DAEMON")" "$work/bin/ecohttpd"
    version=$(sed -n 's/^PKG_VERSION:=//p' openwrt/ecohttpd/Makefile)
    PATH=$work/bin:$PATH busybox ash openwrt/ecohttpd/test.sh "$name" "$version" >"$work/log" 2>&1 || {
        cat "$work/log"
        fail "test.sh"
    }
}

main
