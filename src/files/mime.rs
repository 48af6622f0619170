//! Content types by file name.

/// The content type of a file, by the extension of its name in any case.
///
/// `name` may be a whole path. Only text types carry a charset, UTF-8; what is not known is
/// `application/octet-stream`.
pub fn content_type(name: &[u8]) -> &'static str {
    lookup(name).unwrap_or("application/octet-stream")
}

/// Finds the type by extension, else by the whole name.
fn lookup(path: &[u8]) -> Option<&'static str> {
    let name = path.rsplit(|&b| b == b'/').next()?;
    let mut pieces = name.rsplitn(3, |&b| b == b'.');
    let extension = pieces.next()?;
    if pieces.next().is_some_and(|stem| stem.eq_ignore_ascii_case(b"tar")) && pieces.next().is_some() {
        let compound = name.get(name.len() - extension.len() - b"tar.".len()..)?;
        if let Some(found) = by_extension(compound) {
            return Some(found);
        }
    }
    if extension.len() < name.len()
        && let Some(found) = by_extension(extension)
    {
        return Some(found);
    }
    let (_, found) = NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known))?;
    Some(found)
}

fn by_extension(extension: &[u8]) -> Option<&'static str> {
    let wanted = key(extension)?;
    let at = TABLE.binary_search_by_key(&wanted, |&(key, _)| key).ok()?;
    TABLE.get(at).map(|&(_, found)| found)
}

/// An extension as a number that sorts as its text does, in lower case; `None` when it is longer than any we know.
///
/// The search then compares two words a step, instead of calling out to compare bytes. (No file name holds NUL.)
const fn key(extension: &[u8]) -> Option<u128> {
    if extension.len() > 16 {
        return None;
    }
    let mut packed = [0; 16];
    let (start, _) = packed.split_at_mut(extension.len());
    start.copy_from_slice(extension);
    packed.make_ascii_lowercase();
    Some(u128::from_be_bytes(packed))
}

/// [`TYPES`] with the extensions packed; a table that is not sorted does not compile.
static TABLE: [(u128, &str); TYPES.len()] = {
    let mut table = [(0, ""); TYPES.len()];
    let mut before = 0;
    let mut at = 0;
    while at < TYPES.len() {
        let (extension, content_type) = TYPES[at];
        let Some(key) = key(extension.as_bytes()) else {
            panic!("an extension is too long");
        };
        assert!(before < key, "an extension is out of order");
        table[at] = (key, content_type);
        before = key;
        at += 1;
    }
    table
};

/// Types of files that are known by their whole name.
const NAMES: &[(&[u8], &str)] = &[
    (b"readme", "text/plain; charset=utf-8"),
    (b"license", "text/plain; charset=utf-8"),
    (b"copying", "text/plain; charset=utf-8"),
    (b"changelog", "text/plain; charset=utf-8"),
    (b"makefile", "text/plain; charset=utf-8"),
    (b"wpad.dat", "application/x-ns-proxy-autoconfig"),
];

/// Types by extension, sorted: uhttpd's, with today's names, and what the web has come to use since.
#[rustfmt::skip]
const TYPES: &[(&str, &str)] = &[
    ("3gp", "video/3gpp"),
    ("7z", "application/x-7z-compressed"),
    ("aac", "audio/aac"),
    ("apk", "application/octet-stream"),
    ("apng", "image/apng"),
    ("appcache", "text/cache-manifest; charset=utf-8"),
    ("atom", "application/atom+xml"),
    ("avi", "video/x-msvideo"),
    ("avif", "image/avif"),
    ("bin", "application/octet-stream"),
    ("bmp", "image/bmp"),
    ("br", "application/x-brotli"),
    ("bz2", "application/x-bzip2"),
    ("c", "text/x-csrc; charset=utf-8"),
    ("cer", "application/x-x509-ca-cert"),
    ("cfg", "text/plain; charset=utf-8"),
    ("cjs", "text/javascript; charset=utf-8"),
    ("conf", "text/plain; charset=utf-8"),
    ("crt", "application/x-x509-ca-cert"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("cur", "image/x-icon"),
    ("deb", "application/vnd.debian.binary-package"),
    ("der", "application/x-x509-ca-cert"),
    ("diff", "text/x-patch; charset=utf-8"),
    ("dmg", "application/octet-stream"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("eot", "application/vnd.ms-fontobject"),
    ("epub", "application/epub+zip"),
    ("exe", "application/octet-stream"),
    ("flac", "audio/flac"),
    ("flv", "video/x-flv"),
    ("geojson", "application/geo+json"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("h", "text/x-chdr; charset=utf-8"),
    ("heic", "image/heic"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("ics", "text/calendar; charset=utf-8"),
    ("img", "application/octet-stream"),
    ("ini", "text/plain; charset=utf-8"),
    ("ipk", "application/octet-stream"),
    ("iso", "application/x-iso9660-image"),
    ("jar", "application/java-archive"),
    ("jfif", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("jsonld", "application/ld+json"),
    ("jsonp", "text/javascript; charset=utf-8"),
    ("jxl", "image/jxl"),
    ("ko", "application/x-object"),
    ("list", "text/plain; charset=utf-8"),
    ("log", "text/plain; charset=utf-8"),
    ("m3u", "audio/x-mpegurl"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4a", "audio/mp4"),
    ("m4v", "video/mp4"),
    ("manifest", "text/cache-manifest; charset=utf-8"),
    ("map", "application/json"),
    ("markdown", "text/markdown; charset=utf-8"),
    ("md", "text/markdown; charset=utf-8"),
    ("mid", "audio/midi"),
    ("midi", "audio/midi"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mkv", "video/matroska"),
    ("mobileconfig", "application/x-apple-aspen-config"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("mpd", "application/dash+xml"),
    ("mpeg", "video/mpeg"),
    ("mpg", "video/mpeg"),
    ("o", "application/x-object"),
    ("odg", "application/vnd.oasis.opendocument.graphics"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/ogg"),
    ("otf", "font/otf"),
    ("p12", "application/pkcs12"),
    ("pac", "application/x-ns-proxy-autoconfig"),
    ("patch", "text/x-patch; charset=utf-8"),
    ("pcap", "application/vnd.tcpdump.pcap"),
    ("pdf", "application/pdf"),
    ("pem", "application/x-pem-file"),
    ("pfx", "application/pkcs12"),
    ("php", "application/x-httpd-php"),
    ("pl", "application/x-perl"),
    ("png", "image/png"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("rar", "application/vnd.rar"),
    ("rpm", "application/x-rpm"),
    ("rss", "application/rss+xml"),
    ("rtf", "application/rtf"),
    ("sh", "application/x-sh"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tar.bz2", "application/x-bzip2-compressed-tar"),
    ("tar.gz", "application/x-compressed-tar"),
    ("tar.xz", "application/x-xz-compressed-tar"),
    ("tar.zst", "application/x-zstd-compressed-tar"),
    ("tbz", "application/x-bzip2-compressed-tar"),
    ("tbz2", "application/x-bzip2-compressed-tar"),
    ("text", "text/plain; charset=utf-8"),
    ("tgz", "application/x-compressed-tar"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("toml", "application/toml"),
    ("torrent", "application/x-bittorrent"),
    ("ts", "video/mp2t"),
    ("tsv", "text/tab-separated-values; charset=utf-8"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=utf-8"),
    ("txz", "application/x-xz-compressed-tar"),
    ("vcf", "text/vcard; charset=utf-8"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("weba", "audio/webm"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xhtml", "application/xhtml+xml"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xml", "application/xml"),
    ("xsl", "application/xml"),
    ("xslt", "application/xslt+xml"),
    ("xz", "application/x-xz"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn by_name() {
        const TEXT: &str = "text/plain; charset=utf-8";
        const UNKNOWN: &str = "application/octet-stream";
        #[rustfmt::skip]
        let rows: &[(&[u8], &str)] = &[
            (b"index.html", "text/html; charset=utf-8"),
            (b"INDEX.HTML", "text/html; charset=utf-8"),
            (b"/www/luci-static/a.min.js", "text/javascript; charset=utf-8"),
            (b"style.css", "text/css; charset=utf-8"),
            (b"favicon.ico", "image/x-icon"),
            (b"a.svg", "image/svg+xml"),
            (b"a.json", "application/json"),
            (b"a.woff2", "font/woff2"),
            (b"app.webmanifest", "application/manifest+json"),
            (b"wifi.mobileconfig", "application/x-apple-aspen-config"),
            (b"a.7z", "application/x-7z-compressed"),
            (b"a.zst", "application/zstd"),
            (b"segment.ts", "video/mp2t"),
            (b"a.gz", "application/gzip"),
            (b"a.tar.gz", "application/x-compressed-tar"),
            (b"a.b.TAR.bz2", "application/x-bzip2-compressed-tar"),
            (b"a.tar.css", "text/css; charset=utf-8"),
            (b"tar.gz", "application/gzip"),
            (b".tar.gz", "application/x-compressed-tar"),
            (b"a.html.gz", "application/gzip"),
            (b"a.html.unknown", UNKNOWN),
            (b"a.averyveryverylongextension", UNKNOWN),
            (b"a.", UNKNOWN),
            (b".html", "text/html; charset=utf-8"),
            (b".htaccess", UNKNOWN),
            (b"html", UNKNOWN),
            (b"dir.html/file", UNKNOWN),
            (b"README", TEXT),
            (b"/src/Makefile", TEXT),
            (b"README.md", "text/markdown; charset=utf-8"),
            (b"a.readme", UNKNOWN),
            (b"wpad.dat", "application/x-ns-proxy-autoconfig"),
            (b"other.dat", UNKNOWN),
            (b"openwrt.bin", UNKNOWN),
            (b"", UNKNOWN),
            (b"/", UNKNOWN),
            (b"a.\xff\xfe", UNKNOWN),
        ];
        for &(name, want) in rows {
            assert_eq!(content_type(name), want, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn table_is_sorted_and_lower_case() {
        assert!(TYPES.is_sorted_by(|a, b| a.0 < b.0));
        for (extension, content_type) in TYPES {
            assert!(!extension.contains(|c: char| c.is_ascii_uppercase()), "{extension}");
            assert_eq!(content_type.starts_with("text/"), content_type.ends_with("; charset=utf-8"));
            let name = format!("x.{}", extension.to_uppercase());
            assert_eq!(super::content_type(name.as_bytes()), *content_type);
        }
    }

    proptest! {
        #[test]
        fn no_panic(name in proptest::collection::vec(any::<u8>(), 0..40)) {
            content_type(&name);
        }
    }
}
