//! JSON text: made a blob and printed it is JSON that makes the same blob.
#![no_main]

use ecohttpd_fuzz::blob::{Value, Writer, field};
use ecohttpd_fuzz::json::{Printer, check, elements, is_sound, members, string, write};

fn print(fields: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut printer = Printer::new(fields, &mut text);
    let mut piece = Vec::new();
    while printer.fill(&mut piece) {
        text.append(&mut piece);
    }
    text.append(&mut piece);
    text
}

fn blob_of(value: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    write(value, b"v", &mut Writer::new(&mut blob));
    blob
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some(value) = check(data) else { return };
    assert_eq!(check(value), Some(value), "a value alone");
    let sound = is_sound(value);
    // Each part of a sound value is one, and its items are as many as it has.
    for item in elements(value).into_iter().flatten() {
        assert!(check(item) == Some(item) && (!sound || is_sound(item)));
    }
    for (name, item) in members(value).into_iter().flatten() {
        assert!(check(item) == Some(item) && (!sound || str::from_utf8(&name).is_ok()));
    }
    assert_eq!(string(value).is_some(), value.starts_with(b"\""));

    let text = print(&blob_of(value));
    let again = check(&text).expect("what is printed is JSON");
    if !sound {
        return;
    }
    assert!(is_sound(again));
    let (_, printed) = members(again).expect("an object").next().expect("its member");
    let second = blob_of(printed);
    assert!(field(&second, "v").is_some_and(|value| !matches!(value, Value::Double(number) if number.is_nan())));
    // Six digits behind the point: fractions are the same from the second printing on.
    assert_eq!(print(&second), text);
});
