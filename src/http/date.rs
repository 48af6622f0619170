//! HTTP dates (RFC 9110 §5.6.7): written in one form, read in three.
//!
//! The crate httpdate does the same, but adds 3,808 bytes to the program for MIPS: it uses the standard library's times
//! and formatting, and listings and certificates need a calendar here anyway. The tests compare this code with that
//! crate, by its own cases and by random ones.

/// The last second that an HTTP date can express: Fri, 31 Dec 9999 23:59:59 GMT.
pub const LAST: u64 = 253_402_300_799;

/// Bytes of an IMF-fixdate.
pub const LEN: usize = 29;

const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";

/// Appends a time in Unix seconds as an IMF-fixdate. Times after the year 9999 become its last second.
pub fn push(out: &mut Vec<u8>, seconds: u64) {
    const DAYS: &[u8] = b"ThuFriSatSunMonTueWed";
    let seconds = seconds.min(LAST);
    let (year, month, day) = civil(seconds / 86_400);
    push_name(out, DAYS, seconds / 86_400 % 7);
    out.extend_from_slice(b", ");
    push_two(out, day);
    out.push(b' ');
    push_name(out, MONTHS.as_bytes(), month - 1);
    out.push(b' ');
    push_two(out, year / 100);
    push_two(out, year % 100);
    for (before, part) in [(b' ', seconds / 3600 % 24), (b':', seconds / 60 % 60), (b':', seconds % 60)] {
        out.push(before);
        push_two(out, part);
    }
    out.extend_from_slice(b" GMT");
}

/// Formats a time in Unix seconds as an HTTP date: `Sun, 06 Nov 1994 08:49:37 GMT`. Times after the year 9999 become
/// its last second.
pub fn http_date(seconds: u64) -> String {
    let mut text = Vec::with_capacity(LEN);
    push(&mut text, seconds);
    String::from_utf8(text).unwrap_or_default()
}

/// Parses a date in any of the three forms; `None` for anything else, and for dates before 1970.
///
/// The name of the day is ignored: it follows from the date.
pub fn parse(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let Some((_, rest)) = text.split_once(", ") else { return parse_asctime(text) };
    // "06 Nov 1994 08:49:37 GMT", or the obsolete "06-Nov-94 08:49:37 GMT"
    let (date, time) = rest.strip_suffix(" GMT")?.rsplit_once(' ')?;
    let (day, rest) = date.split_at_checked(2)?;
    let (month, year) = match rest.as_bytes().first()? {
        b'-' => {
            let (month, year) = rest.get(1..)?.split_once('-')?;
            let year = number(year, 2)?;
            (month, if year < 70 { 2000 + year } else { 1900 + year })
        }
        _ => {
            let (month, year) = rest.strip_prefix(' ')?.split_once(' ')?;
            (month, number(year, 4)?)
        }
    };
    seconds(year, month, number(day, 2)?, time)
}

/// "Sun Nov  6 08:49:37 1994", as C's asctime() writes it.
fn parse_asctime(text: &str) -> Option<u64> {
    let mut words = text.split(' ').skip(1);
    let (month, day) = (words.next()?, words.next()?);
    let day = if day.is_empty() { number(words.next()?, 1)? } else { number(day, 2)? };
    let (time, year) = (words.next()?, words.next()?);
    if words.next().is_some() { None } else { seconds(number(year, 4)?, month, day, time) }
}

/// A date and a time of day, `08:49:37`, in Unix seconds; `None` when there is no such day or time.
fn seconds(year: u64, month: &str, day: u64, time: &str) -> Option<u64> {
    let at = MONTHS.find(month).filter(|at| month.len() == 3 && at % 3 == 0)?;
    let month = at as u64 / 3 + 1;
    let mut parts = time.split(':').map(|part| number(part, 2));
    let time = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() { None } else { unix((year, month, day), time) }
}

/// Year, month and day, and hour, minute and second, in Unix seconds; `None` when there is no such day or time, or it
/// is before 1970.
pub fn unix((year, month, day): (u64, u64, u64), (hour, minute, second): (u64, u64, u64)) -> Option<u64> {
    // A leap second is the next minute's first.
    if hour > 23 || minute > 59 || second > 60 || year < 1970 || !(1..=12).contains(&month) {
        return None;
    }
    let (march_year, march_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * march_year + march_year / 4 - march_year / 100 + march_year / 400 + (153 * march_month + 2) / 5 + day;
    let days = days.checked_sub(719_469)?;
    // A day that the month does not have would turn into a day of another month.
    (civil(days) == (year, month, day)).then_some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

/// A number with exactly this many digits.
fn number(text: &str, digits: usize) -> Option<u64> {
    if text.len() != digits || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Year, month and day of a number of days since 1970.
///
/// Counted in eras of 400 years and in years that begin in March, so that the leap day is the last one.
pub fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let (month, january) = match march_month {
        0..10 => (march_month + 3, 0),
        _ => (march_month - 9, 1),
    };
    (era * 400 + year_of_era + january, month, day)
}

/// Appends one of the names of three letters.
fn push_name(out: &mut Vec<u8>, names: &[u8], index: u64) {
    let at = usize::try_from(index).unwrap_or(0) * 3;
    out.extend_from_slice(names.get(at..at + 3).unwrap_or_default());
}

fn push_two(out: &mut Vec<u8>, number: u64) {
    for digit in [number / 10 % 10, number % 10] {
        out.push(b'0' + u8::try_from(digit).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn written(seconds: u64) -> String {
        let mut out = Vec::new();
        push(&mut out, seconds);
        assert_eq!(out.len(), LEN);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates() {
        let rows = [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (2_147_483_648, "Tue, 19 Jan 2038 03:14:08 GMT"),
            (LAST, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ];
        for (seconds, text) in rows {
            assert_eq!(written(seconds), text);
        }
    }

    #[test]
    fn forms() {
        const MODIFIED: Option<u64> = Some(784_111_777);
        let rows = [
            ("Sun, 06 Nov 1994 08:49:37 GMT", MODIFIED),
            ("Sunday, 06-Nov-94 08:49:37 GMT", MODIFIED),
            ("Sun Nov  6 08:49:37 1994", MODIFIED),
            ("Sun Nov 16 08:49:37 1994", Some(784_111_777 + 864_000)),
            ("Mon, 06 Nov 1994 08:49:37 GMT", MODIFIED),
            ("Tue, 29 Feb 2000 00:00:00 GMT", Some(951_782_400)),
            ("Sat, 31 Dec 2016 23:59:60 GMT", Some(1_483_228_800)),
            ("Thursday, 01-Jan-70 00:00:00 GMT", Some(0)),
            ("Friday, 01-Jan-69 00:00:00 GMT", Some(3_124_224_000)),
            ("Thu, 29 Feb 2001 00:00:00 GMT", None),
            ("Thu, 00 Jan 2001 00:00:00 GMT", None),
            ("Thu, 31 Apr 2001 00:00:00 GMT", None),
            ("Wed, 31 Dec 1969 23:59:59 GMT", None),
            ("Sun, 6 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 nov 1994 08:49:37 GMT", None),
            ("Sun, 06 anF 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 94 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None),
            ("Sun, 06 Nov 1994 08:49:37", None),
            ("Sun, 06 Nov 1994 24:00:00 GMT", None),
            ("Sun, 06 Nov 1994 08:60:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:61 GMT", None),
            ("Sun, 06 Nov 1994 08:49 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37:00 GMT", None),
            ("Sun, 06 Nov +994 08:49:37 GMT", None),
            ("Sun Nov 6 08:49:37 1994", None),
            ("Sun Nov  6 08:49:37 1994 ", None),
            ("784111777", None),
            ("", None),
        ];
        for (text, seconds) in rows {
            assert_eq!(parse(text.as_bytes()), seconds, "{text}");
        }
    }

    /// The cases of httpdate's own tests. One is different: that crate refuses a date with the wrong day of the week.
    #[test]
    fn the_tests_of_httpdate() {
        const DAY: u64 = 86_400;
        #[rustfmt::skip]
        let rows = [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Sun, 02 Oct 2016 14:44:11 GMT", Some(1_475_419_451)),
            ("Sun Nov 10 08:00:00 1000", None),
            ("Sun Nov 10 08*00:00 2000", None),
            ("Sunday, 06-Nov-94 08+49:37 GMT", None),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Thu, 01 Jan 1970 01:00:00 GMT", Some(3600)),
            ("Fri, 02 Jan 1970 01:00:00 GMT", Some(3600 + DAY)),
            ("Sun, 01 Feb 1970 01:00:00 GMT", Some(3600 + 31 * DAY)),
            ("Tue, 03 Mar 1970 01:00:00 GMT", Some(3600 + 61 * DAY)),
            ("Wed, 03 Mar 1971 01:00:05 GMT", Some(3605 + 426 * DAY)),
            ("Mon, 30 Aug 1971 01:00:05 GMT", Some(3605 + 606 * DAY)),
            ("Mon, 08 Nov 1971 01:00:05 GMT", Some(3605 + 676 * DAY)),
            ("Fri, 26 Mar 1999 01:00:05 GMT", Some(3605 + 10_676 * DAY)),
        ];
        for (text, seconds) in rows {
            assert_eq!(parse(text.as_bytes()), seconds, "{text}");
            assert_eq!(httpdate_reads(text), seconds, "{text}");
        }
        let wrong_day = "Sun, 07 Nov 1994 08:48:37 GMT";
        assert_eq!((parse(wrong_day.as_bytes()), httpdate_reads(wrong_day)), (Some(784_198_117), None));
        assert_eq!(written(1_475_419_451), "Sun, 02 Oct 2016 14:44:11 GMT");
    }

    fn httpdate_reads(text: &str) -> Option<u64> {
        let time = httpdate::parse_http_date(text).ok()?;
        Some(time.duration_since(UNIX_EPOCH).unwrap().as_secs())
    }

    /// A time in the three forms.
    fn forms_of(seconds: u64) -> [String; 3] {
        const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
        let fixdate = written(seconds);
        let (day, month, year, time) = (&fixdate[5..7], &fixdate[8..11], &fixdate[12..16], &fixdate[17..25]);
        let name = DAYS[usize::try_from(seconds / 86_400 % 7).unwrap()];
        let rfc850 = format!("{name}, {day}-{month}-{} {time} GMT", &year[2..]);
        let padded = if let Some(digit) = day.strip_prefix('0') { format!(" {digit}") } else { day.to_owned() };
        let asctime = format!("{} {month} {padded} {time} {year}", &name[..3]);
        [fixdate, rfc850, asctime]
    }

    proptest! {
        /// With a byte replaced, too: what both read is the same time. Only this code reads dates with a wrong day of the week
        /// and leap seconds, and only httpdate reads some whose separators are wrong (`Sunday, 06-Nov-94008:49:37 GMT`).
        #[test]
        fn as_httpdate_reads_them(
            seconds in 0..=LAST,
            form in 0..3_usize,
            at in 0..40_usize,
            byte in proptest::option::of(prop_oneof!["[0-9]", "[ :,A-Za-z-]"]),
        ) {
            let mut text = forms_of(seconds)[form].clone();
            if let Some(byte) = byte && at < text.len() {
                text.replace_range(at..=at, &byte);
            }
            match (parse(text.as_bytes()), httpdate_reads(&text)) {
                (Some(ours), None) => prop_assert!(text.contains(":60") || !forms_of(ours).contains(&text), "{text}"),
                (None, Some(theirs)) => prop_assert!(!forms_of(theirs).contains(&text), "{text}"),
                (ours, theirs) => prop_assert_eq!(ours, theirs, "{}", text),
            }
        }

        #[test]
        fn as_httpdate_writes_them(seconds in 0..=LAST) {
            prop_assert_eq!(written(seconds), httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds)));
            prop_assert_eq!(parse(written(seconds).as_bytes()), Some(seconds));
        }

        #[test]
        fn any_bytes(text in proptest::collection::vec(any::<u8>(), 0..40), cut in 0..30_usize) {
            parse(&text);
            let written = written(784_111_777);
            parse(&[&written.as_bytes()[..cut.min(LEN)], &text].concat());
        }
    }
}
