// Answers requests by a ucode handler of uhttpd (ucode_prefix): loads it once, and forks for each request.
//
// ecohttpd starts `ucode worker.uc HANDLER DOCROOT`. Descriptor 3 is a socket of packets. "ready" goes out once the handler
// is loaded. Each packet that comes in is a request: the variables of CGI, each ended by a NUL, and four descriptors, which
// are the handler's standard input, output and error, and a pipe for its progress: "pid NUMBER" once it runs, "end" when
// all is well.

import * as fs from 'fs';
import * as socket from 'socket';
import * as uloop from 'uloop';

// Longest packet, and room for four descriptors with their header, in bytes.
const PACKET_MAX = 98304;
const RIGHTS_MAX = 128;
const EAGAIN = 11;

const control = socket.open(3);
const handler = ARGV[0];
const end_process = exit;

// The module, if the handler uses it, and what must stay open until the end of the process.
let ubus;
const kept = [];

// The output before the empty line that ends the head. It is sent in one piece, as nobody can use a part of it.
let head = '';

function send(...values) {
	let text = '';

	for (let value in values)
		if (value != null)
			text += value;

	const sent = length(text);

	if (head != null) {
		head += text;

		if (index(head, '\n\r\n') < 0 && index(head, '\n\n') < 0)
			return sent;

		text = head;
		head = null;
	}

	fs.stdout.write(text);
	fs.stdout.flush();

	return sent;
}

// Sends whatever output is left.
function finish(progress) {
	if (length(head))
		fs.stdout.write(head);

	fs.stdout.flush();
	progress.write('end\n');
	progress.flush();
}

function fail(error) {
	warn(`${error}\n`);

	if (error.stacktrace?.[0]?.context)
		warn(`${error.stacktrace[0].context}\n`);
}

global.uhttpd = {
	send,
	sendc: send,
	docroot: ARGV[1],

	recv: function(size) {
		if (type(size) != 'int' && size != null)
			die('Argument not an integer');

		return fs.stdin.read(size ?? 8192) || null;
	},

	urlencode: function(text) {
		let coded = '';

		for (let at = 0, code; (code = ord(`${text ?? ''}`, at)) != null; at++)
			coded += match(chr(code), /[A-Za-z0-9_.~-]/) ? chr(code) : sprintf('%%%02x', code);

		return coded;
	},

	urldecode: function(text) {
		text = `${text ?? ''}`;

		if (match(text, /%([^0-9A-Fa-f]|.[^0-9A-Fa-f]|.?$)/))
			die('malformed string on URL conversion\n');

		return replace(text, /%(..)/g, (all, code) => chr(hex(code)));
	}
};

function field(variable) {
	return lc(join('-', split(variable, '_')));
}

// The variables as uhttpd names them, and the fields of the request.
function environment(packet) {
	const headers = {};
	const env = { headers };

	for (let line in split(packet, '\0')) {
		const parts = split(line, '=', 2);

		if (length(parts) < 2)
			continue;

		const name = parts[0];

		env[name] = parts[1];

		// An expression would be compiled each time it is used.
		if (index(name, 'HTTP_') == 0)
			headers[field(substr(name, 5))] = parts[1];
		else if (index(name, 'CONTENT_') == 0)
			headers[field(name)] = parts[1];
	}

	delete headers['auth-user'];
	delete headers['auth-pass'];

	env.HTTP_VERSION = env.SERVER_PROTOCOL == 'HTTP/1.0' ? 1.0 : 1.1;
	headers.URL = env.REQUEST_URI;

	return env;
}

// Connections to ubus that the handler has opened while it was loaded, by number. They can't be shared between processes,
// as each would read the other's replies.
function ubus_connections() {
	const found = {};

	for (let name in fs.lsdir('/proc/self/fd')) {
		if (name == '3' || index(fs.readlink(`/proc/self/fd/${name}`) ?? '', 'socket:') != 0)
			continue;

		// The object must be kept: the descriptor is closed with it.
		const one = socket.open(+name);
		const path = one.peername()?.path;

		if (path && index(path, 'ubus') >= 0)
			found[name] = { one, path };
	}

	return found;
}

// Puts new connections in their place, under the same numbers.
function connect_again(connections) {
	// A connection joins the loop, whose descriptors must not take its number.
	if (length(connections))
		uloop.init();

	for (let name, connection in connections) {
		const fillers = [];

		connection.one.close();

		// The lowest free number is taken next.
		for (let filler = fs.open('/dev/null'); filler; filler = fs.open('/dev/null')) {
			if (filler.fileno() != +name) {
				push(fillers, filler);
				continue;
			}

			filler.close();

			// Without a connection the number stays taken, or it would become that of something else.
			push(kept, ubus.connect(connection.path) ?? fs.open('/dev/null'));
			break;
		}

		for (let filler in fillers)
			filler.close();
	}
}

function answer(packet, files, connections) {
	const progress = files[3];

	for (let n = 0; n < 3; n++) {
		fs.dup2(files[n], n);
		files[n].close();
	}

	control.close();
	connect_again(connections);

	global.exit = () => {
		finish(progress);
		// A task of uloop that exits before it returns uses memory that is free, and may die of it.
		fs.dup2(fs.open('/dev/null', 'w'), 2);
		end_process(0);
	};

	try {
		// What is printed comes last, as from uhttpd.
		send(render(global.handle_request, environment(packet)));
	}
	catch (error) {
		fail(error);

		// Without an end, the rest of the reply counts as missing.
		if (head == null)
			return;

		head = 'Status: 500 Internal Server Error\r\nContent-Type: text/plain\r\n\r\nThe handler failed.\n';
	}

	finish(progress);
}

// Loads the handler. What it prints meanwhile, and its text outside of code, go nowhere.
try {
	render(loadfile(handler, { raw_mode: false, lstrip_blocks: true, trim_blocks: true, strict_declarations: false }));
}
catch (error) {
	fail(error);
	end_process(1);
}

if (type(global.handle_request) != 'function') {
	warn('no function handle_request\n');
	end_process(1);
}

const connections = ubus_connections();

if (length(connections))
	ubus = require('ubus');

uloop.init();

let incoming;

function stop() {
	incoming.delete();
	uloop.end();
}

function take(message) {
	const files = message.ancillary?.[0]?.data;

	if (length(files) != 4)
		return;

	// Without a function for input, uloop keeps the descriptors of a task that has ended.
	const task = uloop.task(() => answer(message.data, files, connections), null, () => null);

	files[3].write(task ? `pid ${task.pid()}\n` : '');

	for (let file in files)
		file.close();
}

// All packets at once: after the last one, uloop does not tell of the end.
incoming = uloop.handle(control, () => {
	while (true) {
		const message = control.recvmsg(PACKET_MAX, RIGHTS_MAX, socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT);

		if (message?.length)
			take(message);
		else if (message || socket.error(true) != EAGAIN)
			return stop();
		else
			return;
	}
}, uloop.ULOOP_READ);

control.send('ready\n');
uloop.run();
