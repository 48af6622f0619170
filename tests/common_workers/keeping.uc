{%
import { open } from 'fs';

const folder = `${uhttpd.docroot}/..`;
let count = 0;

// What a handler may do to whatever it gets. None of it may be seen by the next request.
global.handle_request = function(env) {
	count++;
	global.count = (global.count ?? 0) + 1;

	const template = loadfile(`${folder}/template`, { raw_mode: false });
	const file = open(`${folder}/value.json`);
	const value = json(file);
	const again = json(open(`${folder}/value.json`));
	const module = loadfile(`${folder}/importing`, { raw_mode: false });
	const kernel = json(open('/proc/sys/kernel/pid_max'));

	push(value.list, count);
	value.number++;

	uhttpd.send('Status: 200 OK\r\n\r\n');
	uhttpd.send(join(' | ', [ count, global.count, render(template), render(template), value, again, file.read(1), render(module), kernel > 1 ]));

	global.loadfile = global.json = null;
};
%}
