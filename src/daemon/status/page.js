"use strict";
// Everything is set as text, never as HTML: a request may contain anything.
const at = id => document.getElementById(id);
const el = (tag, text, name) => {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  return made;
};
const bytes = n => {
  let unit = 0;
  while (n >= 1000 && unit < 4) n /= 1024, unit++;
  return (unit && n < 10 ? n.toFixed(1) : Math.round(n)) + " " + ["B", "KiB", "MiB", "GiB", "TiB"][unit];
};
const time = s =>
  s < 60 ? s + " s" : s < 3600 ? Math.floor(s / 60) + " min" : s < 86400
    ? Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " min" : Math.floor(s / 86400) + " days";
const table = (id, columns, rows, none) => {
  const head = el("tr"), body = el("tbody"), all = el("thead");
  for (const [label, , name] of columns) head.append(el("th", label, name));
  all.append(head);
  for (const row of rows) {
    const line = el("tr");
    for (const [label, show, name] of columns) {
      const cell = el("td", show(row), name);
      cell.dataset.label = label;
      line.append(cell);
    }
    body.append(line);
  }
  if (!rows.length) {
    const line = el("tr");
    line.append(el("td", none, "none"));
    body.append(line);
  }
  at(id).replaceChildren(...rows.length ? [all, body] : [body]);
};
let last;
const show = s => {
  const now = performance.now(), c = s.connections, r = s.requests;
  // A tab that wakes up gets what has waited for it at once.
  const passed = last && Math.max(1000, now - last.now);
  const rate = (value, old) => last ? Math.max(0, (value - old(last.s)) * 1000 / passed) : 0;
  const fact = (name, value, note) => {
    const box = el("div"), dd = el("dd", value);
    dd.append(el("small", note));
    box.append(el("dt", name), dd);
    return box;
  };
  at("about").className = "";
  at("about").textContent = "ecohttpd " + s.version + ", running for " + time(s.uptime) + ", " + bytes(s.memory) + " of memory";
  at("facts").replaceChildren(
    fact("Connections", c.open + " of " + c.max, c.idle + " idle, " + c.tls + " TLS, " + c.http2 + " HTTP/2, " + c.refused + " refused"),
    fact("Requests", r.total, rate(r.total, o => o.requests.total).toFixed(1) + " a second, " + r["4xx"] + " 4xx, " + r["5xx"] + " 5xx"),
    fact("Received", bytes(s.bytes.received), bytes(rate(s.bytes.received, o => o.bytes.received)) + "/s"),
    fact("Sent", bytes(s.bytes.sent), bytes(rate(s.bytes.sent, o => o.bytes.sent)) + "/s"),
    fact("TLS handshakes", s.handshakes.full + s.handshakes.resumed, s.handshakes.resumed + " resumed, " + s.handshakes.failed + " failed"),
    fact("Scripts", s.scripts.running + " running", s.scripts.waiting + " waiting, " + s.scripts.killed + " killed"),
    fact("Calls over ubus", s.ubus_calls, s.throttled_logins + " logins slowed down"),
    fact("Files from memory", s.file_cache.hits, s.file_cache.misses + " from disk"));
  last = { s, now };
  table("clients", [
    ["Address", x => x.address], ["State", x => x.state], ["Age", x => time(x.age), "n"], ["Request", x => x.request, "w"],
    ["Protocol", x => x.protocol + (x.tls ? ", TLS" : "")],
    ["Received", x => bytes(x.received), "n"], ["Sent", x => bytes(x.sent), "n"]], s.clients, "none");
  table("sites", [["Name", x => x.name], ["Addresses", x => x.listen.join(", "), "w"], ["Requests", x => x.requests, "n"]], s.sites, "none");
  table("errors", [["Time", x => new Date(x.time * 1000).toLocaleString()], ["Message", x => x.message, "w"]], s.errors, "none");
};
const source = new EventSource(location.pathname);
source.onmessage = event => show(JSON.parse(event.data));
source.onerror = () => {
  at("about").className = "lost";
  at("about").textContent = "The server does not answer. Trying again.";
  if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
};
