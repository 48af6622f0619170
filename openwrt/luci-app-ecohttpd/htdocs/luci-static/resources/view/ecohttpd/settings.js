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

function certificateRow(entry) {
	if (entry.error)
		return E('tr', { 'class': 'tr' }, [
			E('td', { 'class': 'td' }, entry.path),
			E('td', { 'class': 'td', 'colspan': 3 }, _('Cannot be read: %s').format(entry.error))
		]);

	const certificate = entry.certificate;
	const left = certificate.notAfter - Date.now();
	const remains = left < 0 ? _('expired') : _('%d days left').format(Math.floor(left / DAY));

	return E('tr', { 'class': 'tr' }, [
		E('td', { 'class': 'td' }, entry.path),
		E('td', { 'class': 'td' }, certificate.names.join(', ') || certificate.subject),
		E('td', { 'class': 'td' }, certificate.issuer == certificate.subject ? _('self-signed') : certificate.issuer),
		E('td', { 'class': 'td', 'style': left < SOON ? 'color:red' : '' },
			'%s (%s)'.format(certificate.notAfter.toLocaleDateString(), remains))
	]);
}

function certificateTable(entries) {
	if (!entries.length)
		return E('em', _('None: HTTPS is not configured.'));

	return E('table', { 'class': 'table' }, [
		E('tr', { 'class': 'tr table-titles' }, [
			E('th', { 'class': 'th' }, _('File')),
			E('th', { 'class': 'th' }, _('Names')),
			E('th', { 'class': 'th' }, _('Issuer')),
			E('th', { 'class': 'th' }, _('Valid until'))
		])
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

/* A value of header: [/PREFIX ]NAME: VALUE. */
function validHeader(sectionId, text) {
	if (text == '' || /^(\/\S*\s+)?[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e]*$/.test(text))
		return true;

	return _('Expected: NAME: VALUE, or /PREFIX NAME: VALUE');
}

function validPath(sectionId, text) {
	if (text == '' || /^\/[^?#]*$/.test(text))
		return true;

	return _('Expected: a path that starts with a slash and has no query');
}

function validServerName(sectionId, text) {
	if (text == '' || /^(\*\.)?[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*$/.test(text))
		return true;

	return _('Expected: a host name, or *.NAME for all names below it');
}

function addServers(map) {
	const known = uci.sections('uhttpd', 'uhttpd').map(section => section['.name']).join(', ');
	const section = map.section(form.TypedSection, 'uhttpd', _('Servers and virtual hosts'),
		_('A section with the name of a section of uhttpd (%s) adds to it. Any other is a server of its own, or a virtual host if it shares an address.').format(known || '-'));
	section.addremove = true;
	section.anonymous = false;
	section.tab('host', _('Host'));
	section.tab('answers', _('Responses'));
	section.tab('https', _('HTTPS'));

	const names = section.taboption('host', form.DynamicList, 'server_name', _('Names'),
		_('Host names of this server, if several share an address.'));
	names.placeholder = 'cloud.lan';
	names.validate = validServerName;

	const plain = section.taboption('host', form.DynamicList, 'listen_http', _('HTTP addresses'));
	plain.datatype = 'list(ipaddrport(1))';
	plain.placeholder = '0.0.0.0:80';

	const home = section.taboption('host', form.Value, 'home', _('Folder'));
	home.datatype = 'directory';
	home.placeholder = '/www';

	const header = section.taboption('answers', form.DynamicList, 'header', _('Header fields'),
		_('Added to all responses, or to those below a prefix.'));
	header.placeholder = 'X-Content-Type-Options: nosniff';
	header.validate = validHeader;

	const allow = section.taboption('answers', form.DynamicList, 'allow', _('Allow'),
		_('Only these addresses may access what is below a path.'));
	allow.placeholder = '/admin 192.168.1.0/24';

	const deny = section.taboption('answers', form.DynamicList, 'deny', _('Deny'),
		_('These addresses may not access what is below a path.'));
	deny.placeholder = '/ 192.168.1.66';

	const proxies = section.taboption('host', form.DynamicList, 'trusted_proxy', _('Trusted proxies'),
		_('Proxies that name the client in X-Forwarded-For or Forwarded.'));
	proxies.placeholder = '127.0.0.1';

	const log = section.taboption('answers', form.Value, 'access_log', _('Access log'),
		_('Log each request to the system log, or to a file.'));
	log.value('', _('off'));
	log.value('syslog', _('system log'));
	log.value('/tmp/ecohttpd.log');

	const fallback = section.taboption('answers', form.Value, 'fallback', _('Fallback page'),
		_('Sent in place of missing pages, for applications that handle their own paths.'));
	fallback.placeholder = '/index.html';
	fallback.validate = validPath;

	section.taboption('answers', form.Flag, 'no_server_header', _('Send no Server field'));
	section.taboption('answers', form.Flag, 'no_gzip', _('Do not serve FILE.gz in place of FILE'));
	section.taboption('answers', form.Flag, 'private_files', _('Serve files that not every user may read'));

	const body = section.taboption('answers', form.Value, 'chunked_body_limit', _('Longest chunked body'),
		_('In KiB. Bodies without a known length are buffered in /tmp before their script starts.'));
	body.datatype = 'range(64,16777216)';
	body.placeholder = '4096';

	const tls = section.taboption('https', form.DynamicList, 'listen_https', _('HTTPS addresses'));
	tls.datatype = 'list(ipaddrport(1))';
	tls.placeholder = '0.0.0.0:443';

	const cert = section.taboption('https', form.Value, 'cert', _('Certificate'),
		_('Certificate chain, PEM or DER. It is reloaded without dropping connections.'));
	cert.placeholder = '/etc/uhttpd.crt';

	const key = section.taboption('https', form.Value, 'key', _('Private key'));
	key.placeholder = '/etc/uhttpd.key';

	const ca = section.taboption('https', form.Value, 'ca', _('Client CA'),
		_('Authorities that sign client certificates, PEM.'));
	ca.placeholder = '/etc/ssl/clients.pem';

	const certified = section.taboption('https', form.DynamicList, 'require_client_cert', _('Require a client certificate'),
		_('Paths that require a certificate of the client CA; / for all.'));
	certified.placeholder = '/admin';

	section.taboption('https', form.Flag, 'redirect_https', _('Redirect HTTP to HTTPS'));

	const hsts = section.taboption('https', form.Value, 'hsts', _('HSTS'),
		_('Seconds for which browsers refuse HTTP and self-signed certificates. This cannot be revoked from here.'));
	hsts.datatype = 'range(0,315360000)';
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
