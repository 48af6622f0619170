'use strict';
'require baseclass';

/* A graph of the newest values of a number, drawn as SVG. */

const SVG = 'http://www.w3.org/2000/svg';
/* Its coordinates. It is stretched to the width of the page. */
const WIDTH = 300, HEIGHT = 80;
/* Values that it holds: at one in three seconds, those of three minutes. */
const VALUES = 60;

function shape(name, attributes) {
	const element = document.createElementNS(SVG, name);

	for (const attribute in attributes)
		element.setAttribute(attribute, attributes[attribute]);

	return element;
}

/* The next of 1, 2, 5, 10, 20, 50, ..., so that the scale seldom changes. */
function roundedUp(value) {
	let scale = 1;

	for (let n = 0; scale < value; n++)
		scale *= n % 3 == 1 ? 2.5 : 2;

	return scale;
}

const Graph = baseclass.extend({
	__init__: function(title, format) {
		this.title = title;
		this.format = format;
		this.values = [];
		this.now = E('span', {}, [ '-' ]);
		this.most = E('small', { 'style': 'opacity:.7' }, []);
		this.area = shape('path', { 'fill': 'currentColor', 'fill-opacity': .2, 'stroke': 'none' });
		this.line = shape('path', { 'fill': 'none', 'stroke': 'currentColor', 'stroke-width': 1.5, 'vector-effect': 'non-scaling-stroke' });
	},

	render: function() {
		this.image = shape('svg', {
			'viewBox': '0 0 %d %d'.format(WIDTH, HEIGHT), 'preserveAspectRatio': 'none', 'role': 'img',
			'style': 'display:block;width:100%;height:%dpx;color:var(--primary-color-high,#1976d2);border:1px solid rgba(128,128,128,.4);box-sizing:border-box'.format(HEIGHT)
		});
		this.image.append(this.area, this.line);

		return E('div', { 'style': 'flex:1 1 16em;min-width:0' }, [
			E('div', { 'style': 'display:flex;justify-content:space-between;gap:1em' }, [ E('strong', {}, [ this.title ]), this.now ]),
			this.image,
			E('div', { 'style': 'text-align:right' }, [ this.most ])
		]);
	},

	/* Adds a value at the right; null is a gap, after which it begins again. */
	add: function(value) {
		this.values = value == null ? [] : this.values.concat(value).slice(-VALUES);

		const most = Math.max(0, ...this.values), scale = roundedUp(most);
		const left = WIDTH - (this.values.length - 1) * WIDTH / (VALUES - 1);
		const points = this.values.map((one, n) => '%.1f,%.1f'.format(
			left + n * WIDTH / (VALUES - 1), HEIGHT - 1 - one / scale * (HEIGHT - 4)));
		const line = points.length ? 'M' + points.join('L') : '';

		this.line.setAttribute('d', line);
		this.area.setAttribute('d', line && '%sV%dH%.1fZ'.format(line, HEIGHT, left));
		this.now.textContent = value == null ? '-' : this.format.format(value);
		this.most.textContent = _('Last 3 minutes, at most %s').format(this.format.format(most));
		this.image.setAttribute('aria-label', this.title + ': ' + this.now.textContent);
	}
});

return baseclass.extend({
	/* `format` is how a value is shown. */
	create: function(title, format) {
		return new Graph(title, format);
	}
});
