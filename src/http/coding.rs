//! Content codings, and which of them a client accepts. (RFC 9110 §8.4.1, §12.5.3)

use std::cmp::Reverse;

use super::accept::parse_weight;
use crate::http::fields::Fields;

/// A content coding that a file may be stored in beside its plain form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// The plain file.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

impl Coding {
    /// All of them.
    pub const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

    /// Its name in `Content-Encoding`.
    pub fn token(self) -> &'static str {
        match self {
            Coding::Identity => "identity",
            Coding::Gzip => "gzip",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
        }
    }

    /// The suffix of file names in this coding.
    pub const fn suffix(self) -> &'static str {
        match self {
            Coding::Identity => "",
            Coding::Gzip => ".gz",
            Coding::Brotli => ".br",
            Coding::Zstd => ".zst",
        }
    }
}

/// The codings to try for a request, best first, without [`Coding::Identity`].
///
/// Ordered by q-value, and for equal ones br, zstd, gzip. Codings below an explicit `identity` are left out. A
/// malformed member counts as `q=0`. `identity;q=0` is not honoured: the plain file is the last resort, which RFC 9110
/// §12.5.3 allows.
pub fn acceptable<F: Fields>(fields: &F) -> impl Iterator<Item = Coding> + use<F> {
    let mut accept = Accept::default();
    for value in fields.values("accept-encoding") {
        for member in value.split(|&b| b == b',') {
            accept.note(member);
        }
    }
    accept.ranked().into_iter().flatten()
}

/// The q-values named so far, in thousandths.
#[derive(Default)]
struct Accept {
    brotli: Option<u16>,
    zstd: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    others: Option<u16>,
}

impl Accept {
    /// Records one list member. If a coding is named twice, the last one counts.
    fn note(&mut self, member: &[u8]) {
        let mut pieces = member.splitn(2, |&b| b == b';').map(<[u8]>::trim_ascii);
        let name = pieces.next().unwrap_or_default();
        let is = |token: &[u8]| name.eq_ignore_ascii_case(token);
        let place = if is(b"gzip") || is(b"x-gzip") {
            &mut self.gzip
        } else if is(b"br") {
            &mut self.brotli
        } else if is(b"zstd") {
            &mut self.zstd
        } else if is(b"identity") {
            &mut self.identity
        } else if is(b"*") {
            &mut self.others
        } else {
            return;
        };
        *place = Some(match pieces.next() {
            None => 1000,
            Some(weight) => parse_weight(weight).unwrap_or(0),
        });
    }

    /// The acceptable codings, best first.
    fn ranked(&self) -> [Option<Coding>; 3] {
        let least = self.identity.unwrap_or(0).max(1);
        let mut ranked = [(self.brotli, Coding::Brotli), (self.zstd, Coding::Zstd), (self.gzip, Coding::Gzip)]
            .map(|(named, coding)| (named.or(self.others).unwrap_or(0), coding));
        ranked.sort_by_key(|&(q, _)| Reverse(q));
        ranked.map(|(q, coding)| (q >= least).then_some(coding))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Coding::{Brotli, Gzip, Zstd};
    use super::*;
    use crate::http::fields::Listed;

    fn accepted(lines: &[&[u8]]) -> Vec<Coding> {
        let fields: Vec<_> = lines.iter().map(|&l| ("accept-encoding", l)).collect();
        acceptable(&Listed(&fields)).collect()
    }

    #[test]
    fn by_weight() {
        type Lines<'a> = &'a [&'a [u8]];
        #[rustfmt::skip]
        let rows: &[(Lines<'_>, &[Coding], &str)] = &[
            (&[], &[], "absent"),
            (&[b""], &[], "empty"),
            (&[b"gzip"], &[Gzip], "gzip"),
            (&[b"GZip"], &[Gzip], "any case"),
            (&[b"x-gzip"], &[Gzip], "the old name"),
            (&[b"gzip, deflate, br, zstd"], &[Brotli, Zstd, Gzip], "a browser"),
            (&[b"gzip", b"br"], &[Brotli, Gzip], "two lines"),
            (&[b"br;q=0.5,gzip;q=0.8"], &[Gzip, Brotli], "by q"),
            (&[b"br ; q=0.001\t, gzip;Q=0.002"], &[Gzip, Brotli], "spaces and thousandths"),
            (&[b"gzip;q=0"], &[], "refused"),
            (&[b"gzip;q=0.000, br"], &[Brotli], "refused with zeros"),
            (&[b"*"], &[Brotli, Zstd, Gzip], "star"),
            (&[b"*;q=0.5, gzip"], &[Gzip, Brotli, Zstd], "star below gzip"),
            (&[b"br;q=0, *"], &[Zstd, Gzip], "star but one"),
            (&[b"gzip, *;q=0"], &[Gzip], "nothing but gzip"),
            (&[b"identity, gzip;q=0.5"], &[], "identity is liked better"),
            (&[b"identity;q=0.5, gzip;q=0.5, br;q=0.1"], &[Gzip], "identity liked as well"),
            (&[b"identity;q=0"], &[], "identity refused"),
            (&[b"identity;q=0, gzip"], &[Gzip], "identity refused, gzip"),
            (&[b"deflate, compress"], &[], "others"),
            (&[b"gzip;q=1.0"], &[Gzip], "one"),
            (&[b"gzip;q=1."], &[Gzip], "one and a dot"),
            (&[b"gzip;q=1.001, br;q=2"], &[], "over one"),
            (&[b"gzip;q=0.1234"], &[], "four digits"),
            (&[b"gzip;q=, br;q, zstd;"], &[], "no value"),
            (&[b"gzip;level=9"], &[], "not a weight"),
            (&[b"gzip;q=0.5;q=1"], &[], "two weights"),
            (&[b",, gzip ,"], &[Gzip], "empty members"),
            (&[b"gzip;q=0, gzip"], &[Gzip], "named twice"),
        ];
        for &(lines, want, name) in rows {
            assert_eq!(accepted(lines), want, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_panic(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            accepted(&[&value]);
        }

        #[test]
        fn each_at_most_once(value in "((br|gzip|zstd|\\*|identity)(;q=[01]\\.[0-9]{0,3})?,){0,8}") {
            let list = accepted(&[value.as_bytes()]);
            for (n, coding) in list.iter().enumerate() {
                prop_assert!(!list.iter().skip(n + 1).any(|other| other == coding));
            }
        }
    }
}
