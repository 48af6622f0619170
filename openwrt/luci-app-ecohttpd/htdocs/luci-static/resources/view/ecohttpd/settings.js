'use strict';
'require view';
'require form';
'require uci';
'require ui';
'require ecohttpd.options as options';
'require ecohttpd.service as service';
'require ecohttpd.values as values';

const PACKAGE = 'ecohttpd', BASE = 'uhttpd';

/* What a section of uhttpd has for an option of the section of the same name here, which adds to it. */
function inherited(sectionId, name) {
	return (uci.get(BASE, sectionId) || {})['.type'] == BASE ? uci.get(BASE, sectionId, name) : null;
}

/* A flag that shows what is in effect, and is stored only if that is not so without it. */
const Flag = form.Flag.extend({
	__name__: 'CBI.EcohttpdFlag',

	base: function(sectionId) {
		const value = this.inherits ? inherited(sectionId, this.option) : null;
		return value == null ? this.unset : this.normal(value);
	},

	normal: function(value) {
		return (/^(1|on|true|yes|enabled)$/i).test(value) ? '1' : '0';
	},

	load: function(sectionId) {
		const value = uci.get(PACKAGE, sectionId, this.option);
		return value == null ? this.base(sectionId) : this.normal(value);
	},

	parse: function(sectionId) {
		/* A section that has just been added is saved before it is shown. */
		if (!this.isActive(sectionId))
			return Promise.resolve();

		const value = this.formvalue(sectionId);
		return Promise.resolve(value == this.base(sectionId) ? this.remove(sectionId) : this.write(sectionId, value));
	}
});

/* A value whose placeholder is what is in effect without it. */
const Value = form.Value.extend({
	__name__: 'CBI.EcohttpdValue',

	renderWidget: function(sectionId, index, value) {
		const base = inherited(sectionId, this.option);
		this.placeholder = base == null ? this.example : String(base);
		return this.super('renderWidget', [ sectionId, index, value ]);
	}
});

/* A list that may be written as an option, in which the server finds the values. LuCI would split it at each space. */
const List = form.DynamicList.extend({
	__name__: 'CBI.EcohttpdList',

	load: function(sectionId) {
		const value = uci.get(PACKAGE, sectionId, this.option);
		return typeof(value) == 'string' ? values.list(this.kind, value) : value;
	}
});

function addLogins(option) {
	uci.sections(PACKAGE, 'httpauth').concat(uci.sections(BASE, 'httpauth')).forEach(login =>
		option.value(login['.name'], '%s (%s)'.format(login['.name'], login.prefix || '-')));
}

function addLogTargets(option) {
	option.value('', _('off'));
	option.value('syslog', _('system log'));
	option.value('/tmp/ecohttpd.log');
}

const WIDGETS = { flag: Flag, on: Flag, value: Value, list: List, log: Value, logins: List };

function addOption(section, tab, { widget, name, check, label, description, example }) {
	const option = section.taboption(tab, WIDGETS[widget], name, label, description);

	option.unset = widget == 'on' ? '1' : '0';
	option.inherits = name != 'enabled';
	option.example = option.placeholder = example;
	option.kind = check;
	if (check)
		option.validate = (sectionId, text) => text == null || text === '' || values.check(check, text);
	if (widget == 'logins')
		addLogins(option);
	if (widget == 'log')
		addLogTargets(option);
}

/* What the section of uhttpd has: lists add to each other, and values are shown as placeholders only. */
function addInherited(section) {
	const option = section.taboption('general', form.DummyValue, '_inherited', _('From uHTTPd'),
		_('The configuration of uHTTPd for this site. What is set here is added to it, or replaces it.'));

	option.rawhtml = true;
	option.cfgvalue = sectionId => {
		const base = uci.get(BASE, sectionId) || {};
		const lines = Object.keys(base).filter(name => name[0] != '.' && name != 'enabled')
			.flatMap(name => [ base[name] ].flat().map(value => name + ' ' + value));
		return lines.length ? E('pre', { 'style': 'white-space:pre-wrap;overflow-wrap:anywhere' }, [ lines.join('\n') ]) :
			E('em', {}, [ _('Nothing: this site is only configured here.') ]);
	};
}

function addSites(map) {
	const section = map.section(form.TypedSection, 'uhttpd', _('Sites'),
		_('A site with the name of a section of uHTTPd adds to it; "main" is the one with LuCI. Any other is a server of its own, or a virtual host if it shares an address.'));

	section.addremove = true;
	section.anonymous = false;
	section.addbtntitle = _('Add site');
	options.tabs.forEach(tab => {
		section.tab(tab.name, tab.title, tab.description);
		tab.options.forEach(option => addOption(section, tab.name, option));
	});
	addInherited(section);
}

function addLoginSections(map) {
	const section = map.section(form.GridSection, 'httpauth', _('Logins'),
		_('A user name and a password for what is below a path. A login takes effect at the sites that name it under Access.'));

	section.addremove = true;
	section.anonymous = false;
	section.addbtntitle = _('Add login');

	const add = (name, label, check, more) => {
		const option = Object.assign(section.option(form.Value, name, label), { rmempty: false }, more);
		option.validate = (sectionId, text) => values.check(check, text);
	};

	add('prefix', _('Path'), 'path', { placeholder: '/private' });
	add('username', _('User name'), 'user', {});
	add('password', _('Password'), 'any', {
		description: _('The password, its hash, or $p$ and the name of a user of the system for the password of that user.'),
		password: true,
		modalonly: true
	});
}

function addServer(map) {
	const section = map.section(form.NamedSection, 'global', 'ecohttpd', _('Server'));
	const jail = section.option(form.Flag, 'jail', _('Run in a jail'),
		_('Only for a server of files alone, without LuCI, scripts or ubus. It requires the package procd-ujail.'));

	jail.rmempty = false;
}

function lines(checked) {
	return E('pre', { 'style': 'white-space:pre-wrap;overflow-wrap:anywhere' }, [ checked.lines.join('\n') ]);
}

return view.extend({
	load: function() {
		return Promise.all([ uci.load(PACKAGE), uci.load(BASE).catch(() => {}) ]);
	},

	render: function() {
		const map = new form.Map(PACKAGE, _('Web server'),
			_('Settings of ecohttpd. They are added to the configuration of uHTTPd, which ecohttpd uses as well.'));

		addSites(map);
		addLoginSections(map);
		addServer(map);
		return map.render();
	},

	addFooter: function() {
		const footer = this.super('addFooter', []);
		const actions = footer.querySelector('.cbi-page-actions');

		if (actions)
			actions.prepend(E('button', {
				'class': 'btn cbi-button cbi-button-action',
				'style': 'float:left',
				'click': ui.createHandlerFn(this, 'handleTest'),
				'disabled': L.hasViewPermission() ? null : true
			}, [ _('Test the configuration') ]));

		return footer;
	},

	/* Saves the changes, which has no effect before they are applied, and has the server check them. */
	handleTest: function(ev) {
		return this.handleSave(ev).then(() => service.check()).then(checked => {
			if (this.verdict)
				this.verdict.remove();

			if (checked.code != 0)
				this.verdict = ui.addNotification(_('The configuration has errors'), lines(checked), 'danger');
			else if (checked.lines.length)
				this.verdict = ui.addNotification(_('The configuration is valid, with warnings'), lines(checked), 'warning');
			else
				this.verdict = ui.addNotification(null, E('p', {}, [ _('The configuration is valid.') ]), 'success');
		});
	},

	handleSaveApply: function(ev, mode) {
		const apply = () => ui.changes.apply(mode == '0');

		return this.handleSave(ev).then(() => service.check()).then(checked => {
			if (checked.code == 0)
				return apply();

			ui.showModal(_('The configuration has errors'), [
				E('p', {}, [ _('If it is applied, the server keeps the old configuration, or leaves out what is wrong.') ]),
				lines(checked),
				E('div', { 'class': 'right' }, [
					E('button', { 'class': 'btn cbi-button', 'click': ui.hideModal }, [ _('Back') ]), ' ',
					E('button', { 'class': 'btn cbi-button cbi-button-negative', 'click': () => { ui.hideModal(); apply(); } }, [ _('Apply anyway') ])
				])
			]);
		});
	}
});
