//! The object that ucode handlers get for a request, as JSON (RFC 8259), made of the variables of CGI.

/// The variables as uhttpd names them, and as `headers` the fields of the request.
///
/// Strings are bytes for ucode: those that are no UTF-8 are passed on as they are.
pub fn object(variables: &[u8]) -> Vec<u8> {
    let mut object = Vec::with_capacity(variables.len() * 2);
    let mut headers = b"{".to_vec();
    let mut version: Option<&[u8]> = None;
    for variable in variables.split(|&byte| byte == 0) {
        let Some(at) = variable.iter().position(|&byte| byte == b'=') else { continue };
        let (name, value) = (variable.get(..at).unwrap_or_default(), variable.get(at + 1..).unwrap_or_default());
        object.push(if object.is_empty() { b'{' } else { b',' });
        member(&mut object, name, value);
        if let Some(field) = field(name) {
            member(&mut headers, &field, value);
            headers.push(b',');
        }
        match name {
            b"REQUEST_URI" => {
                member(&mut headers, b"URL", value);
                headers.push(b',');
            }
            b"SERVER_PROTOCOL" => version = Some(if value == b"HTTP/1.0" { b"1.0" } else { b"1.1" }),
            _ => {}
        }
    }
    if headers.last() == Some(&b',') {
        headers.pop();
    }
    // Behind the field `Version`, which has that name, too: of two members the last counts.
    if let Some(version) = version {
        object.extend_from_slice(b",\"HTTP_VERSION\":");
        object.extend_from_slice(version);
    }
    object.extend_from_slice(if object.is_empty() { b"{\"headers\":" } else { b",\"headers\":" });
    object.extend_from_slice(&headers);
    object.extend_from_slice(b"}}");
    object
}

/// The field of the request that a variable was made of: `None` for the name and password of a login, and for other
/// variables.
fn field(variable: &[u8]) -> Option<Vec<u8>> {
    let name = match variable.strip_prefix(b"HTTP_") {
        Some(b"AUTH_USER" | b"AUTH_PASS") => return None,
        Some(name) => name,
        None => variable.starts_with(b"CONTENT_").then_some(variable)?,
    };
    Some(name.iter().map(|&byte| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }).collect())
}

fn member(object: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    string(object, name);
    object.push(b':');
    string(object, value);
}

fn string(json: &mut Vec<u8>, text: &[u8]) {
    json.push(b'"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => json.extend([b'\\', byte]),
            ..0x20 => json.extend([b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), HEX[usize::from(byte & 15)]]),
            _ => json.push(byte),
        }
    }
    json.push(b'"');
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_fields() {
        for (variables, json, name) in [
            ("", r#"{"headers":{}}"#, "nothing"),
            ("A=b\0", r#"{"A":"b","headers":{}}"#, "no field"),
            ("A=b=c\0B=\0C\0", r#"{"A":"b=c","B":"","headers":{}}"#, "an equals sign in a value, no value, no sign"),
            (
                "HTTP_X_Y=1\0CONTENT_TYPE=text/plain\0",
                r#"{"HTTP_X_Y":"1","CONTENT_TYPE":"text/plain","headers":{"x-y":"1","content-type":"text/plain"}}"#,
                "names of fields",
            ),
            ("REQUEST_URI=/a\0", r#"{"REQUEST_URI":"/a","headers":{"URL":"/a"}}"#, "the target, as uhttpd has it"),
            (
                "HTTP_AUTH_USER=a\0HTTP_AUTH_PASS=b\0",
                r#"{"HTTP_AUTH_USER":"a","HTTP_AUTH_PASS":"b","headers":{}}"#,
                "a login is no field",
            ),
            (
                "SERVER_PROTOCOL=HTTP/1.0\0",
                r#"{"SERVER_PROTOCOL":"HTTP/1.0","HTTP_VERSION":1.0,"headers":{}}"#,
                "the version as a number",
            ),
            (
                "SERVER_PROTOCOL=HTTP/1.1\0",
                r#"{"SERVER_PROTOCOL":"HTTP/1.1","HTTP_VERSION":1.1,"headers":{}}"#,
                "the usual version",
            ),
            (
                "SERVER_PROTOCOL=HTTP/1.1\0HTTP_VERSION=9\0",
                r#"{"SERVER_PROTOCOL":"HTTP/1.1","HTTP_VERSION":"9","HTTP_VERSION":1.1,"headers":{"version":"9"}}"#,
                "a field of that name does not count",
            ),
            (
                "A=\"\\\t\u{1f}\u{7f}é/\0",
                "{\"A\":\"\\\"\\\\\\u0009\\u001f\u{7f}é/\",\"headers\":{}}",
                "what is escaped",
            ),
        ] {
            assert_eq!(String::from_utf8_lossy(&object(variables.as_bytes())), json, "{name}");
        }
        assert_eq!(object(b"A=\xff\0"), b"{\"A\":\"\xff\",\"headers\":{}}", "no UTF-8");
    }
}
