//! Status codes and their reason phrases.

/// The reason phrase registered for a status code, or `Unknown`.
pub fn reason(code: u16) -> &'static str {
    let phrase = |line: &'static str| {
        let (digits, phrase) = line.split_at_checked(3)?;
        (digits.parse() == Ok(code)).then_some(phrase)
    };
    REASONS.lines().find_map(phrase).unwrap_or("Unknown")
}

/// The registered phrases, the most frequent ones first.
///
/// One text instead of a table of slices: each slice would cost a pointer and a relocation, more than its bytes.
const REASONS: &str = "\
200OK\n\
304Not Modified\n\
206Partial Content\n\
301Moved Permanently\n\
302Found\n\
404Not Found\n\
403Forbidden\n\
100Continue\n\
101Switching Protocols\n\
102Processing\n\
103Early Hints\n\
201Created\n\
202Accepted\n\
203Non-Authoritative Information\n\
204No Content\n\
205Reset Content\n\
207Multi-Status\n\
208Already Reported\n\
226IM Used\n\
300Multiple Choices\n\
303See Other\n\
305Use Proxy\n\
307Temporary Redirect\n\
308Permanent Redirect\n\
400Bad Request\n\
401Unauthorized\n\
402Payment Required\n\
405Method Not Allowed\n\
406Not Acceptable\n\
407Proxy Authentication Required\n\
408Request Timeout\n\
409Conflict\n\
410Gone\n\
411Length Required\n\
412Precondition Failed\n\
413Content Too Large\n\
414URI Too Long\n\
415Unsupported Media Type\n\
416Range Not Satisfiable\n\
417Expectation Failed\n\
421Misdirected Request\n\
422Unprocessable Content\n\
423Locked\n\
424Failed Dependency\n\
425Too Early\n\
426Upgrade Required\n\
428Precondition Required\n\
429Too Many Requests\n\
431Request Header Fields Too Large\n\
451Unavailable For Legal Reasons\n\
500Internal Server Error\n\
501Not Implemented\n\
502Bad Gateway\n\
503Service Unavailable\n\
504Gateway Timeout\n\
505HTTP Version Not Supported\n\
506Variant Also Negotiates\n\
507Insufficient Storage\n\
508Loop Detected\n\
511Network Authentication Required\n";
