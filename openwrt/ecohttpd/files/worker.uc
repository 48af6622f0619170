// Answers requests by a ucode handler of uhttpd (ucode_prefix): loads it once, and forks for each request.
//
// ecohttpd starts `ucode worker.uc HANDLER DOCROOT`. Descriptor 3 is a socket of packets. "ready" goes out once the handler
// is loaded. Each packet that comes in is a request: the object that the handler gets, as JSON, and four descriptors, which
// are the handler's standard input, output and error, and a pipe for its progress: "pid NUMBER" once it runs, "end" when
// all is well.
//
// One process is forked ahead. It takes the next packet by itself, so that no client waits for the fork.

import * as fs from 'fs';
import * as socket from 'socket';
import * as uloop from 'uloop';

// Room for four descriptors with their header, in bytes.
const RIGHTS_MAX = 128;

// Most files that are kept, and their length together in bytes: a router has little memory, and the value of JSON takes
// twenty times its text. A page of LuCI loads about seven files of 20 KB.
const KEPT_MAX = 64;
const KEPT_BYTES = 131072;

// fs.file: relative to the end.
const SEEK_END = 2;

const control = socket.open(3);
const handler = ARGV[0];
const end_process = exit;

// The pieces of output before the empty line that ends the head. They are sent at once, as nobody can use a part of them.
let head = [];

// The end of what came before: as much as may belong to the empty line.
let last_bytes = '\n';

function send(...values) {
	let text = join('', null in values ? filter(values, value => value != null) : values);
	const sent = length(text);

	if (head) {
		const seen = last_bytes + text;

		push(head, text);

		if (index(seen, '\n\r\n') < 0 && index(seen, '\n\n') < 0) {
			last_bytes = substr(seen, max(0, length(seen) - 2));
			return sent;
		}

		text = join('', head);
		head = null;
	}

	fs.stdout.write(text);
	fs.stdout.flush();

	return sent;
}

// Sends whatever output is left.
function finish(progress) {
	if (length(head))
		fs.stdout.write(join('', head));

	fs.stdout.flush();
	progress.write('end\n');
	progress.flush();
	// Or the client would wait until the memory of this process is given back.
	fs.stdout.close();
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

// What the files that handlers load become, by name: code, and the value of JSON. So a process does it itself only if it is
// the first, or the file has changed. Without a value: the file can't be kept.
const kept = {};

// How much more may be kept, in bytes of files.
let room = KEPT_BYTES;

// What this process had to do itself.
const missed = [];

const compile = loadfile;
const parse = json;

function name_of(path, options) {
	return `${options ?? ''} ${path}`;
}

function recall(name, file) {
	const known = kept[name];
	const is_same = known && file && known.file.mtime == file.mtime && known.file.inode == file.inode
		&& known.file.size == file.size && known.file.ctime == file.ctime;

	return is_same ? known : null;
}

// Code has no state: what it declares is made when it runs.
global.loadfile = function(path, options) {
	const known = recall(name_of(path, options), fs.stat(path));

	if (known?.value)
		return known.value;

	const code = compile(path, options);

	if (!known && type(path) == 'string')
		push(missed, [ path, options ]);

	return code;
};

// The value may be changed by who gets it, so it is handed out once in a process.
global.json = function(source) {
	const place = type(source) == 'resource' ? `/proc/self/fd/${source.fileno?.()}` : null;
	const path = place && source.tell?.() === 0 ? fs.readlink(place) : null;

	if (!path)
		return parse(source);

	const name = name_of(path, 'json');
	const known = recall(name, fs.stat(place));

	if (known?.value == null) {
		const value = parse(source);

		if (!known)
			push(missed, [ path, 'json' ]);

		return value;
	}

	delete kept[name];
	source.seek(0, SEEK_END);

	return known.value;
};

// Whether all modules that a file imports are libraries. Others become a part of its code, and it is not noticed that they
// change.
function imports_libraries(text) {
	for (let found in match(text, /\bimport\b[^'";]*['"]([^'"]+)/g)) {
		const places = map(REQUIRE_SEARCH_PATH, place => replace(place, '*', replace(found[1], '.', '/')));

		if (substr(filter(places, place => fs.access(place))[0], -3) != '.so')
			return false;
	}

	return true;
}

// Does for the next processes what one had to do itself.
function learn(files) {
	for (let one in files) {
		const path = one[0], options = one[1], name = name_of(path, options);
		const file = fs.stat(path);

		// Within two seconds it may change and have the same times.
		if (ord(path) != ord('/') || !file || max(file.mtime, file.ctime) + 2 > time() || recall(name, file))
			continue;

		if (length(kept) >= KEPT_MAX && !kept[name])
			continue;

		if (kept[name]?.value)
			room += kept[name].file.size;

		kept[name] = { file };

		// Files of the kernel have another length than they say, and change without a trace.
		const text = file.size <= room ? fs.readfile(path) : null;

		if (length(text) != file.size)
			continue;

		try {
			if (options == 'json')
				kept[name].value = parse(text);
			else if (imports_libraries(text))
				kept[name].value = compile(path, options);
		}
		catch {
			// Each process finds out by itself.
		}

		if (kept[name].value)
			room -= file.size;
	}
}

// The sockets that the handler has opened. They are closed with their object.
const sockets = [];

// Connections to ubus that the handler has opened while it was loaded, by number. They can't be shared between processes,
// as each would read the other's replies. So they are closed here: if ubusd ended, they would be of no use for later forks.
function take_ubus_connections() {
	const found = {};
	const nothing = fs.open('/dev/null');

	for (let name in fs.lsdir('/proc/self/fd')) {
		if (name == '3' || index(fs.readlink(`/proc/self/fd/${name}`) ?? '', 'socket:') != 0)
			continue;

		const one = socket.open(+name);
		const path = one.peername()?.path;

		push(sockets, one);

		if (path && index(path, 'ubus') >= 0)
			found[name] = { one, path };
	}

	// The numbers stay taken.
	for (let name in found)
		fs.dup2(nothing, +name);

	nothing.close();

	return found;
}

// Puts new connections in their place, under the same numbers.
function connect_again(connections) {
	for (let name, connection in connections) {
		const fillers = [];

		connection.one.close();

		// The lowest free number is taken next.
		while (true) {
			const one = socket.create(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC);

			if (one && one.fileno() != +name) {
				push(fillers, one);
				continue;
			}

			// The handler's end of the connection skips ubusd's greeting. Without a connection the number stays taken, or it
			// would become that of something else.
			one?.connect({ path: connection.path });
			connection.one = one;
			break;
		}

		for (let filler in fillers)
			filler.close();
	}
}

// Those whose other end is gone: ubusd was started again while this process waited.
function lost(connections) {
	const found = {};

	for (let name, connection in connections)
		if (!connection.one || socket.poll(0, connection.one)?.[0]?.[1] & (socket.POLLHUP | socket.POLLERR))
			found[name] = connection;

	return found;
}

function answer(packet, files) {
	const progress = files[3];

	for (let n = 0; n < 3; n++) {
		fs.dup2(files[n], n);
		files[n].close();
	}

	global.exit = () => {
		finish(progress);
		// A task of uloop that exits before it returns uses memory that is free, and may die of it.
		fs.dup2(fs.open('/dev/null', 'w'), 2);
		end_process(0);
	};

	try {
		// What is printed comes last, as from uhttpd.
		send(render(global.handle_request, parse(packet)));
	}
	catch (error) {
		fail(error);

		// Without an end, the rest of the reply counts as missing.
		if (head == null)
			return;

		head = [ 'Status: 500 Internal Server Error\r\nContent-Type: text/plain\r\n\r\nThe handler failed.\n' ];
	}

	finish(progress);
}

// The process of one request: waits for it, says so by `taken`, and answers it.
function serve(pipe, taken, connections) {
	const pid = pipe.receive();

	connect_again(connections);

	// Its length first: memory for the longest one would cost more.
	const length_only = control.recvmsg(1, null, socket.MSG_PEEK | socket.MSG_TRUNC);
	const message = length_only?.length && control.recvmsg(length_only.length, RIGHTS_MAX, socket.MSG_CMSG_CLOEXEC);

	// The server has gone.
	if (!message)
		return;

	taken.write('taken');
	taken.close();
	control.close();

	const files = message.ancillary?.[0]?.data;

	if (length(files) != 4)
		return;

	files[3].write(`pid ${pid}\n`);
	files[3].flush();
	connect_again(lost(connections));
	answer(message.data, files);

	return missed;
}

// Loads the handler. What it prints meanwhile, and its text outside of code, go nowhere.
try {
	render(compile(handler, { raw_mode: false, lstrip_blocks: true, trim_blocks: true, strict_declarations: false }));
}
catch (error) {
	fail(error);
	end_process(1);
}

if (type(global.handle_request) != 'function') {
	warn('no function handle_request\n');
	end_process(1);
}

const connections = take_ubus_connections();

uloop.init();

// Forks the process of the next request.
function fork_ahead() {
	const ends = fs.pipe();
	let task, watch;

	task = uloop.task(pipe => {
		ends[0].close();

		return serve(pipe, ends[1], connections);
	}, learn, () => task.pid());

	ends[1].close();

	// Its pipe ends without a word if the server has gone, or the process could not be forked or was killed.
	watch = uloop.handle(ends[0], () => {
		const is_taken = ends[0].read(1);

		watch.delete();
		ends[0].close();

		if (is_taken)
			fork_ahead();
		else
			uloop.end();
	}, uloop.ULOOP_READ);
}

control.send('ready\n');
fork_ahead();
uloop.run();
