'use strict';
'require baseclass';

/* Tables as LuCI has them: on a narrow screen each cell has the title of its column before it. */

/* Characters of a text that is kept on one line. A longer one may break anywhere, such as an address. */
const SHORT = 16;

function wrapping(cell) {
	return typeof(cell) == 'string' && cell.length > SHORT ? 'overflow-wrap:anywhere' : 'white-space:nowrap';
}

function row(titles, cells) {
	return E('tr', { 'class': 'tr' }, cells.map((cell, n) =>
		E('td', { 'class': 'td left', 'data-title': titles[n], 'style': wrapping(cell) }, [ cell ])));
}

return baseclass.extend({
	/* A table with a row for each array of cells, which are text or nodes; `empty` is what it says without any. */
	list: function(titles, rows, empty) {
		const heads = E('tr', { 'class': 'tr table-titles' }, titles.map(title => E('th', { 'class': 'th left' }, [ title ])));

		const table = E('table', { 'class': 'table' }, [ heads ].concat(rows.length ? rows.map(cells => row(titles, cells)) : [
			E('tr', { 'class': 'tr placeholder' }, [ E('td', { 'class': 'td', 'colspan': titles.length }, [ E('em', {}, [ empty ]) ]) ])
		]));

		/* In a narrow window that is not a phone's, it can be scrolled. */
		return E('div', { 'style': 'overflow-x:auto' }, [ table ]);
	},

	/* Names and values, one pair a row. */
	pairs: function(pairs) {
		return E('table', { 'class': 'table' }, pairs.map(([ name, value ]) => E('tr', { 'class': 'tr' }, [
			E('td', { 'class': 'td left', 'width': '33%' }, [ name ]),
			E('td', { 'class': 'td left', 'style': 'overflow-wrap:anywhere' }, [ value ])
		])));
	},

	section: function(title, content) {
		return E('div', { 'class': 'cbi-section' }, [ E('h3', {}, [ title ]) ].concat(content));
	}
});
