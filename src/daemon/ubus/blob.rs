//! Blobs: ubus' tagged binary trees, read where they lie and written in one pass. Pure; big-endian on every machine.
//!
//! An attribute is `flag(1) id(7) length(24)`, its content, and zeros up to a multiple of four; the length counts the
//! header but not the zeros. With the flag set it is a blobmsg field: its content begins with a name, and its id is
//! the type of what follows the name.

/// Bytes of an attribute's header.
const HEADER: usize = 4;
/// The flag of a field that has a name.
const NAMED: u32 = 1 << 31;
/// The mask of an attribute's length.
const LENGTH: u32 = (1 << 24) - 1;

/// Longest name of a field, in bytes: what its two bytes of length can say.
const MAX_NAME: usize = u16::MAX as usize;

/// One attribute: its id and content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr<'a> {
    pub id: u8,
    named: bool,
    pub content: &'a [u8],
}

/// A sequence of attributes. It ends before the first that is malformed.
#[derive(Clone, Debug)]
pub struct Attrs<'a> {
    rest: &'a [u8],
}

impl<'a> Attrs<'a> {
    pub fn new(bytes: &'a [u8]) -> Attrs<'a> {
        Attrs { rest: bytes }
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Attr<'a>;

    fn next(&mut self) -> Option<Attr<'a>> {
        let (head, _) = self.rest.split_first_chunk::<HEADER>()?;
        let head = u32::from_be_bytes(*head);
        let content = usize::try_from(head & LENGTH).ok().and_then(|length| self.rest.get(HEADER..length));
        let Some(content) = content else {
            self.rest = &[];
            return None;
        };
        // The padding of the last one may be missing.
        self.rest = self.rest.get(padded(HEADER + content.len())..).unwrap_or_default();
        let [id, ..] = head.to_be_bytes();
        Some(Attr { id: id & 0x7f, named: head & NAMED != 0, content })
    }
}

impl<'a> Attr<'a> {
    pub fn u32(&self) -> Option<u32> {
        Some(u32::from_be_bytes(self.content.try_into().ok()?))
    }

    /// The text before the first NUL, which is required.
    pub fn text(&self) -> Option<&'a [u8]> {
        c_text(self.content)
    }

    /// This attribute as a field of a table or an array; `None` when it is malformed.
    pub fn field(&self) -> Option<Field<'a>> {
        let (name, value) = if self.named { split_name(self.content)? } else { (&b""[..], self.content) };
        Some(Field { name, value: Value::new(self.id, value)? })
    }
}

/// The name in front of a field's value, and that value.
fn split_name(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, _) = content.split_first_chunk::<2>()?;
    let end = 2 + usize::from(u16::from_be_bytes(*length));
    if *content.get(end)? != 0 {
        return None;
    }
    Some((content.get(2..end)?, content.get(padded(end + 1)..)?))
}

fn c_text(content: &[u8]) -> Option<&[u8]> {
    content.get(..content.iter().position(|&byte| byte == 0)?)
}

const fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// A field of a table, or an element of an array, which has no name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field<'a> {
    pub name: &'a [u8],
    pub value: Value<'a>,
}

/// The values of blobmsg. Text may be any bytes except NUL.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    Null,
    Array(&'a [u8]),
    Table(&'a [u8]),
    Text(&'a [u8]),
    Int(i64),
    Bool(bool),
    Double(f64),
}

/// The types of blobmsg.
pub mod kind {
    pub const NULL: u8 = 0;
    pub const ARRAY: u8 = 1;
    pub const TABLE: u8 = 2;
    pub const TEXT: u8 = 3;
    pub const INT64: u8 = 4;
    pub const INT32: u8 = 5;
    pub const INT16: u8 = 6;
    pub const BOOL: u8 = 7;
    pub const DOUBLE: u8 = 8;
}

impl<'a> Value<'a> {
    fn new(id: u8, bytes: &'a [u8]) -> Option<Value<'a>> {
        Some(match id {
            kind::NULL => Value::Null,
            kind::ARRAY => Value::Array(bytes),
            kind::TABLE => Value::Table(bytes),
            kind::TEXT => Value::Text(c_text(bytes)?),
            kind::INT64 => Value::Int(i64::from_be_bytes(bytes.try_into().ok()?)),
            kind::INT32 => Value::Int(i32::from_be_bytes(bytes.try_into().ok()?).into()),
            kind::INT16 => Value::Int(i16::from_be_bytes(bytes.try_into().ok()?).into()),
            kind::BOOL => Value::Bool(u8::from_be_bytes(bytes.try_into().ok()?) != 0),
            kind::DOUBLE => Value::Double(f64::from_be_bytes(bytes.try_into().ok()?)),
            _ => return None,
        })
    }
}

/// The fields of a table or an array, up to the first malformed one.
pub fn fields(bytes: &[u8]) -> impl Iterator<Item = Field<'_>> {
    Attrs::new(bytes).map_while(|attr| attr.field())
}

/// The first field of that name.
pub fn field<'a>(bytes: &'a [u8], name: &str) -> Option<Value<'a>> {
    fields(bytes).find(|field| field.name == name.as_bytes()).map(|field| field.value)
}

/// The start of an attribute that is being written.
#[must_use]
pub struct Open(usize);

/// Appends attributes to a buffer.
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Writer<'a> {
        Writer { out }
    }

    /// Begins an attribute. What is written until it is closed is its content.
    pub fn open(&mut self, id: u8) -> Open {
        self.begin(u32::from(id) << 24)
    }

    /// Begins a field. An element of an array has an empty name. Names that are too long are cut.
    pub fn open_field(&mut self, kind: u8, name: &[u8]) -> Open {
        let open = self.begin(NAMED | u32::from(kind) << 24);
        let name = name.get(..MAX_NAME).unwrap_or(name);
        let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
        self.out.extend_from_slice(&length.to_be_bytes());
        self.out.extend_from_slice(name);
        let zeros = padded(name.len() + 3) - name.len() - 2;
        self.zeros(zeros);
        open
    }

    fn begin(&mut self, head: u32) -> Open {
        let open = Open(self.out.len());
        self.out.extend_from_slice(&head.to_be_bytes());
        open
    }

    /// Ends an attribute, and all that are open in it.
    pub fn close(&mut self, open: Open) {
        let length = self.out.len().saturating_sub(open.0);
        let field = u32::try_from(length).unwrap_or(LENGTH).min(LENGTH);
        if let Some(head) = self.out.get_mut(open.0..).and_then(|bytes| bytes.first_chunk_mut::<HEADER>()) {
            let flags = u32::from_be_bytes(*head) & !LENGTH;
            *head = (flags | field).to_be_bytes();
        }
        self.zeros(padded(length) - length);
    }

    fn zeros(&mut self, count: usize) {
        self.out.resize(self.out.len() + count, 0);
    }

    /// Appends raw content to the open attribute.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub fn attr(&mut self, id: u8, content: &[u8]) {
        let open = self.open(id);
        self.raw(content);
        self.close(open);
    }

    pub fn attr_u32(&mut self, id: u8, value: u32) {
        self.attr(id, &value.to_be_bytes());
    }

    pub fn attr_text(&mut self, id: u8, text: &[u8]) {
        let open = self.open(id);
        self.raw(text);
        self.raw(&[0]);
        self.close(open);
    }

    /// A field whose value is these bytes.
    pub fn value(&mut self, kind: u8, name: &[u8], bytes: &[u8]) {
        let open = self.open_field(kind, name);
        self.raw(bytes);
        self.close(open);
    }

    pub fn text(&mut self, name: &[u8], text: &[u8]) {
        let open = self.open_field(kind::TEXT, name);
        self.raw(text);
        self.raw(&[0]);
        self.close(open);
    }

    /// A whole number in the smallest type that holds it: 32 bits, else 64.
    pub fn int(&mut self, name: &[u8], value: i64) {
        match i32::try_from(value) {
            Ok(small) => self.value(kind::INT32, name, &small.to_be_bytes()),
            Err(_) => self.value(kind::INT64, name, &value.to_be_bytes()),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A tree of values as the property tests make it.
    #[derive(Clone, Debug)]
    pub enum Tree {
        Null,
        Bool(bool),
        Int(i64),
        Text(String),
        Array(Vec<Tree>),
        Table(Vec<(String, Tree)>),
    }

    pub fn tree() -> impl Strategy<Value = Tree> {
        let leaf = prop_oneof![
            Just(Tree::Null),
            any::<bool>().prop_map(Tree::Bool),
            any::<i64>().prop_map(Tree::Int),
            any::<i32>().prop_map(|value| Tree::Int(value.into())),
            "[^\0]{0,9}".prop_map(Tree::Text),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Tree::Array),
                proptest::collection::vec(("[^\0]{0,6}", inner), 0..5).prop_map(Tree::Table),
            ]
        })
    }

    pub fn write(out: &mut Writer<'_>, name: &str, tree: &Tree) {
        let name = name.as_bytes();
        match tree {
            Tree::Null => out.value(kind::NULL, name, &[]),
            Tree::Bool(value) => out.value(kind::BOOL, name, &[u8::from(*value)]),
            Tree::Int(value) => out.int(name, *value),
            Tree::Text(text) => out.text(name, text.as_bytes()),
            Tree::Array(items) => {
                let open = out.open_field(kind::ARRAY, name);
                items.iter().for_each(|item| write(out, "", item));
                out.close(open);
            }
            Tree::Table(items) => {
                let open = out.open_field(kind::TABLE, name);
                items.iter().for_each(|(name, item)| write(out, name, item));
                out.close(open);
            }
        }
    }

    fn same(value: Value<'_>, tree: &Tree) -> bool {
        match (value, tree) {
            (Value::Null, Tree::Null) => true,
            (Value::Bool(a), Tree::Bool(b)) => a == *b,
            (Value::Int(a), Tree::Int(b)) => a == *b,
            (Value::Text(a), Tree::Text(b)) => a == b.as_bytes(),
            (Value::Array(bytes), Tree::Array(items)) => {
                let got: Vec<_> = fields(bytes).collect();
                got.len() == items.len()
                    && got.iter().zip(items).all(|(field, item)| field.name.is_empty() && same(field.value, item))
            }
            (Value::Table(bytes), Tree::Table(items)) => {
                let got: Vec<_> = fields(bytes).collect();
                got.len() == items.len()
                    && got.iter().zip(items).all(|(f, (name, item))| f.name == name.as_bytes() && same(f.value, item))
            }
            _ => false,
        }
    }

    /// Visits everything that can be reached, as a reader would.
    pub fn visit(bytes: &[u8], depth: u32) -> usize {
        let mut count = 0;
        for attr in Attrs::new(bytes) {
            count += 1;
            let _ = (attr.u32(), attr.text());
            let nested = match attr.field().map(|field| field.value) {
                Some(Value::Array(inner) | Value::Table(inner)) => inner,
                Some(_) => continue,
                None => attr.content,
            };
            if depth < 8 {
                count += visit(nested, depth + 1);
            }
        }
        count
    }

    /// Bytes of one attribute, and what its field is.
    #[rustfmt::skip]
    const RULES: &[(&[u8], Option<Field<'static>>, &str)] = &[
        (b"\x85\0\0\x0c\0\x01a\0\0\0\0\x07", Some(Field { name: b"a", value: Value::Int(7) }), "32 bits"),
        (b"\x85\0\0\x0c\0\x01a\0\xff\xff\xff\xfe", Some(Field { name: b"a", value: Value::Int(-2) }), "below zero"),
        (b"\x84\0\0\x10\0\0\0\0\0\0\0\x01\0\0\0\0", Some(Field { name: b"", value: Value::Int(1 << 32) }), "64 bits"),
        (b"\x86\0\0\x0a\0\0\0\0\xff\xff\0\0", Some(Field { name: b"", value: Value::Int(-1) }), "16 bits"),
        (b"\x87\0\0\x09\0\0\0\0\x02\0\0\0", Some(Field { name: b"", value: Value::Bool(true) }), "any non-zero is true"),
        (b"\x87\0\0\x09\0\0\0\0\x00", Some(Field { name: b"", value: Value::Bool(false) }), "padding missing at the end"),
        (b"\x83\0\0\x0b\0\0\0\0hi\0\0", Some(Field { name: b"", value: Value::Text(b"hi") }), "text"),
        (b"\x83\0\0\x0c\0\0\0\0h\0i\0", Some(Field { name: b"", value: Value::Text(b"h") }), "text ends at its first NUL"),
        (b"\x80\0\0\x08\0\0\0\0", Some(Field { name: b"", value: Value::Null }), "null"),
        (b"\x88\0\0\x10\0\0\0\0\x3f\xf8\0\0\0\0\0\0", Some(Field { name: b"", value: Value::Double(1.5) }), "double"),
        (b"\x05\0\0\x08\0\0\0\x07", Some(Field { name: b"", value: Value::Int(7) }), "no name header"),
        (b"\x83\0\0\x0a\0\0\0\0hi\0\0", None, "text without NUL"),
        (b"\x85\0\0\x0b\0\0\0\0\0\0\x07\0", None, "three bytes of number"),
        (b"\x85\0\0\x0c\0\x01ab\0\0\0\x07", None, "name without NUL"),
        (b"\x85\0\0\x0c\0\x09a\0\0\0\0\x07", None, "name longer than the field"),
        (b"\x85\0\0\x05\0\0\0\0", None, "half a name header"),
        (b"\x89\0\0\x08\0\0\0\0", None, "unknown type"),
    ];

    #[test]
    fn fields_are_validated() {
        for (bytes, expected, name) in RULES {
            let attr = Attrs::new(bytes).next().unwrap_or_else(|| panic!("{name}"));
            assert_eq!(attr.field(), *expected, "{name}");
        }
        for bytes in [&b"\0\0\0"[..], b"\0\0\0\x03", b"\0\0\0\x05", b"\0\xff\xff\xff\0", b""] {
            assert_eq!(Attrs::new(bytes).next(), None, "{bytes:x?}");
        }
    }

    #[test]
    fn written_as_captured() {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out);
        writer.text(b"object", b"luci");
        assert_eq!(out, b"\x83\0\0\x15\0\x06object\0\0\0\0luci\0\0\0\0");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(192))]

        #[test]
        fn what_is_written_is_read(items in proptest::collection::vec(("[^\0]{0,6}", tree()), 0..6)) {
            let mut out = Vec::new();
            let mut writer = Writer::new(&mut out);
            items.iter().for_each(|(name, item)| write(&mut writer, name, item));
            prop_assert!(out.len().is_multiple_of(4));
            prop_assert!(same(Value::Table(&out), &Tree::Table(items.clone())));
        }

        /// Cut or changed anywhere, it is read to some end.
        #[test]
        fn hostile_bytes(item in tree(), cut in any::<usize>(), at in any::<usize>(), byte in any::<u8>()) {
            let mut out = Vec::new();
            write(&mut Writer::new(&mut out), "x", &item);
            visit(&out[..cut % (out.len() + 1)], 0);
            let at = at % out.len();
            out[at] = byte;
            prop_assert!(visit(&out, 0) <= out.len());
        }

        #[test]
        fn noise(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(visit(&bytes, 0) <= bytes.len() * 8);
        }
    }
}
