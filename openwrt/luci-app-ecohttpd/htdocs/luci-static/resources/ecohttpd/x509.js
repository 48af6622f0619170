'use strict';
'require baseclass';

/*
 * Reads the subject, the names and the validity of a certificate (RFC 5280): the first one of a PEM file, or DER.
 * The browser does it, as routers have no openssl.
 */

/* A value at `at`: its tag, and the bounds of its content. Throws if it is not DER. */
function value(bytes, at, end) {
	let length = bytes[at + 1], start = at + 2;

	if (length >= 0x80) {
		start += length - 0x80;
		length = 0;
		for (let n = at + 2; n < start; n++)
			length = length * 256 + bytes[n];
	}

	/* Bytes beyond the end are undefined, which fails here, too. */
	if (!(start + length <= end))
		throw new Error('not a certificate');

	return { tag: bytes[at], start: start, end: start + length };
}

/* The values inside a value. */
function values(bytes, outer) {
	const found = [];

	for (let at = outer.start; at < outer.end; at = found[found.length - 1].end)
		found.push(value(bytes, at, outer.end));

	return found;
}

function text(bytes, one) {
	return new TextDecoder().decode(bytes.subarray(one.start, one.end));
}

function is(bytes, one, oid) {
	return oid.length == one.end - one.start && oid.every((byte, n) => bytes[one.start + n] == byte);
}

/* UTCTime and GeneralizedTime, which are in UTC here (RFC 5280, 4.1.2.5). */
function time(bytes, one) {
	let digits = text(bytes, one);

	if (one.tag == 0x17)
		digits = (+digits.slice(0, 2) < 50 ? '20' : '19') + digits;

	const [ , year, month, day, hour, minute, second ] = digits.match(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/) || [];
	return new Date(Date.UTC(+year, +month - 1, +day, +hour, +minute, +second));
}

/* The common name of a distinguished name, or an empty string. */
function commonName(bytes, name) {
	for (const set of values(bytes, name))
		for (const pair of values(bytes, set)) {
			const [ oid, content ] = values(bytes, pair);
			if (is(bytes, oid, [ 0x55, 0x04, 0x03 ]))
				return text(bytes, content);
		}

	return '';
}

function address(bytes, one) {
	const part = bytes.subarray(one.start, one.end);

	if (part.length == 4)
		return part.join('.');

	const words = [];
	for (let n = 0; n + 1 < part.length; n += 2)
		words.push((part[n] * 256 + part[n + 1]).toString(16));
	return words.join(':');
}

/* The subject's alternative names: hosts and addresses. */
function alternativeNames(bytes, extensions) {
	const names = [];

	for (const extension of extensions) {
		const fields = values(bytes, extension);
		if (!is(bytes, fields[0], [ 0x55, 0x1d, 0x11 ]))
			continue;

		const content = fields[fields.length - 1];
		for (const name of values(bytes, value(bytes, content.start, content.end)))
			if (name.tag == 0x82)
				names.push(text(bytes, name));
			else if (name.tag == 0x87)
				names.push(address(bytes, name));
	}

	return names;
}

function decode(base64) {
	return Uint8Array.from(atob(base64.replace(/\s/g, '')), char => char.charCodeAt(0));
}

return baseclass.extend({
	/* Parses the content of a file, in base64. Throws if it is not a certificate. */
	parse: function(base64) {
		let bytes = decode(base64);
		const pem = new TextDecoder('latin1').decode(bytes).match(/-----BEGIN CERTIFICATE-----([^-]*)-----END/);
		if (pem)
			bytes = decode(pem[1]);

		const certificate = values(bytes, value(bytes, 0, bytes.length));
		const fields = values(bytes, certificate[0]);
		/* The version is optional. */
		if (fields[0].tag == 0xa0)
			fields.shift();

		const [ , , issuer, validity, subject ] = fields;
		const [ notBefore, notAfter ] = values(bytes, validity).map(one => time(bytes, one));
		const wrapped = fields.find(one => one.tag == 0xa3);
		const extensions = wrapped ? values(bytes, values(bytes, wrapped)[0]) : [];

		return {
			issuer: commonName(bytes, issuer),
			subject: commonName(bytes, subject),
			names: alternativeNames(bytes, extensions),
			notBefore: notBefore,
			notAfter: notAfter
		};
	}
});
