'use strict';
'require baseclass';

/* In which state the server is, why, and what to do about it. */

/* What the server's exit codes mean (docs/configuration.md). */
function ended(code) {
	if (code == 1)
		return _('The configuration is wrong. Correct it in the settings, then start the server.');
	if (code == 2)
		return _('It could not use an address. Stop the program that uses it, or choose another address in the settings.');

	return _('The system log says why. Start it again, or switch back to uHTTPd.');
}

return baseclass.extend({
	/*
	 * `status` is that of the object on ubus, `process` that of procd; both may be empty. `inCharge` is the option
	 * use_uhttpd_config. The answer has a text, what to do (empty if nothing), whether a check of the configuration tells
	 * more, and the actions that make sense.
	 */
	of: function(status, process, inCharge) {
		/* A server that is not in charge may run, too: sections of ecohttpd alone are served beside uhttpd. */
		const change = inCharge == '0' || inCharge == 'auto' ? 'take_over' : 'give_back';

		if (status.version)
			return { text: _('Running (process %d)').format(status.pid), todo: '', check: false, actions: [ 'reload', change ] };

		if (process.running)
			return {
				text: _('Running (process %d)').format(process.pid),
				todo: _('It is not on ubus, so there are no details. The package ecohttpd-notls has none, and neither has a server in the jail. Otherwise wait some seconds: ubus may have been restarted.'),
				check: false,
				actions: [ change ]
			};

		if (process.command)
			return {
				text: _('Not running: it ended with exit code %d.').format(process.exit_code || 0),
				todo: ended(process.exit_code),
				check: true,
				actions: [ 'start', change ]
			};

		if (inCharge != '1')
			return {
				text: _('Not running: uHTTPd is the web server.'),
				todo: _('Choose "Replace uHTTPd" to use ecohttpd.'),
				check: true,
				actions: [ 'take_over' ]
			};

		return {
			text: _('Not running: it was stopped.'),
			todo: _('Choose "Start" to start it again.'),
			check: true,
			actions: [ 'start', 'give_back' ]
		};
	}
});
