'use strict';
'require baseclass';
'require fs';
'require rpc';
'require ui';

/* What the pages ask of the server, of its init script, and of procd. */

const INIT = '/etc/init.d/ecohttpd';
/* A session is named to the init script by its beginning: its command line can be seen by others. */
const SESSION_DIGITS = 8;

const callList = rpc.declare({ object: 'service', method: 'list', params: [ 'name' ], expect: { ecohttpd: {} } });

/* A method of the server's object; without the object, its answer is empty. */
function ask(method, expect) {
	const call = rpc.declare({ object: 'ecohttpd', method: method, expect: expect });
	return () => call().catch(() => Object.values(expect)[0]);
}

function failure(error) {
	return { code: -1, lines: [ error.message || String(error) ] };
}

/* What a command printed, in lines. */
function result(done) {
	const text = (done.stdout || '') + (done.stderr || '');
	return { code: done.code, lines: text.split('\n').filter(line => line != '') };
}

return baseclass.extend({
	status: ask('status', { '': {} }),
	connections: ask('connections', { connections: [] }),
	certificates: ask('certificates', { certificates: [] }),

	reload: rpc.declare({ object: 'ecohttpd', method: 'reload', reject: true }),
	close: rpc.declare({ object: 'ecohttpd', method: 'close', params: [ 'id' ], reject: true }),

	/* The process as procd knows it, or an empty object. */
	process: function() {
		return callList('ecohttpd').then(service => (service.instances || {}).server || {}, () => ({}));
	},

	/*
	 * Checks the configuration with the changes of this session that are not applied: the exit code, which is not 0 if
	 * something is wrong, and its messages.
	 */
	check: function() {
		return fs.exec(INIT, [ 'check', rpc.getSessionID().slice(0, SESSION_DIGITS) ]).then(result, failure);
	},

	start: function() {
		return fs.exec(INIT, [ 'start' ]).then(result, failure);
	},

	/* Hands over to uhttpd, or takes over from it. Then the server changes that answers this very page. */
	handOver: function(command) {
		ui.showModal(_('Changing the web server'), [
			E('p', { 'class': 'spinning' }, [ _('Waiting for the other web server. This page loads again as soon as it answers.') ])
		]);

		/* Without an answer it was cut off by the change; an error that is an answer has a name. */
		const done = fs.exec(INIT, [ command ]).then(result, error =>
			(/^(Permission|NotFound)Error$/).test(error.name) ? failure(error) : { code: 0, lines: [] });

		return done.then(({ code, lines }) => {
			if (code == 0)
				return ui.awaitReconnect(window.location.host);

			ui.hideModal();
			ui.addNotification(_('The web server was not changed'), E('pre', {}, [ lines.join('\n') ]), 'danger');
		});
	}
});
