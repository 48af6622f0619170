//! Tables of blobs as JSON, to compare with.

use crate::common_ubus::attrs;
use serde_json::{Map, Value};

/// A table of a blob as JSON.
pub fn table(bytes: &[u8]) -> Value {
    Value::Object(fields(bytes).into_iter().collect::<Map<_, _>>())
}

fn fields(bytes: &[u8]) -> Vec<(String, Value)> {
    attrs(bytes)
        .into_iter()
        .map(|(kind, content)| {
            let length = usize::from(u16::from_be_bytes([content[0], content[1]]));
            let name = str::from_utf8(&content[2..2 + length]).unwrap().to_owned();
            (name, value(kind & 0x7f, &content[(3 + length).next_multiple_of(4)..]))
        })
        .collect()
}

fn value(kind: u8, bytes: &[u8]) -> Value {
    match kind {
        1 => Value::Array(fields(bytes).into_iter().map(|(_, value)| value).collect()),
        2 => table(bytes),
        3 => str::from_utf8(bytes).unwrap().trim_end_matches('\0').into(),
        4 => i64::from_be_bytes(bytes.try_into().unwrap()).into(),
        5 => i32::from_be_bytes(bytes.try_into().unwrap()).into(),
        7 => (bytes[0] != 0).into(),
        _ => panic!("a value of type {kind}"),
    }
}
