'use strict';
/* Loads the modules of LuCI's pages as LuCI does, with stand-ins for its own. */

const fs = require('fs'), path = require('path'), assert = require('assert');

const RESOURCES = path.join(__dirname, '../../openwrt/luci-app-ecohttpd/htdocs/luci-static/resources');

/* Texts that are translated: what `_` was asked for. In a page they stand between these marks. */
const translated = new Set();
function _(text) {
	assert.equal(typeof text, 'string');
	translated.add(text);
	return `«${text}»`;
}

/* As much of LuCI's as the pages need: %s, %d, %.1f, %1024.1mB, %t. */
Object.defineProperty(String.prototype, 'format', {
	value: function(...values) {
		return this.replace(/%(?:(s|d)|\.(\d)f|1024\.(\d)m(B)|t)/g, (all, kind, digits, unitDigits) => {
			const value = values.shift();
			assert.notEqual(value, undefined, String(this));
			if (kind == 's')
				return value;
			assert(typeof value == 'number' && isFinite(value), `${this}: ${value}`);
			return kind ? Math.trunc(value) : value.toFixed(digits || unitDigits || 0);
		});
	}
});

/* A node. LuCI takes a text that is not in an array as HTML, so the pages must not give one. */
class Node {
	constructor(tag, attributes = {}, children = []) {
		assert(Array.isArray(children), `${tag}: children that LuCI takes as HTML: ${children}`);
		children.forEach(child => assert(child instanceof Node || ['string', 'number'].includes(typeof child), `${tag}: ${child}`));
		Object.assign(this, { tag, attributes, children, style: {} });
	}
	set textContent(text) { this.children = [ text ]; }
	get textContent() { return this.children.map(child => child instanceof Node ? child.textContent : child).join(' '); }
	setAttribute(name, value) { this.attributes[name] = String(value); }
	append(...more) { this.children.push(...more); }
	prepend(...more) { this.children.unshift(...more); }
	remove() { this.removed = true; }
	all(tag) {
		const below = this.children.filter(child => child instanceof Node).flatMap(child => child.all(tag));
		return this.tag == tag ? [ this, ...below ] : below;
	}
	button(text) { return this.all('button').find(one => one.textContent == text); }
}

const E = (tag, attributes, children) => new Node(tag, attributes, children);
const document = { createElementNS: (space, tag) => new Node(tag) };

/* LuCI's classes: `extend` makes one with these members. */
function extend(Base) {
	return members => {
		class Extended extends Base {
			constructor(...args) {
				super(...args);
				if (members.__init__)
					members.__init__.apply(this, args);
			}
		}
		Object.assign(Extended.prototype, members);
		Extended.prototype.super = function(name, args) { return Base.prototype[name].apply(this, args); };
		Extended.extend = extend(Extended);
		return Extended;
	};
}

const baseclass = { extend: extend(Object) };

/* A module with what it requires: modules of ours are loaded, those of LuCI are in `luci`, and so are its globals. */
function load(name, luci) {
	const file = name.replace(/\./g, '/') + '.js';
	const source = fs.readFileSync(path.join(RESOURCES, file), 'utf8');
	const wants = [ ...source.matchAll(/'require ([\w.]+)(?: as (\w+))?';/g) ].map(m => [ m[1], m[2] || m[1] ]);

	assert(/^'use strict';/.test(source), file);
	assert(!/innerHTML|insertAdjacentHTML|document\.write|\beval\b/.test(source), `${file}: makes HTML of text`);
	/* LuCI's minifier sees no regular expression there, and takes the quotes in it, or behind it, for those of a string. */
	assert(!/(=>|return)\s*\/[^/*]/.test(source), `${file}: a regular expression without parentheses`);
	for (const [ , local ] of wants)
		assert(new RegExp('\\b' + local + '\\.').test(source), `${file}: ${local} is not used`);

	const globals = { _, E, document, L: luci.L, window: luci.window };
	const hidden = [ 'require', 'process', 'global', 'Buffer' ];
	const values = wants.map(([ module ]) =>
		module == 'baseclass' ? baseclass : module.startsWith('ecohttpd.') ? load(module, luci) : luci[module] || assert.fail(`${file}: no ${module}`));
	const make = new Function(...wants.map(([ , local ]) => local), ...Object.keys(globals), ...hidden, source);

	return new (make(...values, ...Object.values(globals)))();
}

/* Our modules: their names, as `require` has them. */
function modules() {
	return fs.readdirSync(path.join(RESOURCES, 'ecohttpd')).map(file => 'ecohttpd.' + path.basename(file, '.js'));
}

module.exports = { Node, RESOURCES, extend, load, modules, translated };
