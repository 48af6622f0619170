//! Metrics as Prometheus reads them: its text format, version 0.0.4, with base units. The number of labels is bounded: by
//! the sections of the configuration, and by what is written here.

use super::report::{ServerStatus, resident_memory, state_label};
use crate::daemon::counters::{Counted, get};
use ecohttpd::{ConnectionState, Stats};

/// The media type of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The classes of statuses, as labels.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What kind of number it is.
#[derive(Clone, Copy)]
enum MetricKind {
    /// It grows from the start of the program on.
    Counter,
    Gauge,
}

/// A number without labels.
type PlainMetric<'a> = (MetricKind, &'a str, &'a str, u64);

/// All metrics.
pub fn text(status: &ServerStatus) -> String {
    let stats = status.monitor.stats();
    let mut out = String::with_capacity(8 << 10);
    begin(&mut out, MetricKind::Gauge, "ecohttpd_build_info", "The version of the program.");
    sample(&mut out, "ecohttpd_build_info", &[("version", env!("CARGO_PKG_VERSION"))], "1");
    push_connections(&mut out, &stats);
    push_requests(&mut out, status);
    begin(&mut out, MetricKind::Counter, "ecohttpd_tls_handshakes_total", "TLS handshakes by how they ended.");
    for (result, count) in ["full", "resumed", "failed"].iter().zip(stats.handshakes) {
        sample(&mut out, "ecohttpd_tls_handshakes_total", &[("result", result)], &count.to_string());
    }
    begin(&mut out, MetricKind::Gauge, "ecohttpd_scripts", "CGI scripts that run, and requests that wait to run one.");
    for (state, count) in [("running", Counted::ScriptsRunning), ("waiting", Counted::ScriptsWaiting)] {
        sample(&mut out, "ecohttpd_scripts", &[("state", state)], &get(count).to_string());
    }
    push_plain(&mut out, status, &stats);
    push_turns(&mut out, &stats);
    out
}

fn push_connections(out: &mut String, stats: &Stats) {
    begin(out, MetricKind::Gauge, "ecohttpd_connections", "Connections by what they are doing.");
    for (state, count) in ConnectionState::ALL.iter().zip(stats.states) {
        sample(out, "ecohttpd_connections", &[("state", state_label(*state))], &count.to_string());
    }
    begin(out, MetricKind::Gauge, "ecohttpd_connections_by_protocol", "Connections that use TLS, and HTTP/2.");
    for (protocol, count) in [("tls", stats.tls), ("http2", stats.http2)] {
        sample(out, "ecohttpd_connections_by_protocol", &[("protocol", protocol)], &count.to_string());
    }
}

fn push_requests(out: &mut String, status: &ServerStatus) {
    let name = "ecohttpd_http_requests_total";
    begin(out, MetricKind::Counter, name, "Requests by the section of the configuration and the class of the status.");
    status.each_site(&mut |site| {
        for (class, count) in CLASSES.iter().zip(site.tally.classes()) {
            sample(out, name, &[("site", site.tally.name()), ("code", class)], &count.to_string());
        }
    });
}

#[rustfmt::skip]
fn push_plain(out: &mut String, status: &ServerStatus, stats: &Stats) {
    use MetricKind::{Counter, Gauge};
    let [started, loaded] = status.times();
    let rows: [PlainMetric<'_>; 14] = [
        (Gauge, "ecohttpd_connections_max", "Connections that there may be at once.", stats.max_connections as u64),
        (Counter, "ecohttpd_connections_accepted_total", "Connections accepted.", stats.accepted),
        (Counter, "ecohttpd_connections_refused_total", "Connections closed because there was no room.", stats.refused),
        (Counter, "ecohttpd_received_bytes_total", "Bytes received, without those of TLS itself.", stats.received),
        (Counter, "ecohttpd_sent_bytes_total", "Bytes sent, without those of TLS itself.", stats.sent),
        (Counter, "ecohttpd_scripts_killed_total", "CGI scripts that were killed.", get(Counted::ScriptsKilled)),
        (Counter, "ecohttpd_ubus_calls_total", "Calls of methods over ubus.", get(Counted::UbusCalls)),
        (Counter, "ecohttpd_file_cache_hits_total", "Files sent that were held ready.", stats.file_hits),
        (Counter, "ecohttpd_file_cache_misses_total", "Files that were loaded for a request.", stats.file_misses),
        (Counter, "ecohttpd_throttled_logins_total", "Logins that had to wait, or were refused.", get(Counted::ThrottledLogins)),
        (Counter, "ecohttpd_log_lines_dropped_total", "Lines that a log did not take.", get(Counted::LinesDropped)),
        (Gauge, "ecohttpd_config_load_timestamp_seconds", "When the configuration was loaded.", loaded),
        (Gauge, "process_start_time_seconds", "When the program was started.", started),
        (Gauge, "process_resident_memory_bytes", "Resident memory.", resident_memory()),
    ];
    for (kind, name, help, value) in rows {
        begin(out, kind, name, help);
        sample(out, name, &[], &value.to_string());
    }
}

/// The histogram of the loop's turns. Its buckets are cumulative.
fn push_turns(out: &mut String, stats: &Stats) {
    const NAME: &str = "ecohttpd_loop_turn_seconds";
    describe(out, NAME, "histogram", "How long a turn of the loop took. Nobody else is served meanwhile.");
    let mut so_far = 0;
    for (n, count) in stats.turns.iter().enumerate() {
        so_far += count;
        let bound = Stats::TURN_BOUNDS.get(n).map_or_else(|| "+Inf".into(), |millis| seconds(u64::from(*millis)));
        sample(out, "ecohttpd_loop_turn_seconds_bucket", &[("le", &bound)], &so_far.to_string());
    }
    let total = u64::try_from(stats.turn_time.as_millis()).unwrap_or(u64::MAX);
    sample(out, "ecohttpd_loop_turn_seconds_sum", &[], &seconds(total));
    sample(out, "ecohttpd_loop_turn_seconds_count", &[], &so_far.to_string());
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

// --- the format ---------------------------------------------------------------------------------------

fn begin(out: &mut String, kind: MetricKind, name: &str, help: &str) {
    let kind = match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
    };
    describe(out, name, kind, help);
}

fn describe(out: &mut String, name: &str, kind: &str, help: &str) {
    for part in ["# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n"] {
        out.push_str(part);
    }
}

fn sample(out: &mut String, name: &str, labels: &[(&str, &str)], value: &str) {
    out.push_str(name);
    for (n, (label, text)) in labels.iter().enumerate() {
        out.push_str(if n == 0 { "{" } else { "," });
        out.push_str(label);
        out.push_str("=\"");
        push_label(out, text);
        out.push('"');
    }
    if !labels.is_empty() {
        out.push('}');
    }
    out.push(' ');
    out.push_str(value);
    out.push('\n');
}

/// The value of a label: only these three are special.
fn push_label(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut out = String::new();
        sample(&mut out, "a", &[("b", "x\\y\"z\nä"), ("c", "")], "1");
        sample(&mut out, "d", &[], &seconds(1_050));
        assert_eq!(out, "a{b=\"x\\\\y\\\"z\\nä\",c=\"\"} 1\nd 1.050\n");
    }
}
