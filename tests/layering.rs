//! The layers of `src/`: who may use whom, and which file alone may name which crate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A layer, and the layers that it may name besides itself. The order is that of the data's way.
const LAYERS: &[(&str, &[&str])] = &[
    ("sys", &[]),
    ("buf", &[]),
    ("http", &["buf"]),
    ("rt", &["sys", "buf", "http"]),
    ("net", &["sys", "buf", "http"]),
    ("server", &["sys", "buf", "http", "rt", "net"]),
    ("files", &["sys", "buf", "http", "rt", "net", "server"]),
    // One method of `server`'s Connection that needs `files`: see the file.
    ("serve_file", &["server", "files"]),
    // The program is another crate: it has the library's public interface and nothing else.
    ("daemon", &[]),
    ("main", &["daemon"]),
];

/// A word, and the files or folders of `src/` that alone may hold it.
const WORDS: &[(&str, &[&str])] = &[
    ("mio", &["rt/", "net/"]),
    ("rustls", &["net/tls/"]),
    ("httparse", &["http/head.rs"]),
    ("unsafe", &["sys.rs", "daemon/sys/"]),
    ("unsafe_code", &["sys.rs", "daemon/sys/"]),
];

#[test]
fn layers_use_only_those_below() {
    let mut wrong = Vec::new();
    let mut uses = 0;
    for (name, code) in sources() {
        let layer = layer_of(&name);
        // The library's root names every layer: that is its purpose.
        if layer == "lib" {
            continue;
        }
        let Some((_, allowed)) = LAYERS.iter().find(|(known, _)| *known == layer) else {
            wrong.push(format!("{name}: not in the table of layers"));
            continue;
        };
        for used in paths_after(&code, "crate").chain(paths_after(&code, "super")) {
            let known = LAYERS.iter().any(|(known, _)| *known == used);
            uses += usize::from(known);
            if known && used != layer && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{name}: {layer} uses {used}"));
            }
        }
    }
    assert!(uses > 30, "only {uses} uses found: the search is broken");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn crates_and_unsafe_have_their_places() {
    let mut wrong = Vec::new();
    let mut seen = BTreeMap::new();
    for (name, code) in sources() {
        for word in words(&code) {
            let Some((word, places)) = WORDS.iter().find(|(known, _)| *known == word) else { continue };
            *seen.entry(*word).or_insert(0) += 1;
            if !places.iter().any(|place| name.starts_with(place)) {
                wrong.push(format!("{name}: {word}"));
            }
        }
    }
    for word in ["mio", "httparse", "unsafe"] {
        assert!(seen.contains_key(word), "{word} is nowhere: the search is broken");
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What a connection can do is written where connections are, but for the one file that says why it is not.
#[test]
fn connections_have_one_room() {
    let mut found = Vec::new();
    for (name, code) in sources() {
        let rest = code.split("impl").skip(1);
        if rest.into_iter().any(|rest| rest.trim_start().starts_with("Connection ")) {
            found.push(name);
        }
    }
    let (inside, outside): (Vec<&String>, Vec<&String>) = found.iter().partition(|name| name.starts_with("server/"));
    assert!(!inside.is_empty(), "the search is broken");
    assert_eq!(outside, ["serve_file.rs"]);
}

/// Constants (errno values, flags) are only numbers; calls and types belong to `sys.rs`, and the program's to `daemon/sys/`.
#[test]
fn libc_is_called_in_one_place() {
    let mut wrong = Vec::new();
    for (name, code) in sources() {
        if name == "sys.rs" {
            assert!(paths_after(&code, "libc").any(|item| item == "openat"), "the search is broken");
            continue;
        }
        if name.starts_with("daemon/sys/") {
            continue;
        }
        wrong.extend(
            paths_after(&code, "libc")
                .filter(|item| !item.starts_with(|c: char| c.is_ascii_uppercase()))
                .map(|item| format!("{name}: libc::{item}")),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The files of `src/`, by their path in it, without comments and strings.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                found.push((name, code_of(&std::fs::read_to_string(&path).unwrap())));
            }
        }
    }
    assert!(found.len() > 20, "the sources are not where they were");
    found.sort();
    found
}

/// The first part of a file's path: `http/head.rs` and `http.rs` are of the layer `http`.
fn layer_of(name: &str) -> &str {
    name.split(['/', '.']).next().unwrap_or_default()
}

/// What follows `head::` in each path of the code: one name, or those of a group in braces, or a `*`.
fn paths_after<'a>(code: &'a str, head: &'a str) -> impl Iterator<Item = String> + 'a {
    let ends = code.match_indices("::").filter(move |(at, _)| {
        let before = &code[..*at];
        before.ends_with(head) && !before[..at - head.len()].ends_with(is_name)
    });
    ends.flat_map(|(at, _)| {
        let rest = &code[at + 2..];
        let Some(group) = rest.strip_prefix('{') else { return vec![first_name(rest)] };
        let mut depth = 0;
        let group = group.split(move |c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth < 0 || c == ',' && depth == 0
        });
        // Past the closing brace the split goes on; a statement's end stops it.
        group.take_while(|piece| !piece.contains(';')).map(|piece| first_name(piece.trim_start())).collect()
    })
}

fn first_name(text: &str) -> String {
    text.chars().take_while(|&c| is_name(c) || c == '*').collect()
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c| !is_name(c))
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Removes comments, and what is in strings and characters.
fn code_of(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let mut skip = first.len_utf8();
        if rest.starts_with("//") {
            skip = rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            skip = rest.find("*/").map_or(rest.len(), |at| at + 2);
        } else if rest.starts_with("r#\"") || rest.starts_with("r\"") {
            let hashes = rest[1..].find('"').unwrap_or(0);
            let end = format!("\"{}", "#".repeat(hashes));
            let start = hashes + 2;
            skip = rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len());
        } else if first == '"' {
            skip = 1 + end_of_string(&rest[1..]);
        } else if first == '\'' {
            // A character, unless it is a lifetime.
            let mut chars = rest[1..].char_indices();
            match (chars.next(), chars.next()) {
                (Some((_, '\\')), Some((at, c))) => {
                    let from = 1 + at + c.len_utf8();
                    skip = rest[from..].find('\'').map_or(rest.len(), |end| from + end + 1);
                }
                (Some(_), Some((at, '\''))) => skip = at + 2,
                _ => code.push(first),
            }
        } else {
            code.push(first);
        }
        rest = &rest[skip..];
    }
    code
}

fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => return at + 1,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    text.len()
}

#[test]
fn the_search_sees_code_only() {
    let source =
        "a // mio\n\"unsafe \\\" x\" b '\"' c r#\"rustls \" \"# d /* libc::x() */ 'e crate::{f, g::{h}, i}; '\\'' j";
    let code = code_of(source);
    let words: Vec<&str> = words(&code).filter(|word| !word.is_empty()).collect();
    assert_eq!(words, ["a", "b", "c", "d", "e", "crate", "f", "g", "h", "i", "j"]);
    let used: Vec<String> = paths_after(&code, "crate").filter(|name| !name.is_empty()).collect();
    assert_eq!(used, ["f", "g", "i"]);
}
