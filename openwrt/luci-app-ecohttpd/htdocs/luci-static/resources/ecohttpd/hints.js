'use strict';
'require baseclass';

/*
 * What to do about a line of the log: something for each of these texts that it contains. tests/luci.rs checks that the
 * server still says them.
 */
const HINTS = [
	[ 'reload failed, keeping the old configuration', _('The old configuration is still in effect.') ],
	[ 'is wrong: expected ', _('Correct the value in the settings, then save and apply.') ],
	[ 'cannot listen on ', _('Another program uses this address, or the router does not have the address. Stop the program or choose another address.') ],
	[ 'certificate expired ', _('Replace the certificate. If it is self-signed, delete the file: a new one is created.') ],
	[ 'certificate renewal failed', _('Check that there is space left on the flash and that the clock is right.') ],
	[ ': login as ', _('If this was not you, restrict access to your own network in the settings, under Access.') ],
	[ 'is not protected', _('Set a password for this user.') ],
	[ 'no login to ', _('Check the user name of this login, and that the user has a password.') ],
	[ 'more refused since the last such line', _('The settings under Access refuse this address. Nothing needs to be done if that is intended.') ],
	[ 'too many scripts waiting', _('Allow more scripts at once in the settings, under Scripts, or find out what keeps them busy.') ],
	[ 'cannot run it', _('Check that the script can be executed and that its interpreter is installed.') ],
	[ 'its worker ', _('Check that the interpreter of the handler is installed, with the modules fs, socket and uloop for ucode.') ],
	[ ' before its response', _('The script or server that was asked failed. Its own log, or the lines before this one, say why.') ],
	[ 'no progress', _('The server behind the proxy is too slow or hangs. Check it, or raise the timeout in the settings, under Proxy.') ],
	[ 'cannot be reached', _('Check that the server behind the proxy is running and that its address in the settings is right.') ],
	[ 'cannot reach ubusd', _('LuCI does not work without ubus. Restart the router.') ],
	[ 'client read less than ', _('The connection of this client is slow. Nothing needs to be done.') ]
];

return baseclass.extend({
	hints: HINTS,

	/* What to do about it, or an empty text. */
	of: function(message) {
		return HINTS.filter(([ text ]) => message.includes(text)).map(([ , hint ]) => hint).join(' ');
	}
});
