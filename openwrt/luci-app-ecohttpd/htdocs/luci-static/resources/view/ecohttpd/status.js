'use strict';
'require view';
'require dom';
'require poll';
'require uci';
'require ui';
'require ecohttpd.graph as graph';
'require ecohttpd.hints as hints';
'require ecohttpd.service as service';
'require ecohttpd.state as state';
'require ecohttpd.tables as tables';

/* Seconds between two looks at the server, and looks between two at its certificates. */
const INTERVAL = 3, CERTIFICATES = 20;
/* Days before its end from which a certificate is warned of. The server renews its own 30 days before, as ACME does. */
const SOON = 14;

function date(seconds) {
	return new Date(seconds * 1000).toLocaleString();
}

/* What the server says of itself, as names and values. What may point to trouble is there only if it is not 0. */
function figures(status) {
	const { open, max, tls, http2, refused } = status.connections;
	const trouble = [
		[ _('Refused connections'), refused ],
		[ _('Failed TLS handshakes'), status.handshakes.failed ],
		[ _('Killed scripts'), status.scripts.killed ],
		[ _('Delayed logins'), status.throttled_logins ],
		[ _('Lost log lines'), status.log_dropped ]
	];

	return [
		[ _('Version'), 'ecohttpd ' + status.version ],
		[ _('Running since'), '%s (%t)'.format(date(status.started), status.uptime) ],
		[ _('Configuration loaded'), date(status.loaded) ],
		[ _('Connections'), _('%d of at most %d, %d with TLS, %d with HTTP/2').format(open, max, tls, http2) ],
		[ _('Requests'), _('%d, of these %d errors').format(status.requests.total, status.requests['4xx'] + status.requests['5xx']) ],
		[ _('Traffic'), _('%1024.1mB received, %1024.1mB sent').format(status.bytes.received, status.bytes.sent) ],
		[ _('Scripts'), _('%d running, %d waiting').format(status.scripts.running, status.scripts.waiting) ],
		[ _('Memory'), '%1024.1mB'.format(status.memory) ]
	].concat(trouble.filter(([ , count ]) => count > 0).map(([ name, count ]) => [ name, String(count) ]));
}

function button(kind, text, click) {
	return E('button', { 'class': 'btn cbi-button cbi-button-' + kind, 'click': click }, [ text ]);
}

function warning(content) {
	return E('div', { 'class': 'alert-message warning' }, content);
}

function remains(certificate) {
	if (certificate.days_left < 0)
		return _('expired');

	return certificate.days_left == 1 ? _('1 day left') : _('%d days left').format(certificate.days_left);
}

function certificateRow(certificate) {
	if (certificate.error)
		return [ certificate.file, certificate.site, '-', '-', _('Cannot be read: %s').format(certificate.error) ];

	const end = '%s (%s)'.format(new Date(certificate.not_after * 1000).toLocaleDateString(), remains(certificate));

	return [
		'%s (%s)'.format(certificate.file, certificate.key),
		certificate.site,
		certificate.names.join(', ') || certificate.subject,
		certificate.self_signed ? _('self-signed') : certificate.issuer,
		certificate.days_left < SOON ? E('strong', {}, [ end ]) : end
	];
}

/* What the check of the configuration says, if it says anything. */
function checkedLines({ code, lines }) {
	return lines.length == 0 ? [] : [
		E('p', {}, [ code == 0 ? _('The configuration is valid, with warnings:') : _('The configuration has errors. Correct them first:') ]),
		E('pre', { 'style': 'white-space:pre-wrap;overflow-wrap:anywhere' }, [ lines.join('\n') ])
	];
}

/* What to do about a certificate that ends soon, or an empty text. */
function certificateWarning(certificate) {
	if (certificate.error)
		return _('The certificate %s cannot be read. Correct the file, or delete it to have a self-signed one created.').format(certificate.file);
	if (certificate.days_left >= SOON)
		return '';

	const what = certificate.days_left < 0 ? _('The certificate %s has expired.') : _('The certificate %s expires soon.');
	const todo = certificate.self_signed ? _('The server renews it if "Self-signed certificate" is set, the clock is right, and the flash has space.') :
		_('Renew it. If that should happen by itself, see the log of the ACME client.');

	return what.format(certificate.file) + ' ' + todo;
}

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	load: function() {
		return uci.load('ecohttpd').then(() => this.ask());
	},

	/* The object on ubus, procd's view of the process, and sometimes the certificates. */
	ask: function() {
		this.asked = (this.asked || 0) + 1;

		const certificates = this.asked % CERTIFICATES == 1 ? service.certificates() : this.certificates;
		return Promise.all([ service.status(), service.process(), certificates ]);
	},

	render: function(answers) {
		this.requests = graph.create(_('Requests per second'), '%.1f');
		this.connections = graph.create(_('Connections'), '%d');
		this.parts = {};
		[ 'alerts', 'server', 'sites', 'certificates', 'errors' ].forEach(name => this.parts[name] = E('div'));

		this.details = E('div', {}, [
			tables.section(_('Activity'), [
				E('div', { 'style': 'display:flex;flex-wrap:wrap;gap:1em' }, [ this.requests.render(), this.connections.render() ])
			]),
			tables.section(_('Sites'), [ this.parts.sites ]),
			tables.section(_('Certificates'), [ this.parts.certificates ]),
			tables.section(_('Latest warnings and errors'), [ this.parts.errors ])
		]);

		const page = E('div', {}, [
			E('h2', {}, [ _('Web server') ]),
			this.parts.alerts,
			tables.section(_('Server'), [ this.parts.server ]),
			this.details
		]);

		this.update(answers);
		poll.add(() => this.ask().then(again => this.update(again)), INTERVAL);
		return page;
	},

	update: function([ status, process, certificates ]) {
		const now = state.of(status, process, uci.get('ecohttpd', 'global', 'use_uhttpd_config'));

		this.certificates = certificates;
		this.details.style.display = status.version ? '' : 'none';
		this.updateServer(now, status);
		this.updateAlerts(now, certificates);
		if (status.version)
			this.updateDetails(status, certificates);
	},

	updateServer: function(now, status) {
		const pairs = [ [ _('State'), now.text ] ].concat(status.version ? figures(status) : []);

		dom.content(this.parts.server, [ tables.pairs(pairs), E('div', { 'class': 'right' }, this.buttons(now)) ]);
	},

	/* What can be done in this state, for those who may. */
	buttons: function(now) {
		const all = {
			reload: () => button('action', _('Reload the configuration'), ui.createHandlerFn(this, 'handleReload')),
			start: () => button('apply', _('Start'), ui.createHandlerFn(this, 'handleStart')),
			take_over: () => button('apply', _('Replace uHTTPd'), ui.createHandlerFn(this, 'handleHandOver', 'take_over')),
			give_back: () => button('negative', _('Switch back to uHTTPd'), ui.createHandlerFn(this, 'handleHandOver', 'give_back'))
		};

		return L.hasViewPermission() ? now.actions.flatMap(name => [ all[name](), ' ' ]) : [];
	},

	/* Why it does not run and what to do, and certificates. Anything that the check says is added when it is there. */
	updateAlerts: function(now, certificates) {
		const warnings = (certificates || []).map(certificateWarning).filter(text => text != '');
		const said = JSON.stringify([ now, warnings ]);

		if (this.said == said)
			return;

		this.said = said;
		dom.content(this.parts.alerts, warnings.map(text => warning([ text ])));
		if (now.todo == '')
			return;

		const lines = E('div');

		this.parts.alerts.prepend(warning([ E('p', {}, [ E('strong', {}, [ now.text ]), ' ', now.todo ]), lines ]));
		if (now.check)
			service.check().then(checked => dom.content(lines, checkedLines(checked)));
	},

	updateDetails: function(status, certificates) {
		this.updateGraphs(status);
		dom.content(this.parts.sites, [ tables.list([ _('Name'), _('Addresses'), _('Requests') ],
			status.sites.map(site => [ site.name, site.listen.join(', '), String(site.requests) ]), _('There are no sites.')) ]);
		dom.content(this.parts.certificates, [ tables.list([ _('File'), _('Site'), _('Names'), _('Issuer'), _('Valid until') ],
			(certificates || []).map(certificateRow), _('There are none: HTTPS is not configured.')) ]);
		dom.content(this.parts.errors, [ tables.list([ _('Time'), _('Message'), _('What to do') ],
			status.errors.map(one => [ date(one.time), one.message, hints.of(one.message) || '-' ]), _('There are none.')) ]);
	},

	updateGraphs: function(status) {
		const at = Date.now() / 1000, before = this.before || {};

		/* The first answer of the poll comes at once, and so little time says nothing of requests per second. */
		if (at - before.at < INTERVAL / 2)
			return;

		/* Totals begin again with the process. */
		this.requests.add(before.started == status.started ? (status.requests.total - before.total) / (at - before.at) : null);
		this.connections.add(status.connections.open);
		this.before = { at: at, total: status.requests.total, started: status.started };
	},

	handleReload: function() {
		const tell = (text, kind) => {
			if (this.told)
				this.told.remove();
			this.told = ui.addNotification(null, E('p', {}, [ text ]), kind);
		};

		return service.reload().then(
			() => tell(_('The server has loaded its configuration and certificates again. Changes that are not applied yet need Save & Apply.'), 'info'),
			() => tell(_('The configuration was refused, and the old one is still in effect. The latest error says why.'), 'danger')
		).then(() => this.ask()).then(answers => this.update(answers));
	},

	handleStart: function() {
		return service.start().then(({ code, lines }) => {
			if (code != 0 || lines.length)
				ui.addNotification(_('The server was started'), E('pre', {}, [ lines.join('\n') ]), code == 0 ? 'info' : 'danger');
		}).then(() => this.ask()).then(answers => this.update(answers));
	},

	handleHandOver: function(command) {
		const text = command == 'give_back' ?
			_('uHTTPd becomes the web server again, with its own configuration. Settings that only ecohttpd has are kept, but have no effect.') :
			_('ecohttpd becomes the web server, with the configuration of uHTTPd and its own.');

		ui.showModal(_('Change the web server?'), [
			E('p', {}, [ text ]),
			E('p', {}, [ _('This page is unavailable for some seconds.') ]),
			E('div', { 'class': 'right' }, [
				button('neutral', _('Cancel'), ui.hideModal), ' ',
				button('negative', _('Change'), () => service.handOver(command))
			])
		]);
	}
});
