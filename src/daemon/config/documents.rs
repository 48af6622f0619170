//! The documents that are made from the table of options: docs/options.md, the manual page, the completions for shells.
//!
//! They are in the tests, so that the program does not carry their text. `ECOHTTPD_WRITE_DOCS=1 cargo test --bin ecohttpd
//! documents` writes the files; without the variable the test compares them.

use super::model::SiteConfig;
use super::options::{NONE, OptionKind, ROWS, Row, Takes};
use super::sections;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

/// What the documents say about an option in addition to its line in the help.
#[rustfmt::skip]
const NOTES: &[(&str, &str)] = &[
    ("docroot", "A symbolic link is resolved again each second."),
    ("listen", "Without an address: all of IPv4 and IPv6. `localhost` is `127.0.0.1` and `[::1]`."),
    ("listen-tls", "Sites that share an address share its certificates, chosen by SNI, and its `ca`."),
    ("key", "PKCS#8, PKCS#1 or SEC1; ECDSA P-256 or P-384, Ed25519, or RSA from 2048 bits."),
    ("require-client-cert", "In UCI, `1` stands for all paths."),
    ("ciphers", "Those of TLS 1.3 are always offered."),
    ("http2", "By ALPN, beside HTTP/1.1. At most 64 requests at once on a connection."),
    ("self-signed", "ECDSA P-256, for the host's name and addresses. It is renewed 30 days before it ends, and when they change."),
    ("redirect-https", "With status 307. `/.well-known/acme-challenge/` is not redirected. Neither is a client of a tunnel that ends at this host."),
    ("hsts", "RFC 6797."),
    ("server-name", "Sites that share an address are told apart by these. The one without a name answers for all other hosts."),
    ("index", "Before `index.html`, `index.htm`, `default.html` and `default.htm`. It may be a script."),
    ("fallback", "For clients that accept HTML: pages of an application that handles its own paths."),
    ("no-symlinks", "Scripts are run by descriptor, as `/proc/self/fd/3`."),
    ("private-files", "Also files in folders that not every user may enter."),
    ("header", "Not to errors. With a parameter, only if the query has it."),
    ("allow", "Such as `192.168.1.0/24`, `fd00::1`, `*`, or `unix` for clients of a Unix socket. The longest path decides."),
    ("deny", "A denied address is refused even if `allow` names it."),
    ("trusted-proxy", "The rightmost address that is not itself a trusted proxy's is the client. `X-Forwarded-Proto` is believed, too."),
    ("httpd-conf", "Lines `/path:user:password`, `A:192.168.`, `D:*`, `I:index`, `E404:/url` and `*.ext:/program`."),
    ("interpreter", "Anywhere in the site."),
    ("max-requests", "Up to 64 requests wait, in order; more are answered with 503."),
    ("script-timeout", "It also limits one ubus call."),
    ("chunked-body-limit", "A longer one is answered with 413."),
    ("body-temp-path", "Bodies up to 64 KiB stay in memory."),
    ("ubus-prefix", "Nowhere by default."),
    ("max-connections", "Of all sections together."),
    ("send-timeout", "Such as a paused player."),
    ("access-log", "On the command line `--access-log` alone is stdout. In a terminal a line is for people, and has colours unless `NO_COLOR` is set."),
    ("metrics", "In Prometheus' text format."),
    ("server-status", "The page updates itself. It shows the addresses and requests of all clients, and the latest errors of the log."),
    ("lua-prefix", "As in uhttpd: the file defines `handle_request`. Where LuCI's can't be loaded, `/cgi-bin/luci` runs as CGI."),
    ("lua-worker", "It gets the handler's file and the folder as further arguments."),
    ("ucode-prefix", "As `lua_prefix`."),
    ("config", "It can't be combined with options of a site."),
    ("foreground", "Without it: in the background, logging to syslog. In a terminal, and without `--config`: with `--open` and `--access-log`."),
    ("open", "Not in OpenWrt's packages."),
    ("dump", "Defaults are included."),
];

fn note(row: &Row) -> &'static str {
    NOTES.iter().find(|(long, _)| *long == row.long).map_or("", |(_, note)| note)
}

/// The option as it is typed: `-h`, `--docroot DIR`.
fn synopsis(row: &Row) -> (String, String) {
    let short = if row.letter == NONE { String::new() } else { format!("-{}", row.letter) };
    let value = match row.takes() {
        Takes::Flag => String::new(),
        Takes::Maybe => format!("[={}]", row.value),
        Takes::Value | Takes::List => format!(" {}", row.value),
    };
    (short, format!("--{}{value}", row.long))
}

/// The default on the command line, and that in a file if it is another.
fn defaults(row: &Row) -> String {
    let shown = |site: &mut SiteConfig| match row.kind {
        OptionKind::Flag(field) => (if *field(site) { "on" } else { "off" }).into(),
        _ => row.default(site),
    };
    let own = shown(&mut SiteConfig::default());
    let filed = if row.long == "realm" { "the host's name".into() } else { shown(&mut sections::defaults()) };
    match (own.as_str(), filed.as_str()) {
        ("", "") => String::new(),
        ("", filed) => format!("in a file: {filed}"),
        (own, filed) if own == filed || row.uci.is_empty() => own.into(),
        (own, filed) => format!("{own}; in a file: {filed}"),
    }
}

/// The first letter in upper case, a full stop at the end.
fn sentence(help: &str) -> String {
    let (first, rest) = help.split_at(1);
    format!("{}{rest}.", first.to_uppercase())
}

fn markdown() -> String {
    let mut out = String::from(
        "# Options\n\n\
         This table is made from `src/daemon/config/options.rs` by `cargo test --bin ecohttpd documents`, and so are the\n\
         manual page (`ecohttpd.8`) and the completions for shells (`ecohttpd.bash`, `ecohttpd.zsh`, `ecohttpd.fish`).\n\
         Letters are those of uhttpd. In a file (`--config`) an option has the name of the second column.\n\n\
         | option | in UCI | default | meaning |\n| --- | --- | --- | --- |\n",
    );
    for row in ROWS {
        let (short, long) = synopsis(row);
        let short = if short.is_empty() { short } else { format!("`{short}`, ") };
        let list = if row.takes() == Takes::List { "list " } else { "" };
        let uci = if row.uci.is_empty() { String::new() } else { format!("{list}`{}`", row.uci) };
        let text = format!("{} {}", sentence(row.help), note(row));
        let _ = writeln!(out, "| {short}`{long}` | {uci} | {} | {} |", defaults(row), text.trim_end());
    }
    out
}

/// Text in roff: what it takes for commands is escaped, what is in backticks becomes bold.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    let pieces = text.split('`').enumerate();
    pieces.map(|(n, piece)| if n % 2 == 1 { format!("\\fB{piece}\\fR") } else { piece.into() }).collect()
}

fn manual() -> String {
    let mut out = format!(
        ".\\\" Made from src/daemon/config/options.rs by cargo test --bin ecohttpd documents.\n\
         .TH ECOHTTPD 8 \"\" \"ecohttpd {}\" \"System Administration\"\n\
         .SH NAME\necohttpd \\- small HTTP server for routers, in place of uhttpd\n\
         .SH SYNOPSIS\n.B ecohttpd\n[\\fIOPTION\\fR]...\n.br\n.B ecohttpd\n\\-f \\-\\-config \\fIFILE\\fR\n\
         .SH DESCRIPTION\n.B ecohttpd\nserves a folder over HTTP and HTTPS, runs CGI scripts, and answers JSON\\-RPC over ubus.\n\
         Without options it serves the current folder on port 8080.\n\
         With \\fB\\-\\-config\\fR it reads a file in UCI syntax, as /etc/config/uhttpd.\n.SH OPTIONS\n",
        env!("CARGO_PKG_VERSION")
    );
    for row in ROWS {
        let (short, long) = synopsis(row);
        let short = if short.is_empty() { short } else { format!("\\fB{}\\fR, ", roff(&short)) };
        let _ = writeln!(out, ".TP\n{short}\\fB{}\\fR\n{}", roff(&long), roff(&sentence(row.help)));
        let mut more = vec![roff(note(row))];
        if !matches!(row.kind, OptionKind::Flag(_) | OptionKind::Process(_)) && !defaults(row).is_empty() {
            more.push(format!("Default: {}.", roff(&defaults(row))));
        }
        if !row.uci.is_empty() {
            let kind = if row.takes() == Takes::List { "list" } else { "option" };
            more.push(format!("In UCI: {kind} \\fB{}\\fR.", row.uci));
        }
        more.iter().filter(|line| !line.is_empty()).for_each(|line| out.push_str(&format!("{line}\n")));
    }
    out.push_str(
        ".SH SIGNALS\n.TP\n.B SIGTERM, SIGINT\nStop. Requests in flight may take five more seconds; a second signal stops at once.\n\
         .TP\n.B SIGHUP\nReload the configuration and the certificates, and reopen log files. No connection is dropped.\n\
         If something new is wrong with the configuration, the old one stays in effect.\n\
         .SH EXIT STATUS\n.TP\n.B 0\nStopped by a signal.\n.TP\n.B 1\nThe configuration is wrong.\n\
         .TP\n.B 2\nAn address could not be bound, or the system refused something else.\n\
         .SH FILES\n.TP\n.B /etc/config/uhttpd\nThe configuration on OpenWrt.\n\
         .TP\n.B /etc/httpd.conf\nLogins and more, read if it exists and \\fB\\-c\\fR names no other file.\n",
    );
    out
}

/// What completes the value of an option, in three shells.
struct Completion {
    /// An option of compgen.
    bash: &'static str,
    zsh: &'static str,
    /// Options of complete.
    fish: &'static str,
}

const FILES: Completion = Completion { bash: "-f", zsh: "_files", fish: "-rF" };
const FOLDERS: Completion = Completion { bash: "-d", zsh: "_files -/", fish: "-xa '(__fish_complete_directories)'" };
const USERS: Completion = Completion { bash: "-u", zsh: "_users", fish: "-xa '(__fish_complete_users)'" };
const NOTHING: Completion = Completion { bash: "", zsh: " ", fish: "-x" };

fn completion(row: &Row) -> Completion {
    match row.value {
        "FILE" => FILES,
        "DIR" => FOLDERS,
        "NAME" if row.long == "user" => USERS,
        _ => NOTHING,
    }
}

fn bash() -> String {
    let mut out = String::from(
        "# shellcheck shell=bash\n\
         # Completions for bash. Made from src/daemon/config/options.rs by cargo test --bin ecohttpd documents.\n\
         _ecohttpd() {\n    local word=${COMP_WORDS[COMP_CWORD]}\n    case ${COMP_WORDS[COMP_CWORD - 1]} in\n",
    );
    let names = |wanted: &str| -> Vec<String> {
        let valued = ROWS.iter().filter(|row| matches!(row.takes(), Takes::Value | Takes::List));
        let rows = valued.filter(|row| completion(row).bash == wanted);
        rows.flat_map(|row| {
            let short = (row.letter != NONE).then(|| format!("-{}", row.letter));
            short.into_iter().chain([format!("--{}", row.long)])
        })
        .collect()
    };
    for action in [FILES.bash, FOLDERS.bash, USERS.bash] {
        let names = names(action).join(" | ");
        let _ = writeln!(
            out,
            "    {names})\n        mapfile -t COMPREPLY < <(compgen {action} -- \"$word\")\n        return\n        ;;"
        );
    }
    let _ = writeln!(out, "    {}) return ;;\n    esac", names(NOTHING.bash).join(" | "));
    let all: Vec<String> = ROWS.iter().map(|row| format!("--{}", row.long)).collect();
    let _ = write!(
        out,
        "    mapfile -t COMPREPLY < <(compgen -W \"{}\" -- \"$word\")\n}}\ncomplete -F _ecohttpd ecohttpd\n",
        all.join(" ")
    );
    out
}

fn zsh() -> String {
    let mut out = String::from(
        "#compdef ecohttpd\n\
         # Completions for zsh. Made from src/daemon/config/options.rs by cargo test --bin ecohttpd documents.\n\
         _arguments -s",
    );
    // Quoted for the shell, and colons and brackets for _arguments.
    let quote = |text: &str| text.replace('\'', "'\\''").replace(':', "\\:").replace('[', "\\[").replace(']', "\\]");
    for row in ROWS {
        let (sign, plus, value) = match row.takes() {
            Takes::Flag => ("", "", String::new()),
            Takes::Maybe => ("=-", "", format!("::{}:{}", quote(row.value), completion(row).zsh)),
            Takes::Value | Takes::List => ("=", "+", format!(":{}:{}", quote(row.value), completion(row).zsh)),
        };
        let names = match row.letter {
            NONE => format!("--{}{sign}", row.long),
            letter => format!("{{-{letter}{plus},--{}{sign}}}", row.long),
        };
        let _ = write!(out, " \\\n    '*'{names}'[{}]{value}'", quote(row.help));
    }
    out.push('\n');
    out
}

fn fish() -> String {
    let mut out = String::from(
        "# Completions for fish. Made from src/daemon/config/options.rs by cargo test --bin ecohttpd documents.\n\
         complete -c ecohttpd -f\n",
    );
    for row in ROWS {
        let short = if row.letter == NONE { String::new() } else { format!("-s {} ", row.letter) };
        let value = match row.takes() {
            Takes::Flag | Takes::Maybe => "",
            Takes::Value | Takes::List => completion(row).fish,
        };
        let help = row.help.replace('\\', "\\\\").replace('\'', "\\'");
        let line = format!("complete -c ecohttpd {short}-l {} -d '{help}' {value}", row.long);
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

#[test]
fn documents_are_up_to_date() {
    let shells = [("ecohttpd.bash", bash()), ("ecohttpd.zsh", zsh()), ("ecohttpd.fish", fish())];
    for (name, text) in [("options.md", markdown()), ("ecohttpd.8", manual())].into_iter().chain(shells) {
        if std::env::var_os("ECOHTTPD_WRITE_DOCS").is_some() {
            std::fs::write(path(name), &text).unwrap();
        }
        let written = std::fs::read_to_string(path(name)).unwrap_or_default();
        let hint = "ECOHTTPD_WRITE_DOCS=1 cargo test --bin ecohttpd documents";
        assert!(written == text, "docs/{name} is out of date: run {hint}");
    }
}

#[test]
fn notes_belong_to_options() {
    for (long, _) in NOTES {
        assert!(ROWS.iter().any(|row| row.long == *long), "{long}");
    }
}

#[test]
fn options_have_names_of_their_own() {
    let mut names: Vec<String> = ROWS.iter().map(|row| format!("--{}", row.long)).collect();
    names.extend(ROWS.iter().filter(|row| row.letter != NONE).map(|row| format!("-{}", row.letter)));
    names.extend(ROWS.iter().filter(|row| !row.uci.is_empty()).map(|row| row.uci.to_owned()));
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn the_manual_page_is_clean() {
    let Ok(output) = Command::new("man").args(["--warnings", "-l"]).arg(path("ecohttpd.8")).env("LC_ALL", "C").output()
    else {
        return crate::skip::skip("no man to format the manual page");
    };
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("--docroot DIR"), "{output:?}");
}

/// What bash offers for a word after another one.
#[test]
fn bash_completes() {
    let offers = |previous: &str, word: &str| {
        let script = format!(
            ". {}; COMP_WORDS=(ecohttpd '{previous}' '{word}') COMP_CWORD=2; _ecohttpd; echo \"${{COMPREPLY[@]}}\"",
            path("ecohttpd.bash").display()
        );
        let output =
            Command::new("bash").args(["-c", &script]).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        assert!(output.stderr.is_empty(), "{output:?}");
        Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    };
    for (previous, word, offered) in [
        ("-f", "--no-d", "--no-dirlists"),
        ("-f", "--list", "--listen --listen-tls --list-charset"),
        ("-C", "Cargo.t", "Cargo.toml"),
        ("--docroot", "sr", "src"),
        ("--user", "roo", "root"),
        ("-p", "--no-d", ""),
    ] {
        match offers(previous, word) {
            Some(found) => assert_eq!(found, offered, "{previous} {word}"),
            None => return crate::skip::skip("no bash to complete"),
        }
    }
}

/// What zsh is told, by a stand-in for the function that acts on it.
#[test]
fn zsh_is_told_the_options() {
    let script = format!("_arguments() {{ print -rl -- \"$@\" }}; . {}", path("ecohttpd.zsh").display());
    let Ok(output) = Command::new("zsh").args(["-fc", &script]).output() else {
        return crate::skip::skip("no zsh to complete");
    };
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    for line in [
        "*-h+[the folder to serve]:DIR:_files -/",
        "*--docroot=[the folder to serve]:DIR:_files -/",
        "*-p+[listen here; IPv6 in brackets; port 0 picks one]:\\[ADDR\\:\\]PORT: ",
        "*--access-log=-[log requests to stdout, syslog or /FILE; 0\\: no]::WHERE: ",
        "*--user=[become this user once everything is open]:NAME:_users",
        "*--test[check the configuration, and exit\\: 0 if it is valid]",
    ] {
        assert!(told.lines().any(|found| found == line), "{line}: {told}");
    }
}

#[test]
fn fish_completes() {
    for (typed, offered) in [
        ("ecohttpd --no-d", "--no-dirlists"),
        ("ecohttpd -C Cargo.t", "Cargo.toml"),
        ("ecohttpd --docroot sr", "src/"),
        ("ecohttpd --user roo", "root"),
    ] {
        let script = format!("source {}; complete -C '{typed}'", path("ecohttpd.fish").display());
        let mut fish = Command::new("fish");
        let Ok(output) = fish.args(["--no-config", "-c", &script]).current_dir(env!("CARGO_MANIFEST_DIR")).output()
        else {
            return crate::skip::skip("no fish to complete");
        };
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.lines().any(|line| line.split('\t').next() == Some(offered)), "{typed}: {text}");
    }
}
