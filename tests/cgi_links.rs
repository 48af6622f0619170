//! `-S`: what is run is what was looked at, wherever a link leads a moment later.

mod common;
mod common_cgi;
mod common_files;

use common::system::without_openat2;
use common_cgi::{Scripts, install};
use common_files::program;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const INSIDE: &str = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\ninside %s' \"$SCRIPT_FILENAME\"\n";
const OUTSIDE: &str = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\noutside'\n";

/// With openat2(2), and where the system does not know it.
fn sites(args: &[&str]) -> [(Scripts, &'static str); 2] {
    let mut old = program();
    without_openat2(&mut old);
    [(program(), "with openat2"), (old, "without openat2")].map(|(command, name)| {
        let site = Scripts::run(command, &[&["-S"], args].concat(), &[("inside", INSIDE)]);
        install(&site.note("outside"), OUTSIDE);
        (site, name)
    })
}

/// Points a link to these in turn until the flag is set.
fn flip(link: &Path, targets: [&'static str; 2], done: &Arc<AtomicBool>) -> thread::JoinHandle<()> {
    let (link, done) = (link.to_owned(), Arc::clone(done));
    thread::spawn(move || {
        let next = link.with_extension("next");
        for target in targets.into_iter().cycle().take_while(|_| !done.load(Ordering::Relaxed)) {
            symlink(target, &next).unwrap();
            fs::rename(&next, &link).unwrap();
        }
    })
}

#[test]
fn a_link_that_is_flipped_never_leads_out() {
    for (site, name) in sites(&["-i", ".page=/bin/sh"]) {
        let done = Arc::new(AtomicBool::new(false));
        let script = flip(&site.root.join("cgi-bin/flip"), ["inside", "../../outside"], &done);
        let page = flip(&site.root.join("a.page"), ["cgi-bin/inside", "../outside"], &done);
        for target in ["/cgi-bin/flip", "/a.page"] {
            let (mut inside, mut refused) = (0, 0);
            // Until both were seen; the flips have no order.
            while inside < 100 || refused < 5 {
                assert!(inside < 10_000, "{name}: {target}: no link was refused");
                let reply = site.get(target);
                match (reply.status, reply.text()) {
                    (200, text) if text.starts_with("inside ") => inside += 1,
                    (403 | 404, _) => refused += 1,
                    (status, text) => panic!("{name}: {target}: {status} {text}"),
                }
            }
        }
        done.store(true, Ordering::Relaxed);
        script.join().unwrap();
        page.join().unwrap();
    }
}

#[test]
fn what_scripts_are_told_of_their_file() {
    for (site, name) in sites(&["-i", ".page=/bin/sh"]) {
        let root = site.root.to_str().unwrap();
        symlink("inside", site.root.join("cgi-bin/link")).unwrap();
        symlink(site.root.join("cgi-bin/inside"), site.root.join("cgi-bin/absolute")).unwrap();
        symlink("cgi-bin/inside", site.root.join("a.page")).unwrap();
        symlink("../../outside", site.root.join("cgi-bin/out")).unwrap();
        for script in ["inside", "link", "absolute"] {
            let reply = site.get(&format!("/cgi-bin/{script}"));
            assert_eq!(reply.text(), format!("inside {root}/cgi-bin/{script}"), "{name}");
        }
        // An interpreter opens the file of that name, as php-cgi does.
        assert_eq!(site.get("/a.page").text(), "inside /proc/self/fd/3", "{name}");
        assert_eq!(site.get("/cgi-bin/out").status, 403, "{name}");
    }
}
