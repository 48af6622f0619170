'use strict';
'require view';
'require dom';
'require poll';
'require ui';
'require ecohttpd.service as service';
'require ecohttpd.tables as tables';

/* Seconds between two looks at the server. */
const INTERVAL = 3;

const STATES = {
	'idle': _('idle'),
	'reading': _('reading the request'),
	'handling': _('handling the request'),
	'writing': _('sending the response'),
	'tls handshake': _('TLS handshake'),
	'closing': _('closing')
};

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	load: function() {
		return service.connections();
	},

	render: function(connections) {
		this.table = E('div');
		this.update(connections);
		poll.add(() => service.connections().then(again => this.update(again)), INTERVAL);

		return E('div', {}, [
			E('h2', {}, [ _('Connections') ]),
			E('div', { 'class': 'cbi-map-descr' }, [ _('Clients that are connected to the web server now. One of them is this page.') ]),
			tables.section(_('Open connections'), [ this.table ])
		]);
	},

	update: function(connections) {
		const titles = [ _('Client'), _('Site'), _('State'), _('Request'), _('Protocol'), _('Open for'), _('Received'), _('Sent'), '' ];

		dom.content(this.table, [ tables.list(titles, connections.map(one => this.row(one)), _('There are none, or the server is not running.')) ]);
	},

	row: function(one) {
		return [
			one.address, one.site, STATES[one.state] || one.state, one.request || '-',
			one.tls ? _('%s with TLS').format(one.protocol) : one.protocol, '%t'.format(one.age),
			'%1024.1mB'.format(one.received), '%1024.1mB'.format(one.sent),
			E('button', {
				'class': 'btn cbi-button cbi-button-remove',
				'click': ui.createHandlerFn(this, 'handleClose', one.id),
				'disabled': L.hasViewPermission() ? null : true
			}, [ _('Close') ])
		];
	},

	handleClose: function(id) {
		/* A connection that is gone meanwhile is closed, too. */
		return service.close(id).catch(() => {}).then(() => service.connections()).then(again => this.update(again));
	}
});
