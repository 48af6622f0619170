//! The text of files in /etc/config and of `uci export`, read as libuci reads it.

use crate::daemon::escape::Shown;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Longest text in bytes: hundreds of times any router's configuration, and still little memory.
const MAX_TEXT: usize = 1 << 20;
/// Most sections of a text, and options of a section: they are searched one by one.
const MAX_ENTRIES: usize = 1024;

/// One `config` and what stands below it.
#[cfg_attr(test, derive(Clone, Debug, PartialEq))]
pub struct Section {
    pub kind: String,
    /// `None`: an anonymous section.
    pub name: Option<String>,
    /// Where it begins, from 1.
    pub line: usize,
    pub options: Vec<Opt>,
}

/// One option, or all the `list` lines of a name.
#[cfg_attr(test, derive(Clone, Debug, PartialEq))]
pub struct Opt {
    pub name: String,
    /// Where it was last set or added to.
    pub line: usize,
    pub value: UciValue,
}

/// The value of an option.
#[cfg_attr(test, derive(Clone, Debug, PartialEq))]
pub enum UciValue {
    Single(String),
    List(Vec<String>),
}

/// What is wrong with a text, and where.
#[derive(Debug)]
#[cfg_attr(test, derive(PartialEq))]
pub struct UciError {
    pub line: usize,
    pub what: String,
}

impl fmt::Display for UciError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// Reads a file, up to one byte more than is accepted: it may be endless.
///
/// # Errors
/// What the system answers.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_TEXT as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// Reads a whole text; `package` lines are checked and otherwise ignored.
///
/// As in libuci, sections of one name are one, an option's later value replaces the earlier, `list` after `option`
/// keeps the option's value as its first, an empty value counts as no option, and `#` begins a comment even within an
/// unquoted word. Unlike libuci, which drops what follows it, `;` ends an unquoted word properly. Bytes that are not
/// UTF-8 become U+FFFD.
pub fn parse(text: &[u8]) -> Result<Vec<Section>, UciError> {
    let mut parser = Parser { text, at: 0, line: 1, sections: Vec::new(), current: None };
    if text.len() > MAX_TEXT {
        return Err(parser.error(format!("longer than {MAX_TEXT} bytes")));
    }
    parser.text()?;
    Ok(parser.sections)
}

/// A position in the text, and what was read before it.
struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
    sections: Vec<Section>,
    /// The index of the section that options go to.
    current: Option<usize>,
}

impl Parser<'_> {
    fn text(&mut self) -> Result<(), UciError> {
        while let Some(byte) = self.peek() {
            match byte {
                b';' | b'\n' => self.bump(),
                b'#' => self.comment(),
                byte if is_blank(byte) => self.bump(),
                _ => self.statement()?,
            }
        }
        Ok(())
    }

    fn statement(&mut self) -> Result<(), UciError> {
        let line = self.line;
        match self.command() {
            b"package" | b"p" => {
                let name = self.required("package needs a name")?;
                self.check(&name, "package name", |byte| is_name(byte) || byte == b'-')?;
            }
            b"config" | b"c" => {
                let kind = self.required("config needs a type")?;
                self.check(&kind, "section type", |byte| byte.is_ascii_graphic())?;
                let name = self.word()?;
                self.check(&name, "section name", is_name)?;
                self.open(kind, name, line)?;
            }
            command @ (b"option" | b"o" | b"list" | b"l") => {
                let list = command.starts_with(b"l");
                let name = self.required("option or list needs a name")?;
                self.check(&name, "option name", is_name)?;
                let value = self.word()?;
                self.set(name, value, list, line)?;
            }
            other => {
                let shown = String::from_utf8_lossy(other).chars().take(32).collect::<String>();
                let what = format!("{} is not one of package, config, option, list", Shown(shown.as_bytes()));
                return Err(UciError { line, what });
            }
        }
        self.end()
    }

    /// The first word of a statement, which has no quotes.
    fn command(&mut self) -> &[u8] {
        let start = self.at;
        while self.peek().is_some_and(|byte| !is_blank(byte) && !matches!(byte, b'\n' | b';')) {
            self.bump();
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// The next word of the statement; empty at its end.
    fn word(&mut self) -> Result<String, UciError> {
        let mut word = Vec::new();
        self.blanks();
        let line = self.line;
        while let Some(byte) = self.peek() {
            match byte {
                b'\'' | b'"' => self.quoted(byte, &mut word)?,
                b'\\' => self.escaped(&mut word),
                b'#' | b';' | b'\n' => break,
                byte if is_blank(byte) => break,
                byte => {
                    word.push(byte);
                    self.bump();
                }
            }
        }
        if word.contains(&0) {
            return Err(UciError { line, what: "a NUL byte in a word".into() });
        }
        // One value in a legacy charset must not make the whole file unreadable.
        Ok(String::from_utf8_lossy(&word).into_owned())
    }

    fn required(&mut self, otherwise: &str) -> Result<String, UciError> {
        let line = self.line;
        match self.word()? {
            word if word.is_empty() => Err(UciError { line, what: otherwise.into() }),
            word => Ok(word),
        }
    }

    /// From one quote to the matching one, possibly over several lines.
    fn quoted(&mut self, quote: u8, word: &mut Vec<u8>) -> Result<(), UciError> {
        let line = self.line;
        self.bump();
        while let Some(byte) = self.peek() {
            match byte {
                b'\\' if quote == b'"' => self.escaped(word),
                byte => {
                    self.bump();
                    if byte == quote {
                        return Ok(());
                    }
                    word.push(byte);
                }
            }
        }
        Err(UciError { line, what: format!("unterminated {}", char::from(quote)) })
    }

    /// A backslash and what follows it: a literal byte, or a line end that is ignored.
    fn escaped(&mut self, word: &mut Vec<u8>) {
        self.bump();
        match self.text.get(self.at..) {
            Some([b'\r', b'\n', ..]) => {
                self.bump();
                self.bump();
            }
            Some([b'\n', ..]) => self.bump(),
            Some([byte, ..]) => {
                word.push(*byte);
                self.bump();
            }
            _ => {}
        }
    }

    /// Requires that the statement has no more words. Empty ones are allowed.
    fn end(&mut self) -> Result<(), UciError> {
        self.blanks();
        while !matches!(self.peek(), None | Some(b'\n' | b';' | b'#')) {
            let line = self.line;
            if !self.word()?.is_empty() {
                return Err(UciError { line, what: "too many words: a value with spaces needs quotes".into() });
            }
            self.blanks();
        }
        Ok(())
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.bump();
        }
    }

    fn comment(&mut self) {
        while self.peek().is_some_and(|byte| byte != b'\n') {
            self.bump();
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn bump(&mut self) {
        self.line += usize::from(self.peek() == Some(b'\n'));
        self.at += 1;
    }

    fn check(&self, name: &str, role: &str, good: impl Fn(u8) -> bool) -> Result<(), UciError> {
        if name.bytes().all(good) {
            return Ok(());
        }
        Err(self.error(format!("{} is not a valid {role}: expected letters, digits and _", Shown(name.as_bytes()))))
    }

    fn error(&self, what: String) -> UciError {
        UciError { line: self.line, what }
    }

    /// Begins a section, or continues the one of that name.
    fn open(&mut self, kind: String, name: String, line: usize) -> Result<(), UciError> {
        let name = Some(name).filter(|name| !name.is_empty());
        let known = self.sections.iter().position(|section| name.is_some() && section.name == name);
        if let Some(section) = known.and_then(|index| self.sections.get(index)) {
            if section.kind != kind {
                let name = name.unwrap_or_default();
                let what =
                    format!("{kind} '{name}' has the same name as the {} in line {}", section.kind, section.line);
                return Err(UciError { line, what });
            }
            self.current = known;
            return Ok(());
        }
        if self.sections.len() == MAX_ENTRIES {
            return Err(UciError { line, what: format!("more than {MAX_ENTRIES} sections") });
        }
        self.current = Some(self.sections.len());
        self.sections.push(Section { kind, name, line, options: Vec::new() });
        Ok(())
    }

    fn set(&mut self, name: String, value: String, list: bool, line: usize) -> Result<(), UciError> {
        let section = self.current.and_then(|index| self.sections.get_mut(index));
        let Some(section) = section else {
            return Err(UciError { line, what: format!("{name} before the first config") });
        };
        if value.is_empty() && !list {
            return Ok(());
        }
        let known = section.options.iter_mut().find(|option| option.name == name);
        if let Some(option) = known {
            option.line = line;
            option.value.set(value, list);
            return Ok(());
        }
        if section.options.len() == MAX_ENTRIES {
            return Err(UciError { line, what: format!("more than {MAX_ENTRIES} options in a section") });
        }
        let value = if list { UciValue::List(vec![value]) } else { UciValue::Single(value) };
        section.options.push(Opt { name, line, value });
        Ok(())
    }
}

impl UciValue {
    fn set(&mut self, value: String, list: bool) {
        match self {
            UciValue::List(values) if list => values.push(value),
            UciValue::Single(first) if list => *self = UciValue::List(vec![std::mem::take(first), value]),
            _ => *self = UciValue::Single(value),
        }
    }
}

/// C's isspace, less the end of the line.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One line a section and an option, to compare with.
    fn summary(text: &[u8]) -> String {
        let sections = match parse(text) {
            Ok(sections) => sections,
            Err(error) => return error.to_string(),
        };
        let mut shown = Vec::new();
        for section in sections {
            shown.push(format!("{}:{}", section.kind, section.name.as_deref().unwrap_or("@")));
            shown.extend(section.options.iter().map(|option| match &option.value {
                UciValue::Single(value) => format!("{}={value}", option.name),
                UciValue::List(values) => format!("{}=[{}]", option.name, values.join("|")),
            }));
        }
        shown.join(" ")
    }

    #[test]
    fn statements() {
        #[rustfmt::skip]
        let rows: &[(&str, &str, &str)] = &[
            ("", "", "nothing"),
            ("\n \t\r\n# config a\n", "", "blanks and comments"),
            ("config a", "a:@", "no end of line"),
            ("config a b\n", "a:b", "a name"),
            ("config 'a' ''\n", "a:@", "an empty name is none"),
            ("c a\no b c\nl d e\n", "a:@ b=c d=[e]", "short commands"),
            ("package x-1\nconfig a\n", "a:@", "uci export"),
            ("config a\r\n\toption b c\r\n", "a:@ b=c", "lines that end in CR LF"),
            ("config a\noption b 1\noption c 2\noption b 3\n", "a:@ b=3 c=2", "the later option"),
            ("config a\nlist b 1\noption c x\nlist b 2\n", "a:@ b=[1|2] c=x", "a list gathers"),
            ("config a\noption b 1\nlist b 2\n", "a:@ b=[1|2]", "list after option"),
            ("config a\nlist b 1\nlist b 2\noption b 3\n", "a:@ b=3", "option after list"),
            ("config a\noption b 1\noption b ''\noption c\n", "a:@ b=1", "an empty option is none"),
            ("config a\nlist b ''\nlist b\n", "a:@ b=[|]", "an empty item is one"),
            ("config a n\noption b 1\nconfig c\nconfig a n\noption d 2\n", "a:n b=1 d=2 c:@", "one name, one section"),
            ("config a\nconfig a\n", "a:@ a:@", "anonymous sections stay apart"),
            ("config a;option b 'c';option d e\n", "a:@ b=c d=e", "semicolons"),
            ("config a ; ;\n", "a:@", "empty statements"),
            ("config a-b.c!\n", "a-b.c!:@", "types may have more than names"),
            ("option b c\n", "line 1: b before the first config", "option first"),
            ("\nconfig\n", "line 2: config needs a type", "no type"),
            ("package\n", "line 1: package needs a name", "no package"),
            ("config a\noption\n", "line 2: option or list needs a name", "no option"),
            ("config a\noption b c d\n", "line 2: too many words: a value with spaces needs quotes", "three words"),
            ("configs a\n", "line 1: \"configs\" is not one of package, config, option, list", "unknown"),
            ("config\"a\"\n", "line 1: \"config\\\"a\\\"\" is not one of package, config, option, list", "quote"),
            ("config a\noption b-c d\n", "line 2: \"b-c\" is not a valid option name: expected letters, digits and _", "dash"),
            ("config a b-c\n", "line 1: \"b-c\" is not a valid section name: expected letters, digits and _", "dash"),
            ("config 'a b'\n", "line 1: \"a b\" is not a valid section type: expected letters, digits and _", "blank"),
            ("config a n\nconfig b n\n", "line 2: b 'n' has the same name as the a in line 1", "two types, one name"),
        ];
        for (text, expected, name) in rows {
            assert_eq!(summary(text.as_bytes()), *expected, "{name}");
        }
    }

    #[test]
    fn quoting() {
        #[rustfmt::skip]
        let rows: &[(&[u8], &str, &str)] = &[
            (b"v", "v", "plain"),
            (b"'a b'", "a b", "single"),
            (b"\"a b\"", "a b", "double"),
            (b"'a'\\''b'", "a'b", "a quote as uci prints it"),
            (b"a'b'\"c\"d", "abcd", "all in one word"),
            (b"'a\\b\"#;'", "a\\b\"#;", "all is literal in single quotes"),
            (b"\"a\\b\\\"\\\\'#;\"", "ab\"\\'#;", "backslashes in double quotes"),
            (b"a\\ b\\#\\;\\'", "a b#;'", "backslashes outside"),
            (b"'a\n b'", "a\n b", "a value of two lines"),
            (b"\"a\n b\"", "a\n b", "a value of two lines, double"),
            (b"'a\\\nb'", "a\\\nb", "no continuation in single quotes"),
            (b"\"a\\\nb\"", "ab", "continuation in double quotes"),
            (b"a\\\nb", "ab", "continuation outside"),
            (b"a\\\r\nb", "ab", "continuation with CR LF"),
            (b"a # b", "a", "a comment"),
            (b"a#b", "a", "a comment within a word"),
            (b"'a'#b", "a", "a comment after a quote"),
            (b"a\\", "a", "a backslash at the end"),
            (b"a '' \\\n\n", "a", "empty words after it"),
            (b"0.0.0.0:80", "0.0.0.0:80", "an address"),
            (b"[::]:80", "[::]:80", "an IPv6 address"),
            (b"$p$root", "$p$root", "a password"),
            ("'Zürich'".as_bytes(), "Zürich", "UTF-8"),
            (b"'Z\xfcrich'", "Z\u{fffd}rich", "not UTF-8"),
        ];
        for (word, expected, name) in rows {
            let text = [b"config a\noption v ", *word].concat();
            assert_eq!(summary(&text), format!("a:@ v={expected}"), "{name}");
        }
        #[rustfmt::skip]
        let bad: &[(&[u8], &str)] = &[
            (b"'a\nb\n", "line 2: unterminated '"),
            (b"\"a\\\"", "line 2: unterminated \""),
            (b"a\0b", "line 2: a NUL byte in a word"),
            (b"a\\\n b", "line 3: too many words: a value with spaces needs quotes"),
        ];
        for (word, expected) in bad {
            assert_eq!(summary(&[b"config a\noption v ", *word].concat()), *expected);
        }
        assert_eq!(summary(b"# \xff\0\nconfig a # \xff\n"), "a:@", "a comment may hold anything");
    }

    #[test]
    fn lines_are_counted() {
        let sections = parse(b"\nconfig a\n\toption b 'x\ny'\n\n\toption c \\\nd\n\tlist e 1\n\tlist e 2\n").unwrap();
        assert_eq!(sections[0].line, 2);
        assert_eq!(sections[0].options.iter().map(|option| option.line).collect::<Vec<_>>(), [3, 6, 9]);
    }

    #[test]
    fn bounds() {
        assert_eq!(summary(&vec![b'\n'; MAX_TEXT + 1]), "line 1: longer than 1048576 bytes");
        assert_eq!(summary(&vec![b'\n'; MAX_TEXT]), "");
        let sections = "config a\n".repeat(MAX_ENTRIES + 1);
        assert_eq!(summary(sections.as_bytes()), "line 1025: more than 1024 sections");
        let options: String = (0..=MAX_ENTRIES).map(|i| format!("option o{i} v\n")).collect();
        let text = format!("config a\n{options}");
        assert_eq!(summary(text.as_bytes()), "line 1026: more than 1024 options in a section");
    }

    /// The shape of the file that OpenWrt ships: tabs between words, comments at every place.
    const SHIPPED: &str = "# The web server\nconfig uhttpd main\n\n\t# plain\n\tlist listen_http\t0.0.0.0:80\n\
        \tlist listen_http\t[::]:80\n\n\t# encrypted\n\tlist listen_https\t0.0.0.0:443\n\tlist listen_https\t[::]:443\n\
        \toption redirect_https\t0\n\n\toption home\t\t/www\n\toption rfc1918_filter 1\n\toption max_requests 3\n\
        \toption max_connections 100\n\toption cert\t\t/etc/uhttpd.crt\n\toption key\t\t/etc/uhttpd.key\n\
        \toption cgi_prefix\t/cgi-bin\n#\tlist interpreter\t\".php=/usr/bin/php-cgi\"\n\
        \tlist lua_prefix\t\t\"/cgi-bin/luci=/usr/lib/lua/luci/sgi/uhttpd.lua\"\n#\toption ubus_prefix\t/ubus\n\
        \toption script_timeout\t60\n\toption network_timeout\t30\n\toption http_keepalive\t20\n\
        \toption tcp_keepalive\t1\n#\toption realm\tOpenWrt\n#\tlist httpauth prefix_user\n\n\n# for certificates\n\
        config cert defaults\n\n\toption days\t\t397\n\toption key_type\t\tec\n\toption bits\t\t2048\n\
        \toption ec_curve\t\tP-256\n\toption country\t\tZZ\n\toption state\t\tSomewhere\n\
        \toption location\t\tUnknown\n\toption commonname\t'%D'\n\n# config httpauth prefix_user\n\
        #\toption prefix /protected\n#\toption password 'p'\n";

    #[test]
    fn the_shipped_file() {
        let expected = "uhttpd:main listen_http=[0.0.0.0:80|[::]:80] listen_https=[0.0.0.0:443|[::]:443] \
            redirect_https=0 home=/www rfc1918_filter=1 max_requests=3 max_connections=100 cert=/etc/uhttpd.crt \
            key=/etc/uhttpd.key cgi_prefix=/cgi-bin lua_prefix=[/cgi-bin/luci=/usr/lib/lua/luci/sgi/uhttpd.lua] \
            script_timeout=60 network_timeout=30 http_keepalive=20 tcp_keepalive=1 cert:defaults days=397 \
            key_type=ec bits=2048 ec_curve=P-256 country=ZZ state=Somewhere location=Unknown commonname=%D";
        assert_eq!(summary(SHIPPED.as_bytes()), expected);
        // What uci export makes of it says the same.
        let exported = print(&parse(SHIPPED.as_bytes()).unwrap());
        assert!(exported.contains("\tlist listen_http '[::]:80'\n"));
        assert_eq!(summary(exported.as_bytes()), expected);
        for cut in 0..exported.len() {
            // Whatever is left begins as the whole does, or is refused at its last line.
            let Err(error) = parse(&exported.as_bytes()[..cut]) else { continue };
            assert_eq!(error.line, exported[..cut].lines().count(), "{cut}: {error}");
        }
    }

    /// `uci export`.
    fn print(sections: &[Section]) -> String {
        let quote = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        let mut text = String::from("package uhttpd\n");
        for section in sections {
            text += &format!("\nconfig {}", section.kind);
            text += &section.name.as_ref().map_or(String::new(), |name| format!(" {}", quote(name)));
            text.push('\n');
            for Opt { name, value, .. } in &section.options {
                match value {
                    UciValue::Single(value) => text += &format!("\toption {name} {}\n", quote(value)),
                    UciValue::List(values) => {
                        text.extend(values.iter().map(|value| format!("\tlist {name} {}\n", quote(value))));
                    }
                }
            }
        }
        text
    }

    fn without_lines(mut sections: Vec<Section>) -> Vec<Section> {
        for section in &mut sections {
            section.line = 0;
            section.options.iter_mut().for_each(|option| option.line = 0);
        }
        sections
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn hostile_text_is_answered(text in "(config|option|list|[a-z'\"\\\\#; \n\t\r\0é]){0,80}", cut in 0..80usize) {
            let text = text.as_bytes();
            let _ = parse(text);
            let _ = parse(text.get(cut..).unwrap_or_default());
        }

        #[test]
        fn what_is_printed_is_read(
            shapes in prop::collection::vec(
                ("[a-z][a-z.-]{0,4}", any::<bool>(), prop::collection::vec(
                    (any::<bool>(), prop::collection::vec("[ -~\n\té]{1,8}", 1..4)), 0..4)),
                0..4,
            )
        ) {
            let sections: Vec<Section> = shapes.into_iter().enumerate().map(|(index, (kind, named, options))| Section {
                kind,
                name: named.then(|| format!("n{index}")),
                line: 0,
                options: options.into_iter().enumerate().map(|(index, (list, mut values))| Opt {
                    name: format!("o{index}"),
                    line: 0,
                    value: if list { UciValue::List(values) } else { UciValue::Single(values.remove(0)) },
                }).collect(),
            }).collect();
            prop_assert_eq!(without_lines(parse(print(&sections).as_bytes()).unwrap()), sections);
        }
    }
}
