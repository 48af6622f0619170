//! What serde_json reads and prints, for comparison.

use super::print::Printer;
use super::read::{check, is_sound, write};
use crate::daemon::ubus::blob::{self, Value, Writer};
use proptest::prelude::*;
use serde_json::Value as Json;

/// A value of a blob as serde_json would have it.
fn tree(value: Value<'_>) -> Json {
    let text = |bytes| String::from_utf8(Vec::from(bytes)).unwrap();
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => value.into(),
        Value::Int(value) => value.into(),
        Value::Double(value) => value.into(),
        Value::Text(bytes) => text(bytes).into(),
        Value::Array(fields) => blob::fields(fields).map(|field| tree(field.value)).collect(),
        Value::Table(fields) => blob::fields(fields).map(|field| (text(field.name), tree(field.value))).collect(),
    }
}

/// The text as a blob, and that as a tree.
fn read(text: &[u8]) -> Option<Json> {
    let value = check(text).filter(|value| is_sound(value))?;
    let mut out = Vec::new();
    write(value, b"v", &mut Writer::new(&mut out));
    Some(tree(blob::field(&out, "v")?))
}

/// The tree as text, by way of a blob.
fn print(json: &Json) -> String {
    let (mut fields, mut text) = (Vec::new(), Vec::new());
    let json = json.to_string();
    write(check(json.as_bytes()).unwrap(), b"v", &mut Writer::new(&mut fields));
    let mut printer = Printer::new(&fields, &mut text);
    while printer.fill(&mut text) {}
    String::from_utf8(text).unwrap()
}

/// Numbers that both can hold; text without U+0000, which a blob can't hold; names that do not repeat.
fn json() -> impl Strategy<Value = Json> {
    let text = "[^\0]{0,12}";
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<i16>().prop_map(Json::from),
        text.prop_map(Json::from),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::vec((text, inner), 0..6).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_serde_json_prints_is_read(value in json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        prop_assert_eq!(read(text.as_bytes()), Some(value));
    }

    #[test]
    fn what_is_printed_is_read_by_serde_json(value in json()) {
        let printed: Json = serde_json::from_str(&print(&value)).unwrap();
        prop_assert_eq!(&printed["v"], &value);
    }

    /// Both take the same texts. serde_json refuses numbers that are too large, lone surrogates and half-read U+FFFD.
    #[test]
    fn both_take_the_same_texts(text in "[\\[\\]{}\",: 0-9.eE+\\-truefalsn\\\\bu/é\t]{0,24}") {
        let theirs = serde_json::from_str::<Json>(&text);
        match (read(text.as_bytes()), theirs) {
            (Some(_), Ok(_)) | (None, Err(_)) => {}
            (Some(_), Err(error)) => {
                let told = error.to_string();
                prop_assert!(told.contains("number out of range") || told.contains("surrogate"), "{text}: {told}");
            }
            (None, Ok(value)) => prop_assert!(value.to_string().contains("\\u0000"), "{text}"),
        }
    }

    #[test]
    fn doubles_are_those_of_serde_json(text in "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,6})([eE][+-]?[0-9]{1,2})?") {
        let Some(Json::Number(ours)) = read(text.as_bytes()) else { panic!("{text}") };
        let theirs: Json = serde_json::from_str(&text).unwrap();
        let (ours, theirs) = (ours.as_f64().unwrap(), theirs.as_f64().unwrap());
        // It is off by a bit, unless it is built to be exact.
        prop_assert!((ours - theirs).abs() <= ours.abs() * 4.0 * f64::EPSILON, "{text}: {ours} {theirs}");
    }
}
