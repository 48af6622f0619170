'use strict';
/* Runs the pages on stand-ins for LuCI's modules and for the server, and checks what they show and do. */

const fs = require('fs'), path = require('path'), assert = require('assert');
const { Node, RESOURCES, extend, load, modules, translated } = require('./modules.js');

const ROOT = path.join(__dirname, '../..');
const PACKAGE = path.join(ROOT, 'openwrt/luci-app-ecohttpd/root');
const SESSION = '0123456789abcdef0123456789abcdef';

const read = file => fs.readFileSync(path.join(ROOT, file), 'utf8');
const later = () => new Promise(done => setImmediate(done));

/* Text of the server stands between these marks: all else must have been translated. */
const data = text => `§${text}§`;

const STATUS = {
	version: data('9.9'), pid: 77, started: 1795984403, uptime: 5, loaded: 1795984403, memory: 1507328,
	connections: { open: 3, max: 100, idle: 1, tls: 2, http2: 1, refused: 0 }, requests: { total: 20, '2xx': 18, '4xx': 1, '5xx': 1 },
	bytes: { received: 1234, sent: 56789 }, scripts: { running: 1, waiting: 2, killed: 0 }, handshakes: { full: 1, resumed: 0, failed: 4 }, throttled_logins: 0, log_dropped: 0,
	sites: [ { name: data('main'), listen: [ data('0.0.0.0:80'), data('[::]:80') ], requests: 20 } ],
	errors: [ { time: 1795984403, level: 'error', message: data('<b>cannot listen on 0.0.0.0:443: in use') } ]
};
const CERTIFICATES = [
	{ file: data('/a.crt'), site: data('main'), names: [ data('a.lan'), data('::1') ], not_after: 1795984403, days_left: 300, key: data('P-256'), self_signed: true },
	{ file: data('/b.crt'), site: data('b'), names: [], subject: data('CN=b'), issuer: data('CN=i'), not_after: 1795984403, days_left: 9, key: data('P-256'), self_signed: false },
	{ file: data('/c.crt'), site: data('c'), names: [ data('c') ], not_after: 1795984403, days_left: -1, key: data('P-256'), self_signed: true },
	{ file: data('/d.crt'), site: data('d'), error: data('no such file') }
];
const CONNECTION = { id: 7, address: data('[::1]:5'), site: data('main'), state: 'tls handshake', protocol: data('HTTP/2'), tls: true, age: 3, request: data('GET /<b>'), received: 3, sent: 9 };

/* A router: what it answers to the pages, and what they asked for. */
class Router {
	constructor(answers) {
		this.answers = answers;
		this.asked = [];
		this.declared = new Set();
		this.shown = [];
		this.permitted = true;
		this.changes = 0;
	}

	/* LuCI's modules. */
	get luci() {
		const router = this;
		const note = (...nodes) => { const one = new Node('notification', {}, nodes.filter(node => node)); this.shown.push(one); return one; };

		return {
			window: { location: { host: 'router.lan' } },
			L: { hasViewPermission: () => this.permitted },
			view: { extend: extend(class {
				addFooter() { return this.footer; }
				handleSave() { router.asked.push('save'); return Promise.resolve(); }
			}) },
			dom: { content: (node, children) => { assert(Array.isArray(children)); node.children = children; } },
			poll: { add: (ask, seconds) => { assert(seconds >= 3); this.poll = ask; } },
			rpc: {
				getSessionID: () => SESSION,
				declare: ({ object, method, params = [], expect, reject }) => {
					this.declared.add(`${object} ${method}`);
					return (...args) => {
						this.asked.push([ object, method, ...args ].join(' '));
						const key = Object.keys(expect || {})[0];
						const answer = this.answers[`${object} ${method}`];
						if (answer === undefined)
							return Promise.reject(new Error('Object not found'));
						return Promise.resolve(key ? answer[key] : answer);
					};
				}
			},
			fs: { exec: (program, args) => {
				const line = [ program, ...args ].join(' ');
				this.asked.push(line);
				const answer = this.answers[args[0]];
				return answer ? Promise.resolve(answer) : Promise.reject(new Error('cut off'));
			} },
			uci: {
				load: () => Promise.resolve(),
				sections: (config, type) => Object.values(this.answers[config] || {}).filter(section => section['.type'] == type),
				get: (config, section, option) => { const found = (this.answers[config] || {})[section]; return option ? (found || {})[option] : found; }
			},
			ui: {
				createHandlerFn: (self, name, ...args) => () => self[name](...args),
				showModal: (title, nodes) => { this.modal = new Node('modal', {}, [ title, ...nodes ]); },
				hideModal: () => { this.modal = null; },
				addNotification: (title, node) => note(title, node),
				awaitReconnect: host => this.asked.push('reconnect ' + host),
				changes: { apply: checked => this.asked.push('apply ' + checked) }
			},
			form: this.form
		};
	}

	/* LuCI's forms only note which options they are asked for. */
	get form() {
		const options = this.options = {};
		class Widget {
			value(key, text) { (this.choices ||= []).push(text); }
			isActive() { return this.entered != null; }
			formvalue() { return this.entered; }
			write(section, value) { this.written = value; }
			remove() { this.written = null; }
			renderWidget() { return this.placeholder; }
		}
		Widget.extend = extend(Widget);
		class Section {
			tab() {}
			option(Kind, name, title, description) {
				return options[name] = Object.assign(new Kind(), { option: name, title, description });
			}
			taboption(tab, ...rest) { return Object.assign(this.option(...rest), { tab }); }
		}
		return {
			Map: class { section() { return new Section(); } render() { return 'map'; } },
			Value: Widget, Flag: Widget, DummyValue: Widget, DynamicList: Widget,
			TypedSection: 1, GridSection: 1, NamedSection: 1
		};
	}

	async open(name) {
		const view = load('view.ecohttpd.' + name, this.luci);
		const page = await view.render(await view.load());
		return { view, page };
	}
}

/* No text that was not translated: what is left beside marked text are numbers, dates and units. */
function checkTranslated(node) {
	const text = node.textContent.replace(/«[^«»]*»/g, '').replace(/§[^§]*§/g, '').replace(/«|»|§/g, '');
	const rest = text.match(/[A-Za-z]{2,}/g) || [];
	assert.deepEqual(rest.filter(word => !/^(AM|PM|ecohttpd)$/.test(word)), [], node.textContent);
}

const tests = {
	async every_option_is_on_the_page() {
		/* Options of the program without a widget, and why. */
		const LEFT_OUT = { json_script: 'the server does not support it' };
		/* What the page sets beside them: that is read in another place than the table of options. */
		const BESIDE = { enabled: 'on', httpauth: 'logins' };

		const rows = [ ...read('docs/options.md').matchAll(/^\| `(.*?)` \| (list )?`(\w+)` \| ([^|]*) \|/gm) ];
		const known = Object.fromEntries(rows.map(([ , option, list, name, normal ]) =>
			[ name, list ? 'list' : normal.startsWith('off; in a file: on') || / 0$/.test(option) ? 'on' : normal == 'off' ? 'flag' : 'value' ]));
		assert(rows.length > 50, 'the table of options is not found');
		known.http2 = 'on';
		const { tabs } = load('ecohttpd.options', {});
		const shown = {};
		for (const { name, widget, label, description } of tabs.flatMap(tab => tab.options)) {
			assert(!(name in shown), `${name} is there twice`);
			assert(label && (description == null || description != label), name);
			shown[name] = widget == 'log' ? 'value' : widget;
		}
		for (const name in LEFT_OUT) {
			assert(name in known, `${name} is no option any more`);
			delete known[name];
		}
		assert.deepEqual(shown, { ...known, ...BESIDE }, 'docs/options.md and the page differ');

		/* An empty field shows the default, if that is a value. */
		const defaults = Object.fromEntries(rows.map(([ , , , name, normal ]) => [ name, normal.split('in a file: ').pop() ]));
		Object.assign(defaults, { realm: '', access_log: '' });
		for (const { name, widget, example } of tabs.flatMap(tab => tab.options))
			if ([ 'value', 'log' ].includes(widget))
				assert.equal(example || '', defaults[name], name);
	},

	async texts_are_plain() {
		modules().forEach(name => load(name, new Router({}).luci));
		for (const name of [ 'status', 'settings', 'connections' ])
			await new Router({}).open(name);

		const stilted = read('tests/documents.rs').match(/const STILTED[^;]*;/)[0];
		const words = [ ...stilted.matchAll(/\("([^"]+)"/g) ].map(m => m[1]).concat([ 'does not run', 'lock the', 'obey', 'whilst', 'shall', 'daemon', 'please' ]);
		assert(words.length > 10 && translated.size > 150);
		for (const text of translated) {
			const plain = ` ${text.toLowerCase().replace(/[^a-z]+/g, ' ')} `;
			words.forEach(word => assert(!plain.includes(` ${word} `), `${word}: ${text}`));
			assert(!/\s$|^\s|  |!/.test(text), text);
		}
		/* Labels have no full stop, sentences have one. */
		for (const { label, description } of load('ecohttpd.options', {}).tabs.flatMap(tab => tab.options)) {
			assert(!label.endsWith('.»'), label);
			assert(description == null || /[.:]»$|\/ubus\.»$/.test(description), description);
		}
	},

	async hints_are_for_what_the_server_says() {
		const files = folder => fs.readdirSync(path.join(ROOT, folder), { recursive: true }).filter(file => file.endsWith('.rs'));
		const source = files('src').map(file => read('src/' + file).replace(/\\\n\s*/g, '')).join('\n');
		const hints = load('ecohttpd.hints', {});
		for (const [ text, hint ] of hints.hints) {
			assert(source.includes(text), `the server does not say ${JSON.stringify(text)}`);
			assert(hints.of(`x ${text} y`).includes(hint));
		}
		const both = hints.of('reload failed, keeping the old configuration: cannot listen on 80: in use');
		assert(/still in effect.*Another program/.test(both), both);
		assert.equal(hints.of('something else'), '');
	},

	/* What the stand-ins answer, and so what the pages use, is what docs/ubus-object.md says of the object. */
	async the_object_on_ubus_is_the_one_that_is_documented() {
		const [ , status, connections, certificates, ...others ] = read('docs/ubus-object.md').split(/^## /m);
		const names = (text, value) => Object.keys(value).filter(key => !text.includes('`' + key + '`'));
		const { '2xx': good, '4xx': bad, ...requests } = STATUS.requests;
		assert(good && bad && /`1xx` to `5xx`/.test(status));
		for (const table of [ STATUS, STATUS.connections, { ...requests, '5xx': 1 }, STATUS.bytes, STATUS.scripts, STATUS.handshakes, STATUS.sites[0], STATUS.errors[0] ])
			assert.deepEqual(names(status, table), []);
		assert.deepEqual(CERTIFICATES.flatMap(one => names(certificates, one)), []);
		assert.deepEqual(names(connections, CONNECTION), []);
		assert.deepEqual([ 'reload', 'close' ].filter(name => !others.some(text => text.startsWith('`' + name + '`'))), []);

		/* Each state has a name for people. */
		const states = connections.match(/\| `state` \| (.*) \|/)[1].match(/`[a-z ]+`/g).map(name => name.slice(1, -1)).filter(name => name != ' or ');
		const page = load('view.ecohttpd.connections', new Router({}).luci);
		assert.equal(states.length, 6);
		states.forEach(state => assert(page.row({ ...CONNECTION, state })[2].startsWith('«'), state));
	},

	async rights_are_those_that_the_pages_need() {
		const acl = JSON.parse(fs.readFileSync(path.join(PACKAGE, 'usr/share/rpcd/acl.d/luci-app-ecohttpd.json')))['luci-app-ecohttpd'];
		const router = new Router({});
		const service = load('ecohttpd.service', router.luci);
		const methods = ({ ubus }) => Object.entries(ubus).flatMap(([ object, names ]) => names.map(name => `${object} ${name}`));
		const granted = [ ...methods(acl.read), ...methods(acl.write) ].sort();
		assert.deepEqual([ ...router.declared, 'file exec' ].sort(), granted);
		assert.deepEqual(methods(acl.write), [ 'ecohttpd reload', 'ecohttpd close' ]);

		await service.check();
		await service.start();
		for (const command of [ 'take_over', 'give_back' ])
			await service.handOver(command);
		const commands = router.asked.filter(line => line[0] == '/');
		const patterns = Object.keys({ ...acl.read.file, ...acl.write.file });
		const matches = (pattern, command) => new RegExp('^' + pattern.replace(/[.]/g, '\\.').replace(/\*/g, '.*') + '$').test(command);
		assert.equal(commands.length, 4);
		commands.forEach(command => assert(patterns.some(pattern => matches(pattern, command)), command));
		patterns.forEach(pattern => assert(commands.some(command => matches(pattern, command)), pattern));
		/* The session can't be taken over by those who see the command line. */
		assert.equal(commands[0], '/etc/init.d/ecohttpd check ' + SESSION.slice(0, 8));
		assert(Object.keys(acl.read.file).every(pattern => / check /.test(pattern)), 'a reader may change nothing');

		const menu = JSON.parse(fs.readFileSync(path.join(PACKAGE, 'usr/share/luci/menu.d/luci-app-ecohttpd.json')));
		const views = Object.values(menu).map(({ action }) => action.path).filter(view => view);
		assert.deepEqual(views.map(view => view + '.js').sort(), fs.readdirSync(path.join(RESOURCES, 'view/ecohttpd')).map(file => 'ecohttpd/' + file).sort());
	},

	async status_of_a_server_that_runs() {
		const router = new Router({ 'ecohttpd status': STATUS, 'ecohttpd certificates': { certificates: CERTIFICATES }, 'ecohttpd reload': {} });
		const { view, page } = await router.open('status');
		const text = page.textContent;
		checkTranslated(page);
		for (const expected of [ '9.9', '0.0.0.0:80', 'a.lan', '«self-signed»', '«%d days left»'.replace('%d', 300), '«expired»', 'no such file', '«Failed TLS handshakes» 4',
			'<b>cannot listen on', '«Another program uses this address' ])
			assert(text.includes(expected), `${expected} is not in ${text}`);
		assert(!text.includes('Lost log lines'), 'there are none');
		const warnings = page.all('div').filter(node => /alert-message/.test(node.attributes.class)).map(node => node.textContent);
		assert.equal(warnings.length, 3, warnings);
		assert(warnings[0].includes('/b.crt') && warnings[1].includes('/c.crt') && warnings[2].includes('/d.crt'), warnings);

		/* Certificates are read again only now and then. */
		const certificates = () => router.asked.filter(line => line == 'ecohttpd certificates').length;
		for (let n = 0; n < 19; n++)
			await router.poll();
		assert.equal(certificates(), 1);
		await router.poll();
		assert.equal(certificates(), 2);

		page.button('«Reload the configuration»').attributes.click();
		await later();
		assert(router.asked.includes('ecohttpd reload') && router.shown[0].textContent.includes('loaded its configuration'));

		page.button('«Switch back to uHTTPd»').attributes.click();
		checkTranslated(router.modal);
		assert(!router.asked.some(line => line.includes('give_back')), 'it asks first');
		router.modal.button('«Change»').attributes.click();
		await later();
		assert(router.asked.includes('/etc/init.d/ecohttpd give_back') && router.asked.includes('reconnect router.lan'));
	},

	async requests_per_second_are_of_totals() {
		const router = new Router({});
		const { view } = await router.open('status');
		const now = Date.now;
		let at = 1000;
		Date.now = () => at * 1000;
		const look = (seconds, total, started) => {
			at += seconds;
			view.updateGraphs({ started, connections: { open: 5 }, requests: { total } });
			return view.requests.values.slice();
		};
		try {
			assert.deepEqual(look(0, 100, 1), []);
			assert.deepEqual(look(3, 130, 1), [ 10 ]);
			assert.deepEqual(look(0.1, 999, 1), [ 10 ], 'too early to tell');
			assert.deepEqual(look(2.9, 130, 1), [ 10, 0 ]);
			assert.deepEqual(look(3, 5, 2), [], 'another process');
			for (let n = 1; n < 100; n++)
				look(3, 5 + n * 3, 2);
			assert.equal(view.requests.values.length, 60);
			assert(/^M0\.0,[\d.]+(L[\d.]+,[\d.]+){59}$/.test(view.requests.line.attributes.d), view.requests.line.attributes.d);
			assert.equal(view.requests.now.textContent, '1.0');
		}
		finally {
			Date.now = now;
		}
	},

	async status_of_a_server_that_does_not() {
		const lines = { code: 1, stdout: data('uhttpd.main.hsts: "x" is wrong') + '\n', stderr: '' };
		const rows = [
			[ { instances: {} }, '0', /uHTTPd is the web server/, [ '«Replace uHTTPd»' ], true ],
			[ { instances: {} }, '1', /it was stopped/, [ '«Start»', '«Switch back to uHTTPd»' ], true ],
			[ { instances: { server: { running: false, command: [ 'x' ], exit_code: 1 } } }, '1', /ended with exit code 1.*The configuration is wrong/, [ '«Start»', '«Switch back to uHTTPd»' ], true ],
			[ { instances: { server: { running: false, command: [ 'x' ], exit_code: 2 } } }, '1', /could not use an address.*The configuration has errors/, [ '«Start»', '«Switch back to uHTTPd»' ], true ],
			[ { instances: { server: { running: false, command: [ 'x' ] } } }, '1', /system log/, [ '«Start»', '«Switch back to uHTTPd»' ], true ],
			[ { instances: { server: { running: true, pid: 7 } } }, '1', /process 7.*not on ubus/, [ '«Switch back to uHTTPd»' ], false ],
			[ { instances: { server: { running: true, pid: 7 } } }, '0', /process 7.*not on ubus/, [ '«Replace uHTTPd»' ], false ],
			[ { instances: { server: { running: false, command: [ 'x' ], exit_code: 1 } } }, '0', /The configuration is wrong/, [ '«Start»', '«Replace uHTTPd»' ], true ]
		];
		for (const [ service, inCharge, text, buttons, checks ] of rows) {
			const router = new Router({ 'service list': { ecohttpd: service }, check: lines, start: { code: 0 }, ecohttpd: { global: { use_uhttpd_config: inCharge } } });
			const { page } = await router.open('status');
			await later();
			checkTranslated(page);
			assert(text.test(page.textContent.replace(/[«»]/g, '')), page.textContent);
			assert.equal(page.textContent.includes('is wrong'), checks, page.textContent);
			assert.deepEqual(page.all('button').map(one => one.textContent), buttons);
			await router.poll();
			assert.equal(router.asked.filter(line => / check /.test(line)).length, +checks, 'it is checked once');
		}

		const reader = new Router({ 'service list': { ecohttpd: {} } });
		reader.permitted = false;
		assert.deepEqual((await reader.open('status')).page.all('button'), []);
	},

	async connections_can_be_closed() {
		const router = new Router({ 'ecohttpd connections': { connections: [ CONNECTION ] }, 'ecohttpd close': {} });
		const { page } = await router.open('connections');
		checkTranslated(page);
		for (const expected of [ '[::1]:5', '«TLS handshake»', 'GET /<b>' ])
			assert(page.textContent.includes(expected), page.textContent);
		page.button('«Close»').attributes.click();
		await later();
		assert(router.asked.includes('ecohttpd close 7'));

		/* None, and none that may be closed. */
		assert((await new Router({}).open('connections')).page.textContent.includes('There are none'));
		router.permitted = false;
		assert.equal((await router.open('connections')).page.button('«Close»').attributes.disabled, true);
	},

	async settings_are_tested_before_they_are_applied() {
		const rows = [
			[ { code: 0, stdout: '' }, /is valid\./, true ],
			[ { code: 0, stdout: data('x is not supported') }, /with warnings.*x is not supported/, true ],
			[ { code: 1, stdout: data('x is <b> wrong') }, /has errors.*x is <b> wrong/, false ]
		];
		for (const [ check, text, applies ] of rows) {
			const router = new Router({ check });
			const { view } = await router.open('settings');
			const actions = new Node('div');
			view.footer = { querySelector: () => actions };
			view.addFooter();
			await actions.button('«Test the configuration»').attributes.click();
			await later();
			assert.deepEqual(router.asked, [ 'save', '/etc/init.d/ecohttpd check ' + SESSION.slice(0, 8) ]);
			assert(text.test(router.shown[0].textContent), router.shown[0].textContent);
			checkTranslated(router.shown[0]);
			await view.handleTest();
			assert(router.shown[0].removed, 'the new verdict replaces the old one');

			await view.handleSaveApply(null, '0');
			assert.equal(router.asked.includes('apply true'), applies);
			if (!applies) {
				checkTranslated(router.modal);
				assert(router.modal.textContent.includes('x is <b> wrong'));
				router.modal.button('«Apply anyway»').attributes.click();
				assert(router.asked.includes('apply true') && router.modal == null);
			}
		}
	},

	async settings_show_what_is_in_effect() {
		const router = new Router({
			uhttpd: { main: { '.type': 'uhttpd', '.name': 'main', redirect_https: 'on', home: '/srv', realm: 'a b', listen_http: [ '80', '81' ], enabled: '0' }, defaults: { '.type': 'cert', home: '/x' } },
			ecohttpd: { main: { '.type': 'uhttpd', no_gzip: '1', header: 'X-A: b c', listen_http: '82 83', alias: '/a b', deny: [ '/ *' ] }, me: { '.type': 'httpauth', '.name': 'me', prefix: '/p' } }
		});
		await router.open('settings');
		const { redirect_https, http2, no_gzip, enabled, home, header, httpauth, _inherited } = router.options;
		const state = option => [ option.load('main'), option.load('other') ].join();
		assert.equal(state(redirect_https), '1,0', 'as uhttpd has it');
		assert.equal(state(http2), '1,1');
		assert.equal(state(no_gzip), '1,0');
		assert.equal(state(enabled), '1,1', 'the sections of uhttpd are disabled while ecohttpd serves them');

		/* A section that has just been added is saved before it is shown. */
		await http2.parse('other');
		assert.equal(http2.written, undefined);

		/* Stored is only what differs. */
		for (const [ option, entered, written ] of [ [ redirect_https, '1', null ], [ redirect_https, '0', '0' ], [ http2, '0', '0' ], [ http2, '1', null ], [ no_gzip, '1', '1' ] ]) {
			option.entered = entered;
			await option.parse('main');
			assert.equal(option.written, written, option.option);
		}
		assert.equal(home.renderWidget('main', 0, null), '/srv');
		assert.equal(home.renderWidget('defaults', 0, null), '/www', 'a section of another type');
		assert.deepEqual(httpauth.choices, [ 'me (/p)' ]);
		assert(/\nrealm a b\n|^realm a b\n/.test(_inherited.cfgvalue('main').textContent));
		/* A list may be written as an option, which must not be broken into words. */
		for (const [ name, loaded ] of Object.entries({ header: [ 'X-A: b c' ], listen_http: [ '82', '83' ], alias: [ '/a b' ], deny: [ '/ *' ], allow: undefined }))
			assert.deepEqual(router.options[name].load('main'), loaded, name);
		assert(/listen_http 80\nlisten_http 81/.test(_inherited.cfgvalue('main').textContent));
		assert(!/enabled/.test(_inherited.cfgvalue('main').textContent));
		assert.equal(header.validate('main', ''), true);
		assert.equal(header.validate('main', 'X-A: b'), true);
		assert(/NAME: VALUE/.test(header.validate('main', 'X-A')));
		assert(/from 0 to 86400/.test(router.options.http_keepalive.validate('main', '86401')));
	}
};

(async () => {
	for (const [ name, test ] of Object.entries(tests)) {
		await test();
		console.log(`ok: ${name.replace(/_/g, ' ')}`);
	}
})().catch(error => { console.error(error); process.exit(1); });
