'use strict';
'require view';
'require form';
'require fs';
'require rpc';
'require uci';
'require ecohttpd.x509 as x509';

const PROGRAM = '/usr/sbin/ecohttpd';
/* The configuration in effect, made from UCI by the init script. */
const CONFIGURATION = '/var/etc/ecohttpd.conf';
const DAY = 24 * 60 * 60 * 1000;
/* A certificate that expires sooner is shown in red: ACME renews 30 days before. */
const SOON = 14 * DAY;

const callServiceList = rpc.declare({
	object: 'service',
	method: 'list',
	params: [ 'name' ],
	expect: { '': {} }
});

const callFileRead = rpc.declare({
	object: 'file',
	method: 'read',
	params: [ 'path', 'base64' ],
	expect: { data: '' }
});

/* The certificates of all sections, and their content. */
function loadCertificates() {
	const sections = uci.sections('uhttpd', 'uhttpd').concat(uci.sections('ecohttpd', 'uhttpd'));
	const paths = sections.filter(section => section.listen_https).map(section => section.cert || '/etc/uhttpd.crt');

	return Promise.all(paths.filter((path, n) => paths.indexOf(path) == n).map(path =>
		callFileRead(path, true)
			.then(data => ({ path: path, certificate: x509.parse(data) }))
			.catch(error => ({ path: path, error: error.message }))));
}

function row(cells) {
	return E('tr', { 'class': 'tr' }, cells);
}

function cell(content, attributes) {
	return E('td', Object.assign({ 'class': 'td' }, attributes), content);
}

function certificateRow(entry) {
	if (entry.error)
		return row([ cell(entry.path), cell(_('Cannot be read: %s').format(entry.error), { 'colspan': 3 }) ]);

	const certificate = entry.certificate;
	const left = certificate.notAfter - Date.now();
	const remains = left < 0 ? _('expired') : _('%d days left').format(Math.floor(left / DAY));

	return row([
		cell(entry.path),
		cell(certificate.names.join(', ') || certificate.subject),
		cell(certificate.issuer == certificate.subject ? _('self-signed') : certificate.issuer),
		cell('%s (%s)'.format(certificate.notAfter.toLocaleDateString(), remains),
			{ 'style': left < SOON ? 'color:red' : '' })
	]);
}

function certificateTable(entries) {
	if (!entries.length)
		return E('em', _('None: HTTPS is not configured.'));

	const titles = [ _('File'), _('Names'), _('Issuer'), _('Valid until') ];

	return E('table', { 'class': 'table' }, [
		E('tr', { 'class': 'tr table-titles' }, titles.map(title => E('th', { 'class': 'th' }, title)))
	].concat(entries.map(certificateRow)));
}

/* The state of the process. */
function status(services, version) {
	const service = services.ecohttpd || {};
	const server = (service.instances || {}).server;

	if (!server || !server.running)
		return _('Not running');

	return _('%s is running with process id %d and the configuration of %s.').format(
		version, server.pid, uci.get('ecohttpd', 'global', 'use_uhttpd_config') == '1' ? 'uhttpd' : 'ecohttpd');
}

function dummy(section, name, title, content) {
	const option = section.option(form.DummyValue, name, title);
	option.rawhtml = true;
	option.cfgvalue = () => content;
	return option;
}

function addStatus(map, services, version, test, certificates) {
	const section = map.section(form.NamedSection, 'global', 'ecohttpd', _('Status'));

	dummy(section, '_status', _('Server'), E('span', status(services, version)));
	dummy(section, '_test', _('Configuration'), E('pre', { 'style': 'white-space:pre-wrap' }, test));
	dummy(section, '_certificates', _('Certificates'), certificateTable(certificates));

	const jail = section.option(form.Flag, 'jail', _('Run in a jail'),
		_('Only if the server serves files alone, without LuCI, scripts or ubus. Requires procd-ujail.'));
	jail.default = jail.disabled;
}

/* Checks an option's value, which may be empty. */
function matching(pattern, expected) {
	return (sectionId, text) => text == '' || pattern.test(text) || expected;
}

const validHeader = matching(/^(\/\S*\s+)?[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e]*$/,
	_('Expected: NAME: VALUE, or /PREFIX NAME: VALUE'));
const validPath = matching(/^\/[^?#]*$/,
	_('Expected: a path that starts with a slash and has no query'));
const validServerName = matching(/^(\*\.)?[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*$/,
	_('Expected: a host name, or *.NAME for all names below it'));

/* Returns a function that adds an option to a tab; `more` is set on the option. */
function optionsOf(section, tab, title) {
	section.tab(tab, title);
	return (kind, name, label, description, more) =>
		Object.assign(section.taboption(tab, kind, name, label, description), more);
}

function addHost(add) {
	add(form.DynamicList, 'server_name', _('Names'),
		_('Host names of this server, if several share an address.'),
		{ placeholder: 'cloud.lan', validate: validServerName });
	add(form.DynamicList, 'listen_http', _('HTTP addresses'), null,
		{ datatype: 'list(ipaddrport(1))', placeholder: '0.0.0.0:80' });
	add(form.Value, 'home', _('Folder'), null, { datatype: 'directory', placeholder: '/www' });
	add(form.DynamicList, 'trusted_proxy', _('Trusted proxies'),
		_('Proxies that name the client in X-Forwarded-For or Forwarded.'),
		{ placeholder: '127.0.0.1' });
}

function addAnswers(add) {
	add(form.DynamicList, 'header', _('Header fields'),
		_('Added to all responses, or to those below a prefix.'),
		{ placeholder: 'X-Content-Type-Options: nosniff', validate: validHeader });
	add(form.DynamicList, 'allow', _('Allow'),
		_('Only these addresses may access what is below a path.'),
		{ placeholder: '/admin 192.168.1.0/24' });
	add(form.DynamicList, 'deny', _('Deny'),
		_('These addresses may not access what is below a path.'),
		{ placeholder: '/ 192.168.1.66' });

	const log = add(form.Value, 'access_log', _('Access log'),
		_('Log each request to the system log, or to a file.'));
	log.value('', _('off'));
	log.value('syslog', _('system log'));
	log.value('/tmp/ecohttpd.log');

	add(form.Value, 'fallback', _('Fallback page'),
		_('Sent in place of missing pages, for applications that handle their own paths.'),
		{ placeholder: '/index.html', validate: validPath });
	add(form.Flag, 'no_server_header', _('Send no Server field'));
	add(form.Flag, 'no_gzip', _('Do not serve FILE.gz in place of FILE'));
	add(form.Flag, 'private_files', _('Serve files that not every user may read'));
	add(form.Value, 'chunked_body_limit', _('Longest chunked body'),
		_('In KiB. Bodies without a known length are buffered in /tmp before their script starts.'),
		{ datatype: 'range(64,16777216)', placeholder: '4096' });
}

function addHttps(add) {
	add(form.DynamicList, 'listen_https', _('HTTPS addresses'), null,
		{ datatype: 'list(ipaddrport(1))', placeholder: '0.0.0.0:443' });
	add(form.Value, 'cert', _('Certificate'),
		_('Certificate chain, PEM or DER. It is reloaded without dropping connections.'),
		{ placeholder: '/etc/uhttpd.crt' });
	add(form.Value, 'key', _('Private key'), null, { placeholder: '/etc/uhttpd.key' });
	add(form.Value, 'ca', _('Client CA'),
		_('Authorities that sign client certificates, PEM.'),
		{ placeholder: '/etc/ssl/clients.pem' });
	add(form.DynamicList, 'require_client_cert', _('Require a client certificate'),
		_('Paths that require a certificate of the client CA; / for all.'),
		{ placeholder: '/admin' });
	add(form.Flag, 'redirect_https', _('Redirect HTTP to HTTPS'));
	add(form.Value, 'hsts', _('HSTS'),
		_('Seconds for which browsers refuse HTTP and self-signed certificates. This cannot be revoked from here.'),
		{ datatype: 'range(0,315360000)' });
}

function addServers(map) {
	const known = uci.sections('uhttpd', 'uhttpd').map(section => section['.name']).join(', ');
	const section = map.section(form.TypedSection, 'uhttpd', _('Servers and virtual hosts'),
		_('A section with the name of a section of uhttpd (%s) adds to it. Any other is a server of its own, or a virtual host if it shares an address.').format(known || '-'));
	section.addremove = true;
	section.anonymous = false;
	addHost(optionsOf(section, 'host', _('Host')));
	addAnswers(optionsOf(section, 'answers', _('Responses')));
	addHttps(optionsOf(section, 'https', _('HTTPS')));
}

return view.extend({
	load: function() {
		return Promise.all([
			callServiceList('ecohttpd'),
			fs.exec(PROGRAM, [ '--version' ]).catch(() => ({})),
			fs.exec(PROGRAM, [ '--config', CONFIGURATION, '--test' ]).catch(() => ({})),
			Promise.all([ uci.load('ecohttpd'), uci.load('uhttpd').catch(() => {}) ]).then(loadCertificates)
		]);
	},

	render: function([ services, version, test, certificates ]) {
		const map = new form.Map('ecohttpd', _('Web server'),
			_('Settings of ecohttpd that uhttpd does not have. Everything else is in the configuration of uhttpd, which ecohttpd reads.'));

		addStatus(map, services, (version.stdout || 'ecohttpd').trim(),
			((test.stderr || '') + (test.stdout || '')).trim(), certificates);
		addServers(map);
		return map.render();
	}
});
