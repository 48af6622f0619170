//! The command line: uhttpd's letters, and long names.

use super::{Command, Config, DEFAULT_PORT, Listen};
use lexopt::{Arg, Parser};
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(feature = "tls")]
macro_rules! tls_help {
    () => {
        "\
  -s, --listen-tls [ADDR:]PORT
                             listen here for HTTPS; may be repeated; needs -C, -K
  -C, --cert FILE            certificate chain, PEM or DER
  -K, --key FILE             its private key, PEM or DER
      --self-signed          make the two files where both are missing
  -q, --redirect-https       send clients from the plain listeners to the first
                             HTTPS one, but for /.well-known/acme-challenge/
      --hsts SECS            have browsers use HTTPS alone for so long
"
    };
}

#[cfg(not(feature = "tls"))]
macro_rules! tls_help {
    () => {
        ""
    };
}

pub const HELP: &str = concat!(
    "\
Usage: ecohttpd [OPTION]...
Serves a folder over HTTP. Without options: the current folder, on port 8080.

  -h, --docroot DIR          the folder to serve (default: .)
  -p, --listen [ADDR:]PORT   listen here; may be repeated (default: 8080 on
                             every address); IPv6 in brackets, as [::1]:80;
                             port 0 picks one
",
    tls_help!(),
    "\
  -I, --index NAME           name of an index file; may be repeated; tried before
                             index.html, index.htm, default.html, default.htm
  -D, --no-dirlists          answer 403 for a folder without an index
  -S, --no-symlinks          refuse links that lead out of the folder served
      --gzip                 serve FILE.br, FILE.zst or FILE.gz for FILE to clients
                             that accept it
  -k, --http-keepalive SECS  close idle connections after SECS; 0: after each
                             reply (default: 20)
  -T, --network-timeout SECS time for a request's head, and for a client that
                             stands still (default: 30)
  -N, --max-connections N    connections at once (default: 100)
  -A, --tcp-keepalive SECS   probe silent clients every SECS; 0: never
                             (default: 0)
      --access-log           print a line for each request
  -f, --foreground           stay in the foreground, which is what it does
      --help                 print this
      --version              print the version
"
);

/// Longest time that an option takes, in seconds: a day.
const MAX_SECS: u64 = 86_400;

/// Most connections: what a process may have descriptors for on any system.
const MAX_CONNECTIONS: u64 = 1 << 20;

/// Longest time that browsers are told to use HTTPS alone, in seconds: ten years.
#[cfg(feature = "tls")]
const MAX_HSTS: u64 = 315_360_000;

/// Longest interval of TCP keep-alive probes that the kernel takes, in seconds.
const MAX_PROBE_INTERVAL: u64 = 32_767;

/// Reads the arguments, the program's name left out.
///
/// # Errors
/// One line: which option, which value, and what would be right.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let mut config = Config::default();
    let mut indexes = Vec::new();
    let mut parser = Parser::from_args(args);
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        match arg {
            Arg::Short('h') | Arg::Long("docroot") => config.docroot = docroot(&value(&mut parser, "-h", "a folder")?)?,
            Arg::Short('p') | Arg::Long("listen") => {
                config.listen.push(listen("-p", &text(&mut parser, "-p", ADDRESS)?)?)
            }
            #[cfg(feature = "tls")]
            Arg::Short('s') | Arg::Long("listen-tls") => {
                config.tls.listen.push(listen("-s", &text(&mut parser, "-s", ADDRESS)?)?);
            }
            #[cfg(feature = "tls")]
            Arg::Short('C') | Arg::Long("cert") => config.tls.cert = Some(value(&mut parser, "-C", FILE)?.into()),
            #[cfg(feature = "tls")]
            Arg::Short('K') | Arg::Long("key") => config.tls.key = Some(value(&mut parser, "-K", FILE)?.into()),
            #[cfg(feature = "tls")]
            Arg::Long("self-signed") => config.tls.self_signed = true,
            #[cfg(feature = "tls")]
            Arg::Short('q') | Arg::Long("redirect-https") => config.tls.redirect = true,
            #[cfg(feature = "tls")]
            Arg::Long("hsts") => {
                config.tls.hsts = Some(Duration::from_secs(number(&mut parser, "--hsts", 0, MAX_HSTS)?));
            }
            Arg::Short('I') | Arg::Long("index") => indexes.push(index(text(&mut parser, "-I", INDEX)?)?),
            Arg::Short('D') | Arg::Long("no-dirlists") => config.no_dirlists = true,
            Arg::Short('S') | Arg::Long("no-symlinks") => config.no_symlinks = true,
            Arg::Long("gzip") => config.gzip = true,
            Arg::Short('k') | Arg::Long("http-keepalive") => {
                config.http_keepalive = Duration::from_secs(number(&mut parser, "-k", 0, MAX_SECS)?);
            }
            Arg::Short('T') | Arg::Long("network-timeout") => {
                config.network_timeout = Duration::from_secs(number(&mut parser, "-T", 1, MAX_SECS)?);
            }
            Arg::Short('N') | Arg::Long("max-connections") => {
                let count = number(&mut parser, "-N", 1, MAX_CONNECTIONS)?;
                config.max_connections = usize::try_from(count).unwrap_or(usize::MAX);
            }
            Arg::Short('A') | Arg::Long("tcp-keepalive") => {
                let secs = number(&mut parser, "-A", 0, MAX_PROBE_INTERVAL)?;
                config.tcp_keepalive = (secs > 0).then_some(Duration::from_secs(secs));
            }
            Arg::Long("access-log") => config.access_log = true,
            Arg::Short('f') | Arg::Long("foreground") => {}
            Arg::Long("help") => return Ok(Command::Help),
            Arg::Long("version") => return Ok(Command::Version),
            Arg::Short(_) | Arg::Long(_) => return Err(format!("{}; see --help", arg.unexpected())),
            Arg::Value(word) => return Err(wrong("argument", &word, "an option; see --help")),
        }
    }
    let has_tls = config.has_tls()?;
    if config.listen.is_empty() && !has_tls {
        config.listen.push(Listen { ip: None, port: DEFAULT_PORT });
    }
    indexes.append(&mut config.index);
    config.index = indexes;
    if !config.docroot.is_dir() {
        return Err(wrong("-h", config.docroot.as_os_str(), "a folder that exists"));
    }
    Ok(Command::Serve(Box::new(config)))
}

#[cfg(feature = "tls")]
impl Config {
    /// Whether there is a TLS listener, with all that it needs.
    fn has_tls(&self) -> Result<bool, String> {
        if self.tls.listen.is_empty() {
            return if self.tls.redirect { Err("-q: there is no -s to redirect to".into()) } else { Ok(false) };
        }
        let (Some(cert), Some(key)) = (&self.tls.cert, &self.tls.key) else {
            return Err("-s: HTTPS needs a certificate and its key: -C FILE -K FILE".into());
        };
        for (option, file) in [("-C", cert), ("-K", key)] {
            if !self.tls.self_signed && !file.is_file() {
                return Err(wrong(option, file.as_os_str(), FILE));
            }
        }
        Ok(true)
    }
}

#[cfg(not(feature = "tls"))]
impl Config {
    fn has_tls(&self) -> Result<bool, String> {
        Ok(false)
    }
}

#[cfg(feature = "tls")]
const FILE: &str = "a file that exists";
const ADDRESS: &str = "[ADDR:]PORT, such as 8080, 127.0.0.1:8080 or [::1]:8080";
const INDEX: &str = "a file's name, without a slash in front";

fn wrong(option: &str, value: &OsStr, right: impl Display) -> String {
    format!("{option}: {value:?} is wrong: expected {right}")
}

fn value(parser: &mut Parser, option: &str, right: &str) -> Result<OsString, String> {
    parser.value().map_err(|_| format!("{option}: a value is missing: expected {right}"))
}

fn text(parser: &mut Parser, option: &str, right: &str) -> Result<String, String> {
    value(parser, option, right)?.into_string().map_err(|word| wrong(option, &word, right))
}

fn number(parser: &mut Parser, option: &str, min: u64, max: u64) -> Result<u64, String> {
    let right = format!("a whole number from {min} to {max}");
    let word = text(parser, option, &right)?;
    match word.parse() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(wrong(option, word.as_ref(), right)),
    }
}

fn docroot(word: &OsStr) -> Result<PathBuf, String> {
    if word.is_empty() {
        return Err(wrong("-h", word, "a folder"));
    }
    Ok(Path::new(word).to_owned())
}

fn index(word: String) -> Result<String, String> {
    if word.is_empty() || word.starts_with('/') || word.contains('\0') {
        return Err(wrong("-I", word.as_ref(), INDEX));
    }
    Ok(word)
}

fn listen(option: &str, word: &str) -> Result<Listen, String> {
    let bad = || wrong(option, word.as_ref(), ADDRESS);
    let (ip, port) = match word.rsplit_once(':') {
        None => (None, word),
        Some((host, port)) => {
            let (bracketed, host) = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
                Some(host) => (true, host),
                None => (false, host),
            };
            let ip: IpAddr = host.split('%').next().unwrap_or(host).parse().map_err(|_| bad())?;
            if ip.is_ipv6() != bracketed {
                return Err(bad());
            }
            (Some(host.to_owned()), port)
        }
    };
    // Digits alone: Rust's parser would take a sign.
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    Ok(Listen { ip, port: port.parse().map_err(|_| bad())? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &str) -> Result<Command, String> {
        parse(words.split_whitespace().map(OsString::from))
    }

    fn config(words: &str) -> Config {
        match parse_words(words) {
            Ok(Command::Serve(config)) => *config,
            other => panic!("{words}: {other:?}"),
        }
    }

    #[test]
    fn defaults_are_uhttpds() {
        let config = config("");
        assert_eq!(config.listen, [Listen { ip: None, port: 8080 }]);
        assert_eq!((config.http_keepalive.as_secs(), config.network_timeout.as_secs()), (20, 30));
        assert_eq!((config.max_connections, config.tcp_keepalive), (100, None));
        assert_eq!(config.index, ["index.html", "index.htm", "default.html", "default.htm"]);
    }

    #[test]
    fn letters_and_long_names_mean_the_same() {
        let letters = "-f -h / -p 127.0.0.1:80 -p [::1]:81 -I a -I b -D -S -k 5 -T 6 -N 7 -A 8";
        let long = "--foreground --docroot=/ --listen 127.0.0.1:80 --listen=[::1]:81 --index a --index b --no-dirlists \
                    --no-symlinks --http-keepalive 5 --network-timeout 6 --max-connections 7 --tcp-keepalive 8";
        assert_eq!(config(letters), config(long));
        assert_eq!(config(letters).index[..2], ["a", "b"]);
    }

    #[test]
    fn addresses() {
        let good = [
            ("80", None, 80),
            ("0", None, 0),
            ("0.0.0.0:80", Some("0.0.0.0"), 80),
            ("[::]:443", Some("::"), 443),
            ("[fe80::1%br-lan]:80", Some("fe80::1%br-lan"), 80),
        ];
        for (word, ip, port) in good {
            assert_eq!(listen("-p", word), Ok(Listen { ip: ip.map(String::from), port }), "{word}");
        }
        let bad = ["", ":80", "80:", "a", "+80", "65536", "localhost:80", "::1:80", "[127.0.0.1]:80", "1.2.3.4:", "-1"];
        for word in bad {
            let error = listen("-p", word).unwrap_err();
            assert!(error.contains(&format!("{word:?}")) && error.contains("[ADDR:]PORT"), "{error}");
        }
    }

    /// Arguments, and what the one line of error must name.
    const WRONG: &[(&str, &[&str])] = &[
        ("-k x", &["-k", "\"x\"", "0 to 86400"]),
        ("-k -1", &["-k", "\"-1\""]),
        ("-T 0", &["-T", "1 to"]),
        ("-N 0", &["-N", "1 to"]),
        ("-N 99999999999999999999", &["-N"]),
        ("-A 32768", &["-A", "32767"]),
        ("-h /no/such/folder", &["-h", "/no/such/folder", "exists"]),
        ("-h /dev/null", &["-h", "/dev/null"]),
        ("-I /x", &["-I", "/x"]),
        ("-p", &["-p", "missing"]),
        ("-z", &["-z"]),
        ("--nonsense", &["--nonsense"]),
        ("-D=1", &["1"]),
        ("stray", &["stray"]),
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
