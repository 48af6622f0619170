//! The values of `proxy` and `fastcgi` in a program that is built without them: `check` says so.

use super::backend::Backend;
use super::values::{Expected, extensions, nearest_extensions, prefix};

/// Anything.
pub fn proxy(text: &str) -> Result<Backend, Expected> {
    Ok(Backend::new(String::new(), text))
}

/// What the server was to run: those files are programs all the same and must not be served as text.
pub fn fastcgi(text: &str) -> Result<Backend, Expected> {
    let from = text.split('=').next().unwrap_or_default();
    let from = extensions(from).or_else(|| prefix(from).ok()).or_else(|| nearest_extensions(from));
    Ok(Backend::new(from.ok_or(".EXT=ADDR or /PREFIX=ADDR")?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fastcgi_servers_run_is_known() {
        let rows = [
            (".php=unix:/run/php-fpm.sock", Some(".php")),
            (" .php  .inc.php=unix:/x", Some(".php .inc.php")),
            ("php", Some(".php")),
            ("/app/=h:9000", Some("/app")),
            ("", None),
            (".=h:1", None),
        ];
        for (text, from) in rows {
            assert_eq!(fastcgi(text).ok().map(|backend| backend.from).as_deref(), from, "{text}");
        }
        assert_eq!(proxy("/a=http://h").unwrap().to_string(), "/a=http://h");
    }
}
