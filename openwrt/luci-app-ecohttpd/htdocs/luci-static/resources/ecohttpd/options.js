'use strict';
'require baseclass';

/*
 * The options of a site, in tabs. An option is its widget (flag, on: a flag that is set by default, value, list, log,
 * logins), its name, what values.js checks, its label, its description, and what its empty field shows: an
 * example for a list, otherwise the default.
 */

const TABS = [
	[ 'general', _('General'), _('Where this site is served, and from which folder.'), [
		[ 'on', 'enabled', null, _('Enabled') ],
		[ 'list', 'server_name', 'serverName', _('Host names'),
			_('Sites that share an address are told apart by these. *.NAME stands for all names below it. The site without a name answers for all others.'), 'cloud.lan' ],
		[ 'list', 'listen_http', 'listen', _('HTTP addresses'), _('A port, or an address and a port.'), '0.0.0.0:80' ],
		[ 'list', 'listen_https', 'listen', _('HTTPS addresses'), _('A port, or an address and a port.'), '0.0.0.0:443' ],
		[ 'value', 'home', 'file', _('Document root'), _('The folder with the files to serve.'), '/www' ]
	] ],
	[ 'files', _('Files'), _('How files and folders are served.'), [
		[ 'list', 'index_page', 'index', _('Index pages'), _('File names tried for a folder, before index.html.'), 'index.html' ],
		[ 'value', 'error_page', 'path', _('Error page'), _('The file or script that is sent with the errors 403 and 404, such as /error.html.') ],
		[ 'value', 'fallback', 'path', _('Fallback page'),
			_('Sent instead of a missing page, for applications that handle their own paths, such as /index.html.') ],
		[ 'list', 'alias', 'alias', _('Aliases'),
			_('/PATH=/OTHER serves /PATH from /OTHER/PATH. /PATH alone serves it from below the path of CGI scripts.'), '/old=/new' ],
		[ 'list', 'header', 'header', _('Header fields'),
			_('Added to all responses, or to those below a path.'), '/static Cache-Control: max-age=3600' ],
		[ 'flag', 'no_dirlists', null, _('Do not list directories') ],
		[ 'value', 'list_charset', 'charset', _('Character set of directory listings'), null, 'utf-8' ],
		[ 'flag', 'no_symlinks', null, _('Do not follow symbolic links out of the document root') ],
		[ 'flag', 'private_files', null, _('Serve private files'),
			_('Also serve files and folders that not every user of the system may read.') ],
		[ 'flag', 'no_gzip', null, _('Do not send compressed files'),
			_('That is FILE.br, FILE.zst or FILE.gz in place of FILE.') ],
		[ 'flag', 'no_server_header', null, _('Do not send a Server header field') ]
	] ],
	[ 'https', _('HTTPS'), _('Certificates, and who must have one.'), [
		[ 'value', 'cert', 'file', _('Certificate'), _('PEM or DER, with its chain.'), '/etc/uhttpd.crt' ],
		[ 'value', 'key', 'file', _('Private key'), _('PEM or DER.'), '/etc/uhttpd.key' ],
		[ 'on', 'self_signed', null, _('Self-signed certificate'),
			_('Create a certificate and a key if one of the files is missing, and renew such a certificate.') ],
		[ 'flag', 'redirect_https', null, _('Redirect HTTP to HTTPS') ],
		[ 'value', 'hsts', [ 0, 315360000 ], _('HSTS'),
			_('For this many seconds browsers refuse HTTP and self-signed certificates. They remember it: it cannot be undone from here. A year is 31536000.') ],
		[ 'on', 'http2', null, _('HTTP/2') ],
		[ 'value', 'ciphers', 'any', _('Cipher suites of TLS 1.2'),
			_('Names of OpenSSL, separated by colons, such as ECDHE-ECDSA-AES128-GCM-SHA256. Those of TLS 1.3 are always offered.') ],
		[ 'value', 'ca', 'file', _('CA for client certificates'),
			_('A file with the authorities that sign certificates of clients, in PEM.') ],
		[ 'list', 'require_client_cert', 'clientCert', _('Require a client certificate'),
			_('Paths that only clients with a certificate may access. A slash stands for the whole site.'), '/admin' ]
	] ],
	[ 'access', _('Access'), _('Who may access what.'), [
		[ 'list', 'allow', 'access', _('Allow'),
			_('Only these addresses may access the site, or what is below a path.'), '/admin 192.168.1.0/24' ],
		[ 'list', 'deny', 'access', _('Deny'),
			_('These addresses may not access the site, or what is below a path.'), '192.168.1.66' ],
		[ 'logins', 'httpauth', null, _('Logins'), _('The logins below that this site asks for.') ],
		[ 'value', 'realm', 'text', _('Realm'), _('What browsers show when they ask for a login. By default the name of this router.') ],
		[ 'value', 'config', 'file', _('File with logins'), _('A configuration file of busybox httpd. By default /etc/httpd.conf, if it exists.') ],
		[ 'flag', 'rfc1918_filter', null, _('DNS rebinding protection'),
			_('Refuse clients with a private address that ask for a public address of this router.') ],
		[ 'list', 'trusted_proxy', 'proxies', _('Trusted proxies'),
			_('Proxies in front of this server that name the client in X-Forwarded-For or Forwarded.'), '127.0.0.1' ]
	] ],
	[ 'proxy', _('Proxy'), _('Paths that other servers answer.'), [
		[ 'list', 'proxy', 'proxy', _('Reverse proxy'),
			_('/PATH=ADDRESS forwards the requests below /PATH. The address is http://, https:// or unix:/FILE. With a path behind it, that replaces /PATH.'), '/ttyd=http://127.0.0.1:7681' ],
		[ 'list', 'fastcgi', 'fastcgi', _('FastCGI'),
			_('.EXTENSION=ADDRESS or /PATH=ADDRESS. The address is unix:/FILE or HOST:PORT.'), '.php=unix:/run/php-fpm.sock' ],
		[ 'value', 'proxy_timeout', 'positiveSeconds', _('Timeout'), _('Seconds that such a server may take to answer.'), '60' ],
		[ 'value', 'proxy_idle_timeout', 'positiveSeconds', _('WebSocket timeout'),
			_('Seconds until a WebSocket that sends nothing is closed.'), '3600' ]
	] ],
	[ 'scripts', _('Scripts'), _('CGI scripts, and handlers in Lua and ucode.'), [
		[ 'value', 'cgi_prefix', 'path', _('Path of CGI scripts'), null, '/cgi-bin' ],
		[ 'list', 'interpreter', 'interpreter', _('Interpreters'),
			_('.EXTENSION=PROGRAM runs files with this extension.'), '.php=/usr/bin/php-cgi' ],
		[ 'value', 'max_requests', [ 1, 1024 ], _('Scripts at once'), _('Other requests for scripts wait.'), '3' ],
		[ 'value', 'script_timeout', 'positiveSeconds', _('Timeout'),
			_('Seconds after which a script, or a ubus call, that does not respond is ended.'), '60' ],
		[ 'value', 'chunked_body_limit', [ 64, 16777216 ], _('Upload limit'),
			_('In KiB, for uploads without a known length.'), '4096' ],
		[ 'value', 'body_temp_path', 'file', _('Folder for such uploads'), null, '/tmp' ],
		[ 'list', 'lua_prefix', 'handler', _('Lua handlers'), _('/PATH=FILE has a Lua file answer all requests below /PATH.'), '/metrics=/usr/bin/exporter.lua' ],
		[ 'value', 'lua_handler', 'file', _('Default Lua handler'), _('For paths without a file.') ],
		[ 'value', 'lua_worker', 'command', _('Program for Lua handlers'), null, '/usr/bin/lua /usr/share/ecohttpd/worker.lua' ],
		[ 'list', 'ucode_prefix', 'handler', _('ucode handlers'), _('/PATH=FILE has a ucode file answer all requests below /PATH.'), '/app=/usr/share/app.uc' ],
		[ 'value', 'ucode_handler', 'file', _('Default ucode handler'), _('For paths without a file.') ],
		[ 'value', 'ucode_worker', 'command', _('Program for ucode handlers'), null, '/usr/bin/ucode /usr/share/ecohttpd/worker.uc' ]
	] ],
	[ 'ubus', _('ubus'), _('JSON-RPC over ubus, which LuCI uses.'), [
		[ 'value', 'ubus_prefix', 'path', _('Path'), _('LuCI is faster with /ubus.') ],
		[ 'value', 'ubus_socket', 'file', _('Socket of ubusd'), null, '/var/run/ubus/ubus.sock' ],
		[ 'flag', 'ubus_cors', null, _('Allow pages of other origins'), _('Cross-origin resource sharing (CORS).') ],
		[ 'flag', 'no_ubusauth', null, _('Do not require authentication'), _('Dangerous: everyone may call everything over ubus.') ],
		[ 'value', 'ubus_retry', [ 0, 3600000 ], _('Retry interval'),
			_('Milliseconds after which subscribers connect again.') ]
	] ],
	[ 'limits', _('Limits'), _('Connections and timeouts.'), [
		[ 'value', 'max_connections', [ 1, 1048576 ], _('Connections at once'), _('Of all sites together.'), '100' ],
		[ 'value', 'http_keepalive', 'seconds', _('Keep-alive'),
			_('Seconds until an idle connection is closed. 0 closes it after each response.'), '20' ],
		[ 'value', 'network_timeout', 'positiveSeconds', _('Request timeout'), _('Seconds that a client may take to send a request.'), '30' ],
		[ 'value', 'send_timeout', 'positiveSeconds', _('Response timeout'),
			_('Seconds that a client may stop to read a response, such as a paused player.'), '300' ],
		[ 'value', 'tcp_keepalive', [ 0, 32767 ], _('TCP keep-alive'), _('Seconds between probes of silent clients. 0 sends none.'), '0' ]
	] ],
	[ 'monitoring', _('Monitoring'), _('Logs and figures.'), [
		[ 'log', 'access_log', 'log', _('Access log'), _('Where to log each request.') ],
		[ 'value', 'server_status', 'page', _('Status page'),
			_('A path such as /server-status. Everyone who may access it sees the addresses of all clients: restrict it under Access.') ],
		[ 'value', 'metrics', 'page', _('Metrics for Prometheus'), _('A path such as /metrics. Restrict it under Access.') ]
	] ]
];

return baseclass.extend({
	tabs: TABS.map(([ name, title, description, options ]) => ({
		name: name,
		title: title,
		description: description,
		options: options.map(([ widget, option, check, label, text, example ]) =>
			({ widget: widget, name: option, check: check, label: label, description: text, example: example }))
	}))
});
