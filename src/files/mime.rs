//! Content types by file name.

/// The content type of a file, by its extension in any case; `application/octet-stream` if it is unknown.
///
/// `name` may be a whole path. Only text types have a charset: UTF-8.
pub fn content_type(name: &[u8]) -> &'static str {
    lookup(name).unwrap_or("application/octet-stream")
}

/// Finds a type by the extension, else by the whole name.
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
    if name.eq_ignore_ascii_case(b"wpad.dat") {
        return by_extension(b"pac");
    }
    TEXTS.iter().any(|known| name.eq_ignore_ascii_case(known)).then_some("text/plain; charset=utf-8")
}

/// Searches the table line by line. The most frequent types come first, and hot files keep the result.
fn by_extension(extension: &[u8]) -> Option<&'static str> {
    TYPES.lines().find_map(|line| {
        let (content_type, extensions) = line.split_once('\t')?;
        let mut extensions = extensions.as_bytes().split(|&b| b == b' ');
        extensions.any(|known| extension.eq_ignore_ascii_case(known)).then_some(content_type)
    })
}

/// Text files that have no extension.
const TEXTS: &[&[u8]] = &[b"readme", b"license", b"copying", b"changelog", b"makefile"];

/// Types and their extensions: those of uhttpd under their current names, and newer ones.
///
/// One string instead of a table of slices, because the relocation and the pointer of a slice take more bytes than its
/// text.
const TYPES: &str = "\
text/html; charset=utf-8\thtml htm\n\
text/css; charset=utf-8\tcss\n\
text/javascript; charset=utf-8\tjs mjs cjs jsonp\n\
image/svg+xml\tsvg\n\
image/png\tpng\n\
application/json\tjson map\n\
image/gif\tgif\n\
image/jpeg\tjpg jfif jpeg\n\
image/x-icon\tico cur\n\
font/woff2\twoff2\n\
text/plain; charset=utf-8\ttxt cfg conf ini list log text\n\
image/webp\twebp\n\
application/xml\txml xsl\n\
application/atom+xml\tatom\n\
application/dash+xml\tmpd\n\
application/epub+zip\tepub\n\
application/geo+json\tgeojson\n\
application/gzip\tgz\n\
application/java-archive\tjar\n\
application/ld+json\tjsonld\n\
application/manifest+json\twebmanifest\n\
application/msword\tdoc\n\
application/octet-stream\tapk bin dmg exe img ipk\n\
application/pdf\tpdf\n\
application/pkcs12\tp12 pfx\n\
application/rss+xml\trss\n\
application/rtf\trtf\n\
application/toml\ttoml\n\
application/vnd.apple.mpegurl\tm3u8\n\
application/vnd.debian.binary-package\tdeb\n\
application/vnd.ms-excel\txls\n\
application/vnd.ms-fontobject\teot\n\
application/vnd.ms-powerpoint\tppt\n\
application/vnd.oasis.opendocument.graphics\todg\n\
application/vnd.oasis.opendocument.presentation\todp\n\
application/vnd.oasis.opendocument.spreadsheet\tods\n\
application/vnd.oasis.opendocument.text\todt\n\
application/vnd.openxmlformats-officedocument.presentationml.presentation\tpptx\n\
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet\txlsx\n\
application/vnd.openxmlformats-officedocument.wordprocessingml.document\tdocx\n\
application/vnd.rar\trar\n\
application/vnd.tcpdump.pcap\tpcap\n\
application/wasm\twasm\n\
application/x-7z-compressed\t7z\n\
application/x-apple-aspen-config\tmobileconfig\n\
application/x-bittorrent\ttorrent\n\
application/x-brotli\tbr\n\
application/x-bzip2\tbz2\n\
application/x-bzip2-compressed-tar\ttar.bz2 tbz tbz2\n\
application/x-compressed-tar\ttar.gz tgz\n\
application/x-httpd-php\tphp\n\
application/x-iso9660-image\tiso\n\
application/x-ns-proxy-autoconfig\tpac\n\
application/x-object\tko o\n\
application/x-pem-file\tpem\n\
application/x-perl\tpl\n\
application/x-rpm\trpm\n\
application/x-sh\tsh\n\
application/x-tar\ttar\n\
application/x-x509-ca-cert\tcer crt der\n\
application/x-xz\txz\n\
application/x-xz-compressed-tar\ttar.xz txz\n\
application/x-zstd-compressed-tar\ttar.zst\n\
application/xhtml+xml\txhtml\n\
application/xslt+xml\txslt\n\
application/yaml\tyaml yml\n\
application/zip\tzip\n\
application/zstd\tzst\n\
audio/aac\taac\n\
audio/flac\tflac\n\
audio/midi\tmid midi\n\
audio/mp4\tm4a\n\
audio/mpeg\tmp3\n\
audio/ogg\toga ogg opus\n\
audio/wav\twav\n\
audio/webm\tweba\n\
audio/x-mpegurl\tm3u\n\
font/otf\totf\n\
font/ttf\tttf\n\
font/woff\twoff\n\
image/apng\tapng\n\
image/avif\tavif\n\
image/bmp\tbmp\n\
image/heic\theic\n\
image/jxl\tjxl\n\
image/tiff\ttif tiff\n\
text/cache-manifest; charset=utf-8\tappcache manifest\n\
text/calendar; charset=utf-8\tics\n\
text/csv; charset=utf-8\tcsv\n\
text/markdown; charset=utf-8\tmarkdown md\n\
text/tab-separated-values; charset=utf-8\ttsv\n\
text/vcard; charset=utf-8\tvcf\n\
text/vtt; charset=utf-8\tvtt\n\
text/x-chdr; charset=utf-8\th\n\
text/x-csrc; charset=utf-8\tc\n\
text/x-patch; charset=utf-8\tdiff patch\n\
video/3gpp\t3gp\n\
video/matroska\tmkv\n\
video/mp2t\tts\n\
video/mp4\tm4v mp4\n\
video/mpeg\tmpeg mpg\n\
video/ogg\togv\n\
video/quicktime\tmov\n\
video/webm\twebm\n\
video/x-flv\tflv\n\
video/x-msvideo\tavi\n";

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
    fn every_line_is_whole_and_no_extension_stands_twice() {
        let mut seen = std::collections::HashSet::new();
        for line in TYPES.lines() {
            let (content_type, extensions) = line.split_once('\t').unwrap();
            assert_eq!(content_type.starts_with("text/"), content_type.ends_with("; charset=utf-8"), "{line}");
            for extension in extensions.split(' ') {
                assert!(seen.insert(extension), "{extension} stands twice");
                assert!(!extension.is_empty() && !extension.contains(|c: char| c.is_ascii_uppercase()), "{line}");
                let name = format!("x.{}", extension.to_uppercase());
                assert_eq!(super::content_type(name.as_bytes()), content_type);
            }
        }
        assert!(seen.len() > 140);
    }

    proptest! {
        #[test]
        fn no_panic(name in proptest::collection::vec(any::<u8>(), 0..40)) {
            content_type(&name);
        }
    }
}
