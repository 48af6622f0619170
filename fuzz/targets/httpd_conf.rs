//! The file of `-c`: no line that names a path or an address opens anything in silence.
#![no_main]

use ecohttpd_fuzz::httpd_conf::parse;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let conf = parse(data);
    let lines: Vec<_> = data.split(|&byte| byte == b'\n').collect();
    let paths = lines.iter().filter(|line| line.starts_with(b"/")).count();
    assert!(conf.realms.len() >= paths, "{} realms of {paths} lines", conf.realms.len());
    let rules = lines.iter().filter(|line| line.starts_with(b"A:") || line.starts_with(b"D:")).count();
    assert!(conf.access.len() >= rules, "{} rules of {rules} lines", conf.access.len());
    assert!(conf.warnings.iter().all(|warning| !warning.contains('\n')));
    for realm in &conf.realms {
        assert!(!realm.path.contains(['\n', ':']), "{realm:?}");
    }
    assert!(conf.error_page.is_none_or(|url| url.starts_with('/')));
    assert!(conf.index.iter().all(|name| !name.is_empty() && !name.starts_with('/') && !name.contains('\0')));
    for (extension, program) in &conf.interpreters {
        assert!(extension.starts_with('.') && extension.len() > 1 && program.starts_with('/'), "{extension}:{program}");
    }
});
