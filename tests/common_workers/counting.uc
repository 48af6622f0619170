{%
import * as fs from 'fs';

let count = 0;

function note(name) {
	return `${uhttpd.docroot}/../${name}`;
}

function append(text) {
	const file = fs.open(note('ran'), 'a');

	file.write(`${text}\n`);
	file.close();
}

function pid() {
	return fs.readlink('/proc/self');
}

global.handle_request = function(env) {
	count += 1;

	const what = env.QUERY_STRING;

	if (what == 'wait') {
		append('handler');

		while (fs.access(uhttpd.docroot) && !fs.access(note('go')))
			sleep(20);
	}

	if (what == 'hang') {
		append(pid());
		sleep(100000);
	}

	if (what == 'die')
		system(`kill -9 ${pid()}`);

	if (what == 'bad') {
		uhttpd.send('no head\n\n');
		return;
	}

	// In pieces, as LuCI does it.
	uhttpd.send('Status: ', 200, ' OK\r\n', null);
	uhttpd.send('Content-Type: text/plain');
	uhttpd.send('\r\n');
	uhttpd.send('X-Count: ', count, '\r\n');
	uhttpd.send('\r\n');

	if (what == 'env') {
		for (let name in sort(keys(env)))
			uhttpd.send(name, '=', env[name], '\n');

		for (let name, value in env.headers)
			uhttpd.send('headers.', name, '=', value, '\n');
	}

	if (what == 'echo')
		for (let piece = uhttpd.recv(); piece != null; piece = uhttpd.recv())
			uhttpd.send(piece);

	if (what == 'half') {
		uhttpd.send('half');
		system(`kill -9 ${pid()}`);
	}

	if (what == 'stderr')
		warn('said \u001b this\n');

	if (what == 'kill')
		system(`kill -9 $(cut -d " " -f 4 /proc/${pid()}/stat)`);
};
%}
