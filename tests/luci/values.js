'use strict';
/*
 * Prints what the page says of values: a line for each with the option, "list" or "option", the value in hexadecimal,
 * and whether it is right. tests/luci.rs compares that with what the server says.
 */

const { load } = require('./modules.js');

const options = load('ecohttpd.options', {}), values = load('ecohttpd.values', {});

/* Right and wrong ones of each kind. Of these, others are made. */
const SEEDS = {
	file: [ '/www', 'a b', '/a' ],
	path: [ '/', '/a', '/a/b/', 'a', '/a?b', '/a#b' ],
	page: [ '/metrics', '/', '//', 'a', '/a/', '/a?b', '/a#' ],
	index: [ 'index.html', 'a b', '/a', 'a /b' ],
	listen: [ '80', '0', '65535', '65536', '0.0.0.0:80', '[::]:443', '[fe80::1%br-lan]:80', 'localhost:80', 'LocalHost:0', '::1:80',
		'80 [::1]:81', '1.2.3.4%x:80', '[127.0.0.1]:80', '*:80', ':80', '[1:2:3:4:5:6:7::]:80', '[::1.2.3.4]:80', '[1:2:3:4:5:6:7:8]:80',
		'[::1:2:3:4:5:6:7:8]:1', '[::01.2.3.4]:1', '[00001::]:1', '00000000000000000080', '99999999999999999999' ],
	alias: [ '/a', '/a=/b', '/a/=/b/', 'a', '/a=b', '/a /b=/c', '/a b', '/a b=/c' ],
	handler: [ '/a', '/a=/f', '/a=f', '/a=', 'a=/f', '=/f' ],
	command: [ '/usr/bin/lua /usr/share/w.lua', 'lua' ],
	interpreter: [ '.php=/usr/bin/php-cgi', 'php=/x', '.=/x', '.php', '.a=/b .c=/d', '.a.b =/x', '.a=/b c' ],
	header: [ 'X-A: b', '/a X-A: b c', '/a/?v X-A: b?c', '/?v X-A:', 'Content-Length: 5', '/x TRANSFER-ENCODING: a', 'X A: b', '/a',
		'/a?v=1 X: b', '/ X-A:', '/a\tX : b' ],
	access: [ '192.168.1.66', '/admin 192.168.1.0/24 fd00::/8', '*', '/a unix', '/a', '10.0.0.0/255.255.0.0', '10.0.0.0/255.0.255.0', '::/128',
		'::/129', '1.2.3.4/33', '1.2.3.4/08', '::ffff:1.2.3.4/120', '/a/ *', '1.2.3', '01.2.3.4', '1.2.3.4/0.0.0.0', '::1/1.1.1.1' ],
	clientCert: [ '/', '/a', '1', '0', 'yes', 'YES', 'a', '/a?b' ],
	proxies: [ '127.0.0.1', '10.0.0.0/8 unix', '*', '::1/64', 'a', 'unix' ],
	serverName: [ 'cloud.lan', '*.lan', '*.', '*', 'a b', '[::1]:80', '*.*.a' ],
	charset: [ 'utf-8', 'ISO_8859-1:1987', 'a b' ],
	text: [ 'OpenWrt', 'a "b" c', 'ä' ],
	log: [ 'syslog', 'stdout', '/tmp/log', '1', '0', 'on', 'Off', 'stderr', 'log' ],
	proxy: [ '/a=http://127.0.0.1:7681', '/a/=http://127.0.0.1:7681/', '/=http://h', '/a/b=https://h.lan/c/d/', '/a=http://[::1]:81/',
		'/a=unix:/run/x.sock', '/a=unix:/run/x.sock:/b', '/a=http://h:1/ http://g:2/  insecure', '/a=https://h host=x.lan:8443 ca=/etc/ca.pem',
		'/a=http://h/ http://g', '/a=http://h/x http://g/x/', '/a=ftp://h', '/a=http://u@h', '/a=insecure', '/a=http://h host=', '/a=unix:run',
		'/a=http://h/// http://g/', '/a=http://h:00080', '/a=http://h:+80' ],
	fastcgi: [ '.php=unix:/run/php-fpm.sock', '.php=127.0.0.1:9000 [::1]:9001', '/app/=h:9000', '.php .phtml=unix:/x', '.php', '.php=h', 'php=h:1',
		'/a b=h:1', '.php=unix:x', '.php=http://h:1' ],
	any: [ 'ECDHE-ECDSA-AES128-GCM-SHA256', 'a:b' ],
	user: [],
	seconds: [ '0', '1', '86400', '86401', '-1', '007', '1.0', '4294967296' ],
	positiveSeconds: [ '0', '1', '86400', '86401', '-1', 'x' ]
};

/* Characters that mean something to one of the rules, or to one of the two languages. */
const CHARACTERS = [ ...' /=:.[]%*?#&+-_0925afZ\t\x01\x1f\x7f"\'\\,@<|~', 'ä', '\x85', '\xa0', '\u2003', '\u200b', '\ufeff', '\ufffd', '\u0660' ];

function* mutations(seed) {
	for (let at = 0; at <= seed.length; at++) {
		yield seed.slice(0, at) + seed.slice(at + 1);
		yield seed.slice(0, at) + seed.slice(at, at + 1).repeat(2) + seed.slice(at + 1);
		/* A few of them at each place, others at the next: all of them would take minutes. */
		for (const one of CHARACTERS.filter((one, n) => n % 3 == at % 3))
			yield seed.slice(0, at) + one + seed.slice(at);
	}
}

function seedsOf(check) {
	if (!Array.isArray(check))
		return SEEDS[check];

	const [ least, most ] = check;
	return [ least - 1, least, least + 1, most - 1, most, most + 1, 'x', '+' + most, '0' + most ].map(String);
}

const mutated = new Set(), lines = [];
for (const { name, widget, check } of options.tabs.flatMap(tab => tab.options)) {
	if (!check)
		continue;

	/* Those of the same kind have the same rule. */
	const all = new Set(seedsOf(check));
	if (!mutated.has(String(check)))
		for (const seed of seedsOf(check))
			for (const one of mutations(seed))
				all.add(one);
	mutated.add(String(check));

	/* The page and UCI take an empty value for an unset one. */
	for (const value of all)
		if (value != '')
			lines.push([ name, widget == 'list' ? 'list' : 'option', Buffer.from(value).toString('hex'), +(values.check(check, value) === true) ].join(' '));
}

process.stdout.write(lines.join('\n') + '\n');
