//! What holds in every file: how long it may be, how header names are written, and which words no comment uses.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

/// Lines of a file with its tests: more is hard to keep in mind at once.
const LINES: usize = 600;

/// What a header's name is passed to, to be sent.
const SETTERS: [&str; 6] =
    ["add_header(", "append_header(", "append_header_bytes(", "with_header(", "response.set(", "response.append("];

/// Words that nobody says any more. tests/documents.rs has what to say instead.
const STILTED: [&str; 6] = ["anew", "whoever", "is to be", "are to be", "that is none", "obey"];

#[test]
fn files_are_short() {
    let long: Vec<String> = ["src", "tests", "examples", "benches"]
        .into_iter()
        .flat_map(files)
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > LINES)
        .map(|(name, lines)| format!("{name}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

/// Simple clients compare the letters of names. So they are written in the usual case, though none matters by RFC 9110 §5.1.
#[test]
fn header_names_are_written_in_one_case() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (name, text) in ["src", "examples"].into_iter().flat_map(files) {
        let code = text.split("mod tests {").next().unwrap();
        for header in SETTERS.iter().flat_map(|setter| literals_after(code, setter)) {
            seen += 1;
            if !header.split('-').all(|word| word.starts_with(|c: char| c.is_ascii_uppercase())) {
                wrong.push(format!("{name}: {header}"));
            }
        }
    }
    assert!(seen > 20, "only {seen} names found: the search is broken");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn comments_are_plain() {
    let mut wrong = Vec::new();
    for (name, text) in ["src", "tests", "examples", "benches"].into_iter().flat_map(files) {
        for comment in text.lines().filter_map(|line| line.split_once("//")).map(|(_, comment)| comment) {
            let words: Vec<String> = comment.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase).collect();
            let words = format!(" {} ", words.join(" "));
            wrong.extend(
                STILTED
                    .iter()
                    .filter(|phrase| words.contains(&format!(" {phrase} ")))
                    .map(|phrase| format!("{name}: {phrase}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The string literals that directly follow `before`.
fn literals_after<'a>(code: &'a str, before: &str) -> Vec<&'a str> {
    code.split(before).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next()).collect()
}

/// The Rust files of a folder of this repository: their paths, and their text.
fn files(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> = vec![root.join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "{folder}: nothing there");
    found
}
