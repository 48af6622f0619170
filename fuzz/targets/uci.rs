//! UCI text: what it says survives being printed again.
#![no_main]

use ecohttpd_fuzz::uci::{Section, UciValue, parse};
use std::fmt::Write;

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn print(sections: &[Section]) -> String {
    let mut out = String::new();
    for section in sections {
        let name = section.name.as_deref().map(quoted).unwrap_or_default();
        writeln!(out, "config {} {name}", quoted(&section.kind)).expect("a string grows");
        for option in &section.options {
            match &option.value {
                UciValue::Single(value) => writeln!(out, "option {} {}", option.name, quoted(value)),
                UciValue::List(values) => {
                    values.iter().try_for_each(|value| writeln!(out, "list {} {}", option.name, quoted(value)))
                }
            }
            .expect("a string grows");
        }
    }
    out
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let lines = 1 + data.iter().filter(|&&byte| byte == b'\n').count();
    let sections = match parse(data) {
        Ok(sections) => sections,
        Err(error) => {
            assert!((1..=lines).contains(&error.line) && !error.what.is_empty(), "{error}");
            assert!(!error.what.contains('\n'), "one line: {error}");
            return;
        }
    };
    for section in &sections {
        assert!((1..=lines).contains(&section.line) && !section.kind.is_empty());
        assert!(
            section
                .options
                .iter()
                .all(|option| (section.line..=lines).contains(&option.line) || section.name.is_some())
        );
    }
    let printed = print(&sections);
    match parse(printed.as_bytes()) {
        Ok(again) => assert_eq!(print(&again), printed),
        Err(error) => panic!("{error} in:\n{printed}"),
    }
});
