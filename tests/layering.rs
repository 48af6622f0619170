//! The layers of `src/`: who may use whom, which file alone may name which crate, and no circles between files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A layer, and the layers that it may name besides itself. The order is that of the data's way.
const LAYERS: &[(&str, &[&str])] = &[
    ("sys", &[]),
    ("buf", &[]),
    ("http", &["buf"]),
    ("websocket", &["http"]),
    ("rt", &["sys", "buf", "http"]),
    ("net", &["sys", "buf", "http"]),
    ("outbound", &["sys", "buf", "http", "rt", "net"]),
    ("server", &["sys", "buf", "http", "websocket", "rt", "net"]),
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

/// Constants (errno values, flags) are only numbers; calls and types belong to `sys.rs`, and the program's to
/// `daemon/sys/`.
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

/// Of the files and folders in one folder none uses, by whatever way, one that uses it.
///
/// What a `mod.rs` re-exports counts as the file that it comes from, and a use of what `mod.rs` itself defines as one
/// of `mod.rs`. Tests may use what they like.
#[test]
fn files_use_each_other_in_no_circle() {
    let tree = Tree::new(sources());
    assert!(tree.uses.len() > 300, "only {} uses found: the search is broken", tree.uses.len());
    let found = tree.circles();
    assert!(found.is_empty(), "files that use each other in a circle: {found:#?}");
}

fn circle(folder: &str, files: &[&String]) -> String {
    let files: Vec<&str> = files.iter().map(|file| file.as_str()).collect();
    format!("{folder}: {}", files.join(", "))
}

/// A module's path: `http/head.rs` is `["http", "head"]`, and `http/mod.rs` is `["http"]`.
type Module = Vec<String>;

/// Which module uses which.
struct Tree {
    modules: BTreeSet<Module>,
    uses: BTreeSet<(Module, Module)>,
}

impl Tree {
    fn new(sources: Vec<(String, String)>) -> Tree {
        let tests: BTreeSet<Module> = sources.iter().flat_map(|(name, code)| test_modules(name, code)).collect();
        let files: BTreeMap<Module, String> = sources
            .into_iter()
            .filter(|(name, _)| name != "main.rs")
            .map(|(name, code)| (module_of(&name), without_tests(&code).to_owned()))
            .filter(|(module, _)| !tests.contains(module))
            .collect();
        let modules = files.keys().cloned().collect();
        let names: BTreeMap<&Module, BTreeMap<String, Vec<String>>> =
            files.iter().map(|(module, code)| (module, imports(module, code, &modules))).collect();
        let mut uses = BTreeSet::new();
        for (module, code) in &files {
            for path in paths(code) {
                if let Some(used) = resolve(module, &path, &modules, &names)
                    && used != *module
                {
                    uses.insert((module.clone(), used));
                }
            }
        }
        Tree { modules, uses }
    }

    /// Each as the folder and the files in it.
    fn circles(&self) -> Vec<String> {
        let folders: BTreeSet<&[String]> =
            self.modules.iter().filter_map(|module| Some(module.split_last()?.1)).collect();
        folders.into_iter().flat_map(|folder| self.circles_in(folder)).collect()
    }

    fn circles_in(&self, folder: &[String]) -> Vec<String> {
        let file = |module: &Module| {
            let rest = module.strip_prefix(folder)?;
            Some(rest.first().map_or("mod", String::as_str).to_owned())
        };
        let mut reach: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (user, used) in &self.uses {
            if let (Some(user), Some(used)) = (file(user), file(used))
                && user != used
            {
                reach.entry(user).or_default().insert(used);
            }
        }
        // Whom each reaches through others, until nothing is added.
        let files: Vec<String> = reach.keys().cloned().collect();
        for through in &files {
            for from in &files {
                if reach[from].contains(through) {
                    let more = reach[through].clone();
                    reach.entry(from.clone()).or_default().extend(more);
                }
            }
        }
        let both = |a: &String, b: &String| reach[a].contains(b) && reach.get(b).is_some_and(|more| more.contains(a));
        let circles: BTreeSet<Vec<&String>> = files
            .iter()
            .filter(|file| both(file, file))
            .map(|file| files.iter().filter(|other| both(file, other)).collect())
            .collect();
        circles.iter().map(|files| circle(&folder.join("/"), files)).collect()
    }
}

fn module_of(name: &str) -> Module {
    let path = name.strip_suffix(".rs").unwrap();
    path.split('/').filter(|part| !matches!(*part, "mod" | "lib")).map(str::to_owned).collect()
}

/// The modules that a file declares for tests only, of a feature or of all.
fn test_modules(name: &str, code: &str) -> Vec<Module> {
    let declared = code.split("\n#[cfg(").skip(1).filter_map(|rest| {
        let (condition, item) = rest.split_once(")]\nmod ")?;
        let name = first_name(item);
        let is_test = !condition.contains('\n') && words(condition).any(|word| word == "test");
        (is_test && item[name.len()..].starts_with(';')).then_some(name)
    });
    declared.map(|child| [module_of(name), vec![child]].concat()).collect()
}

/// The code in front of `mod tests`, which is a file's last item, with whatever it is marked.
fn without_tests(code: &str) -> &str {
    let end = code.find("mod tests {").and_then(|at| code[..at].rfind("\n#[cfg("));
    let end = end.filter(|at| words(&code[*at..]).any(|word| word == "test"));
    end.map_or(code, |at| &code[..at])
}

/// Every path in the code with at least two parts, groups in braces taken apart.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = code[at..].find(is_name).map(|offset| at + offset) {
        let name = first_name(&code[start..]);
        let end = start + name.len();
        at = end;
        let continues = code[..start].ends_with("::") || code[..start].ends_with('.');
        if !continues && code[end..].starts_with("::") {
            at = tree(&code[end + 2..], vec![name], &mut found).map_or(end, |rest| code.len() - rest.len());
        }
    }
    found
}

/// Reads what follows `prefix::`, and returns what is behind it.
fn tree<'a>(code: &'a str, mut prefix: Vec<String>, found: &mut Vec<Vec<String>>) -> Option<&'a str> {
    let mut code = code;
    loop {
        if let Some(group) = code.strip_prefix('{') {
            let mut rest = group.trim_start();
            while !rest.starts_with('}') {
                rest = tree(rest, prefix.clone(), found)?.trim_start();
                rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
            }
            return rest.strip_prefix('}');
        }
        let name = first_name(code);
        if name.is_empty() {
            // A turbofish, or code that is no path.
            found.push(prefix);
            return None;
        }
        code = &code[name.len()..];
        prefix.push(name);
        match code.strip_prefix("::") {
            Some(rest) => code = rest,
            None => break,
        }
    }
    found.push(prefix);
    Some(code)
}

/// The names that a module's `use` statements bring from other modules of the tree, with their paths.
fn imports(module: &Module, code: &str, modules: &BTreeSet<Module>) -> BTreeMap<String, Vec<String>> {
    let statements = code.split(';').filter_map(|statement| {
        let (before, path) = statement.rsplit_once("use ")?;
        (!before.ends_with(is_name)).then_some(path.trim())
    });
    let found = statements.flat_map(paths).filter(|path| {
        let first = path[0].as_str();
        matches!(first, "crate" | "super" | "self")
            || modules.contains(&[module.clone(), vec![path[0].clone()]].concat())
    });
    found.map(|path| (path.last().unwrap().clone(), path)).collect()
}

/// The module that defines what the path names; `None` for what is no part of the tree.
fn resolve(
    module: &Module,
    path: &[String],
    modules: &BTreeSet<Module>,
    names: &BTreeMap<&Module, BTreeMap<String, Vec<String>>>,
) -> Option<Module> {
    let mut at = module.clone();
    for (position, name) in path.iter().enumerate() {
        match name.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => drop(at.pop()?),
            name => {
                let child = [at.clone(), vec![name.to_owned()]].concat();
                if modules.contains(&child) {
                    at = child;
                } else if position == 0 {
                    return None;
                } else {
                    let import = names.get(&at).and_then(|names| names.get(name)).filter(|import| **import != path);
                    return import.map_or(Some(at.clone()), |import| resolve(&at, import, modules, names));
                }
            }
        }
    }
    Some(at)
}

#[test]
fn circles_are_found() {
    let tree = |files: &[(&str, &str)]| {
        Tree::new(files.iter().map(|(name, code)| ((*name).to_owned(), (*code).to_owned())).collect()).circles()
    };
    let face = ("a/mod.rs", "mod b; mod c; pub use b::B; pub(crate) use c::{C, d::D};");
    let none: Vec<String> = Vec::new();
    assert_eq!(tree(&[face, ("a/b.rs", "use super::c::C;"), ("a/c.rs", "use std::a::b::B;")]), none);
    assert_eq!(tree(&[face, ("a/b.rs", "use super::c::C;"), ("a/c.rs", "fn f(b: super::b::B) {}")]), ["a: b, c"]);
    assert_eq!(tree(&[face, ("a/b.rs", "use crate::a::C;"), ("a/c.rs", "use super::{B, c::C};")]), ["a: b, c"]);
    assert_eq!(tree(&[face, ("a/b.rs", "use super::X;"), ("a/c.rs", "")]), ["a: b, mod"], "of mod.rs itself");
    let tests = "fn c() {}\n#[cfg(test)]\nmod tests { use super::super::b::B; }";
    assert_eq!(tree(&[face, ("a/b.rs", "use super::c::C;"), ("a/c.rs", tests)]), none, "tests may");
    let tests = "fn c() {}\n#[cfg(all(test, feature = \"tls\"))]\npub mod tests { use super::super::b::B; }";
    assert_eq!(tree(&[face, ("a/b.rs", "use super::c::C;"), ("a/c.rs", tests)]), none, "tests of a feature may");
    let declared = |condition| format!("pub use d::D; fn x() {{}}\n#[cfg({condition})]\nmod d;\n");
    let of_tests = |condition| tree(&[("a/mod.rs", declared(condition).as_str()), ("a/d.rs", "use super::x;")]);
    assert_eq!(of_tests("all(test, feature = \"tls\")"), none, "a file of tests may");
    assert_eq!(of_tests("feature = \"tls\""), ["a: d, mod"], "a file of a feature may not");
    let deep = ("a/c/mod.rs", "mod d; pub use d::D;");
    assert_eq!(tree(&[face, ("a/b.rs", "use super::c::D;"), deep, ("a/c/d.rs", "use crate::a::b::B;")]), ["a: b, c"]);
    let three = [face, ("a/b.rs", "use super::c::C;"), ("a/c.rs", "use super::e;"), ("a/e.rs", "use super::{b};")];
    assert_eq!(tree(&three), ["a: b, c, e"]);
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
