'use strict';
'require baseclass';

/*
 * Which values the options take: the rules of the server (src/daemon/config/values.rs and backend_values.rs). The two
 * are compared value by value in tests/luci.rs.
 */

/* What separates words, as Rust has it. JavaScript's \s is not quite the same. */
const SPACE = '[\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
const SPACES = new RegExp(SPACE + '+');
const EDGES = new RegExp('^' + SPACE + '+|' + SPACE + '+$', 'g');

/* Fields of a response that the server sets itself. */
const OWN_FIELDS = [
	'accept-ranges', 'connection', 'content-encoding', 'content-length', 'content-range', 'content-type', 'date', 'etag',
	'keep-alive', 'last-modified', 'location', 'trailer', 'transfer-encoding', 'upgrade'
];

function words(text) {
	return text.split(SPACES).filter(word => word != '');
}

/* The words of a list that uhttpd splits at spaces. A path, or an extension, may contain one. */
function splitWords(text) {
	const found = words(text);
	const first = (found[0] || '')[0];
	return (/[/.]/).test(first || '') && !found.every(word => word[0] == first) ? [ text ] : found;
}

/* The parts before and after the first of a mark; without a mark, the whole text alone. */
function splitAt(text, mark) {
	const at = text.indexOf(mark);
	return at < 0 ? [ text ] : [ text.slice(0, at), text.slice(at + mark.length) ];
}

function isIPv4(text) {
	return (/^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/).test(text);
}

function isIPv6(text) {
	/* The browser knows. It would leave out tabs and the like, so no other characters reach it. */
	if (!/^[\da-f:.]+$/i.test(text))
		return false;

	try {
		return new URL('http://[' + text + ']') != null;
	}
	catch (error) {
		return false;
	}
}

function isMask(text) {
	const bits = isIPv4(text) && text.split('.').map(part => (+part + 256).toString(2).slice(1)).join('');
	return bits !== false && /^1*0*$/.test(bits);
}

function isNetwork(text) {
	if (text == '*' || text == 'unix')
		return true;

	const [ ip, length ] = splitAt(text, '/');
	const bits = isIPv4(ip) ? 32 : isIPv6(ip) ? 128 : -1;

	if (bits < 0 || length == null)
		return bits > 0;

	return bits == 32 && length.includes('.') ? isMask(length) : /^\d+$/.test(length) && +length <= bits;
}

function isPath(text) {
	return (/^\/[^?#\0]*$/).test(text);
}

function isExtension(text) {
	return (/^\.[0-9A-Za-z._-]+$/).test(text);
}

function isListen(text) {
	const colon = text.lastIndexOf(':');
	const port = text.slice(colon + 1), host = text.slice(0, Math.max(colon, 0));

	if (!/^\d+$/.test(port) || +port > 65535)
		return false;
	if (colon < 0 || host.toLowerCase() == 'localhost')
		return true;

	const bracketed = /^\[.*\]$/s.test(host);
	const ip = (bracketed ? host.slice(1, -1) : host).split('%')[0];
	return bracketed ? isIPv6(ip) : isIPv4(ip);
}

function isHeader(text) {
	const space = text.search(new RegExp(SPACE));
	const withPath = text[0] == '/' && space > 0;
	const [ path, parameter ] = splitAt(withPath ? text.slice(0, space) : '/', '?');
	const [ name, value ] = splitAt(withPath ? text.slice(space + 1) : text, ':').map(part => part.replace(EDGES, ''));

	return isPath(path) && (parameter == null || /^[^=&?#]+$/.test(parameter)) &&
		/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) && value != null && !/[\0-\x1f\x7f]/.test(value) &&
		!OWN_FIELDS.includes(name.toLowerCase());
}

function isAccess(text) {
	const found = words(text);
	const path = (found[0] || '')[0] == '/' ? found.shift() : '/';
	return isPath(path) && found.length > 0 && found.every(isNetwork);
}

/* A path that replaces another in a request. */
function isReplacement(text) {
	return isPath(text) && /^[!-~]*$/.test(text) && !/["<>\\^`{|}]/.test(text);
}

function isServer(text, needsPort) {
	const colon = text.lastIndexOf(':');
	const hasPort = colon >= 0 && !text.endsWith(']');
	const host = hasPort ? text.slice(0, colon) : text, port = text.slice(colon + 1);

	if (hasPort ? !/^\+?\d+$/.test(port) || +port < 1 || +port > 65535 : needsPort)
		return false;

	return (/^\[.*\]$/s).test(host) ? isIPv6(host.slice(1, -1)) : /^[0-9A-Za-z._-]+$/.test(host);
}

/* The path of a proxy's address: an empty text if it has none, null if the address is wrong. */
function pathOfURL(text) {
	let place, path;

	if (text.startsWith('unix:')) {
		[ place, path ] = splitAt(text.slice(5), ':');
		if (place[0] != '/')
			return null;
	}
	else {
		const [ , authority, rest ] = text.match(/^https?:\/\/([^/]*)(\/.*)?$/s) || [];
		if (authority == null || !isServer(authority, false))
			return null;
		path = rest;
	}

	return path == null ? '' : isReplacement(path) ? path.replace(/\/*$/, '/') : null;
}

function isProxy(text) {
	const [ from, to ] = splitAt(text, '=');
	if (to == null || !isReplacement(from))
		return false;

	const isWord = word => word == 'insecure' || /^host=[0-9A-Za-z._:[\]-]+$/.test(word) || /^ca=\//.test(word);
	const paths = words(to).filter(word => !isWord(word)).map(pathOfURL);
	return paths.length > 0 && paths.every(path => path != null && path == paths[0]);
}

function isFastCGI(text) {
	const [ from, to ] = splitAt(text, '=');
	const extensions = words(from);
	if (to == null || !(isPath(from) || (extensions.length > 0 && extensions.every(isExtension))))
		return false;

	const servers = words(to);
	return servers.length > 0 && servers.every(word => (/^unix:/).test(word) ? word[5] == '/' : isServer(word, true));
}

function isInterpreter(text) {
	const [ extension, program ] = splitAt(text, '=');
	return isExtension(extension.replace(EDGES, '')) && (program || '')[0] == '/';
}

function isFlag(text) {
	return (/^(?:1|on|true|yes|enabled|0|off|false|no|disabled)?$/i).test(text);
}

/* Kinds of lists whose values contain spaces. */
const WITH_SPACES = [ 'header', 'access', 'proxy', 'fastcgi' ];

const KINDS = {
	file: [ text => text != '', _('Enter the path of a file or folder.') ],
	path: [ isPath, _('Enter a path that starts with a slash, without "?" and "#".') ],
	page: [ text => isPath(text) && !(/^\/*$/).test(text), _('Enter a path such as /metrics, without "?" and "#".') ],
	index: [ text => splitWords(text).every(word => word[0] != '/'), _('Enter a file name without a slash at its beginning.') ],
	listen: [ text => splitWords(text).every(isListen), _('Enter a port, or an address and a port: 8080, 192.168.1.1:8080 or [::1]:8080.') ],
	alias: [ text => splitWords(text).every(word => splitAt(word, '=').every(isPath)), _('Enter /PATH or /PATH=/OTHER.') ],
	handler: [ text => isPath(splitAt(text, '=')[0]) && splitAt(text, '=')[1] !== '', _('Enter /PATH=/FILE.') ],
	command: [ text => text[0] == '/', _('Enter the full path of a program, and its arguments.') ],
	interpreter: [ text => splitWords(text).every(isInterpreter), _('Enter an extension and a program: .php=/usr/bin/php-cgi.') ],
	header: [ isHeader, _('Enter NAME: VALUE, or /PATH NAME: VALUE. Fields that the server sets itself, such as Content-Length, cannot be set.') ],
	access: [ isAccess, _('Enter addresses, if needed with a path before them: /admin 192.168.1.0/24 fd00::/8. An asterisk stands for everyone.') ],
	clientCert: [ text => isFlag(text) || isPath(text), _('Enter a path that starts with a slash. A single slash stands for the whole site.') ],
	proxies: [ text => words(text).every(word => word != '*' && isNetwork(word)), _('Enter addresses: 127.0.0.1 or 10.0.0.0/8. "unix" stands for Unix sockets.') ],
	serverName: [ text => words(text).every(word => (/^(?:\*\.)?[0-9A-Za-z._:[\]-]+$/).test(word)), _('Enter a host name, such as cloud.lan, or *.lan for all names below it.') ],
	charset: [ text => (/^[0-9A-Za-z._:+-]+$/).test(text), _('Enter the name of a character set, such as utf-8.') ],
	text: [ text => !/[\0-\x1f\x7f-\x9f]/.test(text), _('Enter text without control characters.') ],
	log: [ text => isFlag(text) || /^(?:syslog|stdout)$/.test(text) || text[0] == '/', _('Choose one of the list, or enter the full path of a file.') ],
	proxy: [ isProxy, _('Enter /PATH=ADDRESS, such as /app=http://127.0.0.1:3000/ or /app=unix:/run/app.sock.') ],
	fastcgi: [ isFastCGI, _('Enter .EXTENSION=ADDRESS or /PATH=ADDRESS, such as .php=unix:/run/php-fpm.sock or /app=127.0.0.1:9000.') ],
	any: [ () => true, '' ],
	user: [ text => !text.includes(':'), _('Enter a name without a colon.') ],
	seconds: [ 0, 86400 ],
	positiveSeconds: [ 1, 86400 ]
};

return baseclass.extend({
	/* The values of a list that is written as an option. */
	list: function(kind, text) {
		return WITH_SPACES.includes(kind) ? [ text ] : splitWords(text);
	},

	/*
	 * Whether a value is right: true, or what would be. `kind` is a name of KINDS, or the smallest and the largest number.
	 */
	check: function(kind, text) {
		const [ rule, message ] = Array.isArray(kind) ? kind : KINDS[kind];

		if (text.includes('\ufffd'))
			return _('Enter text in UTF-8.');

		if (typeof(rule) == 'number')
			return (/^\d+$/).test(text) && +text >= rule && +text <= message ||
				_('Enter a whole number from %d to %d.').format(rule, message);

		return rule(text) || message;
	}
});
