//! The command line: uhttpd's letters, and long names.

use super::model::{Command, Config, DEFAULT_PORT, Listen, ProcessConfig, SiteConfig};
use super::options::{Action, OptionKind, ROWS, Row, Takes, help};
use super::{check, dump, sections};
use crate::daemon::auth::crypt_md5;
use crate::daemon::escape::{Escaped, Shown};
use crate::daemon::log;
#[cfg(feature = "terminal")]
use crate::daemon::log::AccessTarget;
use ecohttpd::syntax::decode_form;
use lexopt::{Arg, Parser};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What the command line says besides the options of a site and of the process.
#[derive(Default)]
struct Flags {
    test: bool,
    dump: bool,
    file: Option<PathBuf>,
    /// The name of an option of a site, which a file excludes.
    site_option: Option<String>,
    /// `--access-log` was given.
    #[cfg(feature = "terminal")]
    access_log: bool,
}

/// The arguments without the program's name, and the folder that relative paths start from.
pub struct CommandLine {
    pub args: Vec<OsString>,
    pub folder: PathBuf,
    /// Standard output is a terminal.
    #[cfg(feature = "terminal")]
    pub in_terminal: bool,
}

/// Reads the arguments, and again at each call the files that they name.
///
/// # Errors
/// One line: which option, which value, and what would be right.
pub fn parse(line: &CommandLine) -> Result<Command, String> {
    let mut flags = Flags::default();
    let mut process = ProcessConfig::default();
    let mut site = SiteConfig::default();
    let mut parser = Parser::from_args(line.args.iter().cloned());
    while let Some(arg) = parser.next().map_err(unexpected_value)? {
        let Some(row) = find(&arg) else { return Err(unexpected(&arg)) };
        let value = value(row, &mut parser)?;
        let OptionKind::Process(action) = row.kind else {
            flags.site_option = Some(row.name());
            #[cfg(feature = "terminal")]
            {
                flags.access_log |= row.long == "access-log";
            }
            let wrong = |right| format!("{}: {} is wrong: expected {right}", row.name(), Shown(value.as_bytes()));
            row.set(&mut site, &value).map_err(wrong)?;
            continue;
        };
        match action {
            Action::Config => flags.file = Some(value.into()),
            Action::Foreground => process.foreground = true,
            #[cfg(feature = "terminal")]
            Action::Open => process.open = true,
            Action::User => process.user = Some(value),
            Action::PidFile => process.pid_file = Some(value.into()),
            Action::Syslog => process.syslog = true,
            Action::Test => flags.test = true,
            Action::Dump => flags.dump = true,
            Action::UrlDecode => {
                let decoded = decode_form(value.as_bytes());
                return Ok(Command::Print(String::from_utf8_lossy(&decoded).into_owned()));
            }
            Action::Md5Crypt => return Ok(Command::Print(md5(&value)?)),
            Action::Help => return Ok(Command::Print(help())),
            Action::Version => {
                return Ok(Command::Print(concat!("ecohttpd ", env!("CARGO_PKG_VERSION"), "\n").into()));
            }
        }
    }
    // Who started it by hand, without a file, reads along.
    #[cfg(feature = "terminal")]
    if line.in_terminal && process.foreground && flags.file.is_none() {
        process.open = true;
        if !flags.access_log {
            site.access_log = Some(AccessTarget::Stdout);
        }
    }
    finish(flags, process, site, &line.folder)
}

fn finish(flags: Flags, process: ProcessConfig, mut site: SiteConfig, folder: &Path) -> Result<Command, String> {
    let mut config = match (flags.file, flags.site_option) {
        (Some(_), Some(option)) => return Err(format!("{option} can't be used with --config: put it into the file")),
        (Some(file), None) => sections::read(&folder.join(file))?,
        (None, _) => {
            if site.listen.is_empty() && site.tls.listen.is_empty() {
                site.listen.push(Listen { ip: None, port: DEFAULT_PORT });
            }
            Config { sites: vec![site], ..Config::default() }
        }
    };
    config.process = process;
    check::locate(&mut config, folder);
    // Before other files are merged in: the dump names them, so they would count twice.
    let dump = flags.dump.then(|| dump::dump(&mut config));
    check::complete(&mut config)?;
    if dump.is_some() && !flags.test {
        config.errors.iter().for_each(|error| log::error!("{error}"));
    }
    let config = Box::new(config);
    Ok(match dump {
        _ if flags.test => Command::Test(config),
        Some(text) => Command::Print(text),
        None => Command::Serve(config),
    })
}

fn find(arg: &Arg<'_>) -> Option<&'static Row> {
    ROWS.iter().find(|row| match *arg {
        Arg::Short(letter) => row.letter == letter,
        Arg::Long(long) => row.long == long,
        Arg::Value(_) => false,
    })
}

fn unexpected_value(error: lexopt::Error) -> String {
    match error {
        lexopt::Error::UnexpectedValue { option, value } => {
            format!("{option}: unexpected value {}; see --help", Shown(value.as_encoded_bytes()))
        }
        _ => "invalid arguments; see --help".into(),
    }
}

fn unexpected(arg: &Arg<'_>) -> String {
    match arg {
        Arg::Short(letter) => format!("unknown option -{letter}; see --help"),
        Arg::Long(name) => format!("unknown option --{}; see --help", Escaped(name.as_bytes())),
        Arg::Value(word) => format!("unexpected argument {}; see --help", Shown(word.as_encoded_bytes())),
    }
}

/// The value of an option; 1 for a flag.
fn value(row: &Row, parser: &mut Parser) -> Result<String, String> {
    let value = match row.takes() {
        Takes::Flag => return Ok("1".into()),
        Takes::Maybe => parser.optional_value(),
        Takes::Value | Takes::List => {
            let missing = |_| format!("{}: missing value: expected {}", row.name(), row.value);
            Some(parser.value().map_err(missing)?)
        }
    };
    let wrong = |value: OsString| {
        format!("{}: {} is wrong: expected {} in UTF-8", row.name(), Shown(value.as_encoded_bytes()), row.value)
    };
    value.map_or(Ok("1".into()), |value| value.into_string().map_err(wrong))
}

fn md5(text: &str) -> Result<String, String> {
    let hash = crypt_md5(text.as_bytes()).ok_or("-m: this system's crypt(3) has no MD5")?;
    Ok(hash + "\n")
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "workers")]
    use super::super::model::Language;
    use super::*;
    use crate::daemon::log::AccessTarget;

    fn line(words: &str) -> CommandLine {
        CommandLine {
            args: words.split_whitespace().map(OsString::from).collect(),
            folder: "/tmp".into(),
            #[cfg(feature = "terminal")]
            in_terminal: false,
        }
    }

    fn parse_words(words: &str) -> Result<Command, String> {
        parse(&line(words))
    }

    fn config(words: &str) -> Config {
        match parse_words(words) {
            Ok(Command::Serve(config)) => *config,
            other => panic!("{words}: {other:?}"),
        }
    }

    fn site(words: &str) -> SiteConfig {
        config(words).sites.remove(0)
    }

    #[test]
    fn defaults_are_uhttpds() {
        let site = site("");
        assert_eq!(site.listen, [Listen { ip: None, port: 8080 }]);
        assert_eq!((site.http_keepalive, site.network_timeout), (20, 30));
        assert_eq!(site.send_timeout, 300);
        assert_eq!((site.max_connections, site.tcp_keepalive), (100, 0));
        assert_eq!((site.max_requests, site.script_timeout), (3, 60));
        assert_eq!((site.chunked_body_limit, site.body_temp_path), (4096, "/tmp".into()));
        assert_eq!(site.index, ["index.html", "index.htm", "default.html", "default.htm"]);
        assert_eq!((site.realm.as_str(), site.cgi_prefix.as_str()), ("Protected Area", "/cgi-bin"));
        assert_eq!((site.ubus.prefix, site.docroot), (None, "/tmp".into()));
        assert_eq!((site.no_symlinks, site.no_dirlists, site.rfc1918_filter), (false, false, false));
    }

    /// Each option by its letter, by its long name, and what it does.
    #[test]
    fn every_option_has_its_place() {
        let same = |letters: &str, long: &str, effect: fn(&SiteConfig) -> bool| {
            let read = site(letters);
            assert!(effect(&read), "{letters}: {read:?}");
            assert_eq!(config(letters), config(long), "{letters}");
        };
        same("-h /", "--docroot=/", |s| s.docroot == Path::new("/"));
        same("-p 1.2.3.4:80", "--listen 1.2.3.4:80", |s| s.listen[0].to_string() == "1.2.3.4:80");
        same("-I a -I b", "--index a --index=b", |s| s.index[..3] == ["a", "b", "index.html"]);
        same("-E /e.html", "--error-page /e.html", |s| s.error_page.as_deref() == Some("/e.html"));
        assert_eq!(site("--fallback /app.html").fallback.as_deref(), Some("/app.html"));
        same("-y /a=/b", "--alias /a=/b", |s| s.aliases[0].to.as_deref() == Some("/b"));
        same("-S", "--no-symlinks", |s| s.no_symlinks);
        same("-D", "--no-dirlists", |s| s.no_dirlists);
        same("-b koi8-r", "--list-charset koi8-r", |s| s.list_charset == "koi8-r");
        same("-R", "--rfc1918-filter", |s| s.rfc1918_filter);
        same("-r x", "--realm x", |s| s.realm == "x");
        same("-c /dev/null", "--httpd-conf /dev/null", |s| s.httpd_conf.as_deref() == Some(Path::new("/dev/null")));
        same("-x /c/", "--cgi-prefix /c", |s| s.cgi_prefix == "/c");
        same("-i .sh=/bin/sh", "--interpreter .sh=/bin/sh", |s| s.interpreters[0].extension == ".sh");
        same("-n 9", "--max-requests 9", |s| s.max_requests == 9);
        same("-t 9", "--script-timeout 9", |s| s.script_timeout == 9);
        let bodies = site("--chunked-body-limit 64 --body-temp-path x");
        assert_eq!((bodies.chunked_body_limit, bodies.body_temp_path), (64, "/tmp/x".into()));
        same("-U /s -a -X -e 5", "--ubus-socket /s --no-ubusauth --ubus-cors --ubus-retry 5", |s| {
            let ubus = &s.ubus;
            ubus.socket == Path::new("/s") && ubus.no_auth && ubus.cors && ubus.retry == Some(5)
        });
        same("-N 7", "--max-connections 7", |s| s.max_connections == 7);
        same("-k 0", "--http-keepalive 0", |s| s.http_keepalive == 0);
        same("-T 6", "--network-timeout 6", |s| s.network_timeout == 6);
        same("-A 8", "--tcp-keepalive 8", |s| s.tcp_keepalive == 8);
        same("-C /c -K /k -P A:B", "--cert /c --key /k --ciphers A:B", |s| {
            s.tls.cert.as_deref() == Some(Path::new("/c")) && s.tls.key.is_some() && s.tls.ciphers == ["A", "B"]
        });
        assert!(config("-f").process.foreground);
        assert_eq!(site("--access-log").access_log, Some(AccessTarget::Stdout));
        assert_eq!(site("--access-log=syslog").access_log, Some(AccessTarget::Syslog));
        assert_eq!(site("--send-timeout 5").send_timeout, 5);
        assert!(site("--private-files --no-gzip --no-server-header").private_files);
    }

    /// In a terminal requests are shown, unless something else was asked for.
    #[cfg(feature = "terminal")]
    #[test]
    fn a_person_reads_along() {
        #[rustfmt::skip]
        let rows = [
            ("-f", true, Some(AccessTarget::Stdout)), ("-f", false, None), ("", true, None),
            ("-f --access-log=0", true, None), ("-f --access-log=syslog", true, Some(AccessTarget::Syslog)),
        ];
        for (words, in_terminal, target) in rows {
            let Ok(Command::Serve(config)) = parse(&CommandLine { in_terminal, ..line(words) }) else {
                panic!("{words}")
            };
            assert_eq!(config.sites[0].access_log, target, "{words} {in_terminal}");
            assert_eq!(config.process.open, in_terminal && words.starts_with("-f"), "{words} {in_terminal}");
        }
    }

    #[test]
    fn handlers_that_cannot_answer_are_left_out() {
        let luci = config("-l /cgi-bin/luci -L /no/such -o /cgi-bin/luci=/no/such");
        assert!(luci.warnings.is_empty() && luci.sites[0].handlers.is_empty(), "{luci:?}");
        for (words, named) in [("-o /metrics", "-o"), ("-L /x", "-l"), ("-H /h.json", "/h.json")] {
            let config = config(words);
            assert!(config.warnings[0].contains(named) && config.sites[0].handlers.is_empty(), "{config:?}");
        }
    }

    #[cfg(feature = "workers")]
    #[test]
    fn handlers_are_pairs() {
        let of = |words| site(words).handlers.into_iter().map(|one| (one.language, one.prefix, one.file));
        let lua = |prefix: &str, file: &str| (Language::Lua, Some(prefix.into()), Some(file.into()));
        let ucode = (Language::Ucode, Some("/metrics".into()), Some("/m".into()));
        let words = "-l / -L /a -o /metrics -O /m -l /b=/c -L x -l /y/";
        assert_eq!(of(words).collect::<Vec<_>>(), [lua("", "/a"), ucode, lua("/b", "/c"), lua("/y", "/tmp/x")]);
        let workers = site("--lua-worker /bin/l --ucode-worker=/bin/u");
        assert_eq!((workers.lua_worker.as_str(), workers.ucode_worker.as_str()), ("/bin/l", "/bin/u"));
    }

    #[test]
    fn helpers_print() {
        for (words, printed) in
            [("-d a%20b+c%zz%4", "a b c%zz%4"), ("--version", concat!("ecohttpd ", env!("CARGO_PKG_VERSION"), "\n"))]
        {
            assert!(matches!(parse_words(words), Ok(Command::Print(text)) if text == printed), "{words}");
        }
        assert!(matches!(parse_words("-m x"), Ok(Command::Print(text)) if text.starts_with("$1$")));
        assert!(matches!(parse_words("--help"), Ok(Command::Print(text)) if text.contains("-p, --listen [ADDR:]PORT")));
    }

    /// Arguments, and what the one line of error must name.
    const WRONG: &[(&str, &[&str])] = &[
        ("-k x", &["-k", "\"x\"", "0 to 86400"]),
        ("-k -1", &["-k", "\"-1\""]),
        ("-T 0", &["-T", "1 to"]),
        ("-N 0", &["-N", "1 to"]),
        ("-N 99999999999999999999", &["-N"]),
        ("-A 32768", &["-A", "32767"]),
        ("-I /x", &["-I", "/x"]),
        ("-p", &["-p", "missing", "[ADDR:]PORT"]),
        ("-p x", &["-p", "\"x\"", "[ADDR:]PORT"]),
        ("-p 80 -p 80", &["-p", "80", "already"]),
        ("-x cgi", &["-x", "\"cgi\"", "slash"]),
        ("-o metrics=/x", &["-o", "\"metrics=/x\"", "/PATH=/FILE"]),
        ("--lua-worker lua", &["--lua-worker", "\"lua\"", "/usr/bin/lua"]),
        ("--header x", &["--header", "NAME: VALUE"]),
        ("-c /no/such/file", &["-c", "/no/such/file"]),
        ("-z", &["-z"]),
        ("--nonsense", &["--nonsense"]),
        ("-D=1", &["-D", "unexpected value", "\"1\""]),
        ("stray", &["unexpected argument", "stray"]),
        ("--config /no/such", &["--config", "/no/such"]),
        ("--config /dev/null -p 80", &["-p", "--config"]),
        ("--config /dev/null", &["/dev/null", "config uhttpd"]),
    ];

    #[test]
    fn wrong_values_are_named_in_one_line() {
        for (words, named) in WRONG {
            let error = parse_words(words).unwrap_err();
            assert_eq!(error.lines().count(), 1, "{error}");
            for name in *named {
                assert!(error.contains(name), "{words}: {error}");
            }
        }
    }
}
