//! The documents: commands are run, links lead somewhere, options exist, samples are right, code is quoted.
//!
//! A command stands in a block marked `sh`, or in a code span that begins as one of [`STARTS`]. Each needs a row in
//! [`COMMANDS`]. A sample of a configuration stands in a block marked `uci`, code in a block marked `rust`.

#![allow(clippy::unwrap_used)]
#![cfg(all(feature = "daemon", feature = "tls", feature = "ubus"))]

mod common;
mod common_config;
mod common_documents;
mod common_files;

use common::{Client, skip};
use common_config::Router;
use common_documents::Proof::{Example, Prints, Script, Serves, Tests};
use common_documents::{CI, COMMANDS, STARTS};
use common_files::{Daemon, program, request};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Marks of blocks that are known; `text` is for what is neither.
const MARKS: &[&str] = &["sh", "uci", "rust", "toml", "text"];

/// Files that are named in documents are below these.
const FOLDERS: &[&str] = &[
    ".ci/",
    "benches/",
    "cross/",
    "docs/",
    "examples/",
    "fuzz/",
    "openwrt/",
    "packaging/",
    "src/",
    "tests/",
    "target/",
];

/// Words that nobody says, and what to say instead.
const STILTED: &[(&str, &str)] = &[
    ("anew", "again, or reload"),
    ("whoever", "anyone who, or a client that"),
    ("is to be", "must be, or is"),
    ("are to be", "must be, or are"),
    ("that is none", "not a"),
];

/// Bytes of a picture.
const MAX_PICTURE: u64 = 40 << 10;

/// Lines of README, which should take two minutes to read.
const MAX_README: usize = 110;

#[test]
fn commands_are_run() {
    let mut unknown = Vec::new();
    let mut unused: BTreeSet<&str> = COMMANDS.iter().map(|(command, _)| *command).collect();
    for page in pages() {
        for command in page.commands() {
            if !COMMANDS.iter().any(|(known, _)| *known == command) {
                unknown.push(format!("{}: nothing runs {command:?}", page.name));
            }
            unused.remove(command.as_str());
        }
    }
    assert!(unknown.is_empty() && unused.is_empty(), "{unknown:#?}, in no document: {unused:#?}");
    let reached = reached();
    for (command, proof) in COMMANDS {
        println!("{command}");
        match proof {
            Serves => serves(command),
            Prints(what) => prints(command, what),
            Example(name) => answers(name),
            Tests("") => {}
            Tests(name) => assert!(root().join(format!("tests/{name}.rs")).is_file(), "{command}"),
            Script(file, part) => {
                let text = reached.get(*file).unwrap_or_else(|| panic!("{command}: nothing runs {file}"));
                assert!(text.lines().any(|line| !is_comment(line) && line.contains(part)), "{file}: no {part:?}");
            }
        }
    }
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for page in pages() {
        for link in page.links() {
            count += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { page.path.clone() } else { page.path.parent().unwrap().join(path) };
            if !target.exists() {
                wrong.push(format!("{}: {link}", page.name));
            } else if !anchor.is_empty() && !Page::read(&target).anchors().contains(anchor) {
                wrong.push(format!("{}: no heading for {link}", page.name));
            }
        }
        wrong.extend(page.absent_files().map(|file| format!("{}: no {file}", page.name)));
    }
    assert!(count > 50, "only {count} links found: the search is broken");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn options_exist() {
    let help = text(program().arg("--help"));
    let known = |option: &str| help.split([' ', ',', '\n']).any(|word| word == option);
    let uci = fs::read_to_string(root().join("docs/options.md")).unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for page in pages() {
        let ours = |code: &&str| code.starts_with('-') || code.starts_with("ecohttpd -") || code.contains(" -- -");
        let all = page.spans.iter().map(String::as_str).chain(page.blocks("sh").flat_map(str::lines));
        for code in all.filter(ours) {
            let code = code.split_once(" -- ").map_or(code, |(_, arguments)| arguments);
            for word in code.split([' ', '=', '[', ',', '`', ';']).filter(|word| is_option(word)) {
                count += 1;
                if !known(word) {
                    wrong.push(format!("{}: {word} in {code:?}", page.name));
                }
            }
        }
        // What is written in this way elsewhere may be a function or a module.
        if ["docs/configuration.md", "docs/differences-from-uhttpd.md"].contains(&page.name.as_str()) {
            let names = page.spans.iter().filter(|span| is_snake(span) && !uci.contains(&format!("`{span}`")));
            wrong.extend(names.map(|name| format!("{}: {name} is no option", page.name)));
        }
    }
    assert!(count > 50, "only {count} options found: the search is broken");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn samples_are_right() {
    let mut count = 0;
    for page in pages() {
        for sample in page.blocks("uci") {
            let router = Router::new();
            let config = routed(&router, sample);
            router.write("uhttpd", &config);
            let (status, said) = router.check();
            assert_eq!(status, Some(0), "{}: {said}\n{config}", page.name);
            assert_eq!(said, "", "{}: {config}", page.name);
            count += 1;
        }
    }
    assert!(count >= 8, "only {count} samples found");
}

#[test]
fn code_is_quoted() {
    let trimmed = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let tested = trimmed(&fs::read_to_string(root().join("tests/library_guide.rs")).unwrap());
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut count = 0;
    for page in pages() {
        for code in page.blocks("rust") {
            let lines = code.lines().skip_while(|line| line.starts_with("use ") || line.is_empty());
            let code = trimmed(&lines.collect::<Vec<_>>().join("\n"));
            assert!(tested.contains(&code), "{}: not in tests/library_guide.rs: {code}", page.name);
            count += 1;
        }
        for features in page.blocks("toml").filter_map(|block| block.split("features = [").nth(1)) {
            for feature in features.split(']').next().unwrap().split(", ").map(|name| name.trim_matches('"')) {
                assert!(manifest.contains(&format!("\n{feature} = [")), "{}: no feature {feature}", page.name);
            }
        }
    }
    assert!(count >= 8, "only {count} pieces of code found");
}

#[test]
fn they_are_plain() {
    for page in pages() {
        for (language, text) in &page.blocks {
            assert!(MARKS.contains(&language.as_str()), "{}: a block of {language:?}: {text}", page.name);
        }
        let lower = page.prose.to_lowercase();
        let words = format!(" {} ", lower.split(|c: char| !c.is_alphanumeric()).collect::<Vec<_>>().join(" "));
        for (phrase, better) in STILTED {
            assert!(!words.contains(&format!(" {phrase} ")), "{}: {phrase:?}: say {better}", page.name);
        }
    }
    let lines = fs::read_to_string(root().join("README.md")).unwrap().lines().count();
    assert!(lines <= MAX_README, "README has {lines} lines");
    for picture in fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()) {
        if picture.extension().is_some_and(|extension| extension == "png") {
            assert!(fs::metadata(&picture).unwrap().len() <= MAX_PICTURE, "{}", picture.display());
        }
    }
}

/// A document, taken apart.
struct Page {
    path: PathBuf,
    /// Its path beneath the root.
    name: String,
    /// Blocks of code, with what they are marked as.
    blocks: Vec<(String, String)>,
    /// Code within the text.
    spans: Vec<String>,
    /// All else.
    prose: String,
    headings: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All documents.
fn pages() -> Vec<Page> {
    let all = ["", "docs"].map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let paths = all.into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    pages.sort();
    assert!(pages.len() > 10, "{pages:?}");
    pages.iter().map(|path| Page::read(path)).collect()
}

impl Page {
    fn read(path: &Path) -> Page {
        let name = path.strip_prefix(root()).unwrap_or(path).to_str().unwrap().to_owned();
        let text = fs::read_to_string(path).unwrap();
        let mut page = Page {
            path: path.to_owned(),
            name,
            blocks: Vec::new(),
            spans: Vec::new(),
            prose: String::new(),
            headings: Vec::new(),
        };
        let mut block = None;
        let mut outside = String::new();
        for line in text.lines() {
            match (line.strip_prefix("```"), &mut block) {
                (Some(mark), None) => block = Some((mark.to_owned(), String::new())),
                (Some(_), Some(_)) => page.blocks.extend(block.take()),
                (None, Some((_, code))) => code.extend([line, "\n"]),
                (None, None) => {
                    page.headings.extend(line.strip_prefix('#').map(|rest| rest.trim_matches(['#', ' ']).to_owned()));
                    outside.extend([line, "\n"]);
                }
            }
        }
        assert!(block.is_none(), "{}: a block has no end", page.name);
        for (at, piece) in outside.split('`').enumerate() {
            if at % 2 == 0 { page.prose.push_str(piece) } else { page.spans.push(piece.replace('\n', " ")) }
        }
        page
    }

    fn blocks<'a>(&'a self, mark: &'a str) -> impl Iterator<Item = &'a str> {
        self.blocks.iter().filter(move |(found, _)| found == mark).map(|(_, text)| text.as_str())
    }

    fn commands(&self) -> Vec<String> {
        let lines = self.blocks("sh").flat_map(str::lines).filter(|line| !line.is_empty() && !is_comment(line));
        let is_command = |span: &&String| STARTS.iter().any(|start| span.starts_with(start));
        lines.map(String::from).chain(self.spans.iter().filter(is_command).cloned()).collect()
    }

    /// Where it links to in this repository.
    fn links(&self) -> Vec<String> {
        let found = [("](", ')'), ("src=\"", '"'), ("srcset=\"", '"')].map(|(before, end)| {
            self.prose.split(before).skip(1).filter_map(move |rest| rest.split(end).next()).collect::<Vec<_>>()
        });
        let outward = |link: &str| link.starts_with("https://") || link.starts_with("http://");
        found.concat().into_iter().filter(|link| !outward(link)).map(String::from).collect()
    }

    /// The files that it names which are not there.
    fn absent_files(&self) -> impl Iterator<Item = &String> {
        let is_path = |span: &&String| {
            FOLDERS.iter().any(|folder| span.starts_with(folder))
                && span.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c))
        };
        // What is built lies elsewhere.
        let built = |span: &&String| span.starts_with("target/");
        self.spans.iter().filter(is_path).filter(move |span| !built(span) && !root().join(span).exists())
    }

    /// The anchors of its headings, as GitHub names them.
    fn anchors(&self) -> BTreeSet<String> {
        let kept = |c: char| c.is_alphanumeric() || " -_".contains(c);
        let anchor = |heading: &String| heading.chars().filter(|&c| kept(c)).collect::<String>();
        self.headings.iter().map(|heading| anchor(heading).to_lowercase().replace(' ', "-")).collect()
    }
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// `--name` or `-x`.
fn is_option(word: &str) -> bool {
    match word.strip_prefix("--") {
        Some(name) => name.starts_with(|c: char| c.is_ascii_lowercase()),
        None => word.len() == 2 && word.starts_with('-') && word.ends_with(|c: char| c.is_ascii_alphabetic()),
    }
}

/// A name as those of options in UCI, of more than one word.
fn is_snake(span: &str) -> bool {
    span.contains('_') && span.chars().all(|c| c == '_' || c.is_ascii_lowercase())
}

/// What the checks run: `.ci/run`, the tests, and the scripts that these name, and so on; by path, with their text.
fn reached() -> BTreeMap<String, String> {
    let mut rest = BTreeMap::new();
    let mut reached = BTreeMap::new();
    for folder in ["tests", "benches", "cross", "fuzz", "packaging", "openwrt/ecohttpd", "openwrt/ecohttpd/files"] {
        for path in fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()) {
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            if name.ends_with(".rs") {
                reached.insert(name, text)
            } else {
                rest.insert(name, text)
            };
        }
    }
    // This file names all of them.
    reached.remove("tests/documents.rs");
    reached.insert(CI.to_owned(), fs::read_to_string(root().join(CI)).unwrap());
    loop {
        let named = |name: &&String| {
            let file = name.rsplit('/').next().unwrap();
            reached.values().any(|text| text.lines().any(|line| !is_comment(line) && line.contains(file)))
        };
        let Some(name) = rest.keys().find(named).cloned() else { return reached };
        let text = rest.remove(&name).unwrap();
        reached.insert(name, text);
    }
}

/// The words of a command that runs the program, behind the program's name.
fn arguments(command: &str) -> Vec<String> {
    let words = command.split_once(" -- ").or_else(|| command.split_once(' ')).unwrap().1;
    words.split(' ').map(|word| word.trim_matches('\'').to_owned()).collect()
}

/// Puts files of the router's in the place of those that a command names; ports are free ones.
fn elsewhere(router: &Router, arguments: Vec<String>) -> Vec<String> {
    let sample = Page::read(&root().join("docs/configuration.md"));
    let mut config = routed(router, sample.blocks("uci").next().unwrap());
    // Both sections share an address, so its port can't be any. What redirects can't tell that it serves.
    for line in ["list listen_http '[::]:80'", "list server_name 'photos.lan'", "option redirect_https '1'"] {
        config = config.replace(line, "");
    }
    router.write("uhttpd", config.replace("0.0.0.0:80", "127.0.0.1:0").replace("0.0.0.0:443", "127.0.0.1:0"));
    let mut before = String::new();
    let replace = |word: String| {
        let replaced = match word.as_str() {
            "127.0.0.1:8080" | "127.0.0.1:8443" => "127.0.0.1:0".to_owned(),
            "8080" if before == "-p" => "0".to_owned(),
            "/www" => router.path("root"),
            "/etc/config/uhttpd" => router.path("uhttpd"),
            path if path.starts_with("target/") => router.path(&path["target/".len()..]),
            folder if before == "-h" => root().join(folder).to_str().unwrap().to_owned(),
            same => same.to_owned(),
        };
        before = word;
        replaced
    };
    arguments.into_iter().map(replace).collect()
}

/// The program serves by this command.
fn serves(command: &str) {
    let router = Router::new();
    let mut arguments = elsewhere(&router, arguments(command));
    let secure = arguments.iter().any(|word| word == "-s");
    if secure {
        // What waits for the start knows HTTP alone.
        arguments.extend(["-p", "127.0.0.1:0"].map(String::from));
    }
    let daemon = Daemon::run(program().args(&arguments), 1);
    if secure {
        let line = daemon.line();
        let addr: SocketAddr = line.split("https://").nth(1).unwrap().trim_end_matches('/').parse().unwrap();
        let mut client = Client::connect(addr);
        client.send(request("GET", "/", &[], true));
        assert_eq!(client.read_response().status, 400, "{command}: HTTPS must be used there");
    } else {
        assert_eq!(daemon.get("/").status, 200, "{command}");
    }
}

/// The program does what it is asked for, and ends well.
fn prints(command: &str, what: &str) {
    let router = Router::new();
    let output = text(program().args(elsewhere(&router, arguments(command))));
    assert!(output.contains(what), "{command}: {output}");
}

/// What a command prints that ends well.
fn text(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// An example that runs; ended when dropped.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The example answers. `cargo test` has built it, beside this program.
fn answers(example: &str) {
    let program = std::env::current_exe().unwrap().parent().unwrap().join("../examples").join(example);
    if !program.exists() {
        return skip(&format!("in part: the example {example} is not built: cargo build --examples"));
    }
    // Workers share their port, so it must be known: it is held by a socket that does not listen.
    let held = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    held.set_reuse_port(true).unwrap();
    held.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let addr = match example {
        "workers" => held.local_addr().unwrap().as_socket().unwrap(),
        _ => (Ipv4Addr::LOCALHOST, 0).into(),
    };
    let mut child = Command::new(program).arg(addr.to_string()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let started = Started(child);
    let line = lines.map(Result::unwrap).find(|line| line.contains("listening on ")).expect("it did not start");
    let addr: SocketAddr = line.split("http://").nth(1).unwrap().parse().unwrap();
    // The workers may not listen yet.
    let start = std::time::Instant::now();
    while std::net::TcpStream::connect(addr).is_err() {
        assert!(start.elapsed() < common::PATIENCE, "{example} does not listen");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let mut client = Client::connect(addr);
    client.send(request("GET", "/", &[], true));
    assert_eq!(client.read_response().status, 200, "{example}");
    drop(started);
}

/// A sample of a configuration as it is for a router: whole, and with paths that are there.
fn routed(router: &Router, sample: &str) -> String {
    router.write("root/photos/x", "");
    // What is not there would be made, and the rest not looked at.
    let (cert, key) = self_signed();
    router.write("clients.pem", &cert);
    router.write("cert", &cert);
    router.write("key", key);
    let mut config = String::new();
    let mut section = String::new();
    let is_section = |line: &&str| line.starts_with("config ");
    if !sample.lines().any(|line| is_section(&line)) {
        section.push_str("config uhttpd main\n");
    }
    for line in sample.lines().chain(["config end"]) {
        if is_section(&line) {
            complete(&mut section, router);
            config.push_str(&std::mem::take(&mut section));
        }
        section.extend([line, "\n"]);
    }
    let paths = [("'/www'", "root"), ("'/mnt/photos'", "root/photos"), ("'/etc/ssl/clients.pem'", "clients.pem")];
    for (path, here) in paths {
        config = config.replace(path, &format!("'{}'", router.path(here)));
    }
    config
}

/// Adds what a section of a sample leaves out, as it stands elsewhere or has a default that is for a router.
fn complete(section: &mut String, router: &Router) {
    if !section.starts_with("config uhttpd") {
        return;
    }
    let has = |section: &str, name: &str| section.contains(&format!(" {name} "));
    if !has(section, "listen_http") && !has(section, "listen_https") {
        section.push_str(" list listen_http '127.0.0.1:0'\n");
    }
    if !has(section, "home") {
        section.push_str(&format!(" option home '{}'\n", router.path("root")));
    }
    if has(section, "listen_https") {
        section.push_str(&format!(" option cert '{}'\n option key '{}'\n", router.path("cert"), router.path("key")));
    }
}

/// A certificate, which passes for an authority's as well, and its key, PEM.
fn self_signed() -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}
