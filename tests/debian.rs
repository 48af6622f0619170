//! The package for Debian: what it installs, leaves alone and removes, and its service.

#![allow(clippy::unwrap_used)]
#![cfg(all(feature = "daemon", feature = "terminal", feature = "tls"))]

mod common;
mod common_files;

use common::skip;
use common_files::program;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What the package installs: each path beneath `/`, with its permissions.
#[rustfmt::skip]
const FILES: &[(&str, u32)] = &[
    ("etc/ecohttpd/ecohttpd.conf", 0o644),
    ("lib/systemd/system/ecohttpd.service", 0o644),
    ("usr/bin/ecohttpd", 0o755),
    ("usr/share/bash-completion/completions/ecohttpd", 0o644),
    ("usr/share/doc/ecohttpd/README.Debian", 0o644),
    ("usr/share/doc/ecohttpd/changelog.gz", 0o644),
    ("usr/share/doc/ecohttpd/copyright", 0o644),
    ("usr/share/fish/vendor_completions.d/ecohttpd.fish", 0o644),
    ("usr/share/man/man8/ecohttpd.8.gz", 0o644),
    ("usr/share/zsh/vendor-completions/_ecohttpd", 0o644),
];

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Whether what makes and installs packages is here.
fn is_debian() -> bool {
    let there = |name: &str| Command::new(name).arg("--version").output().is_ok();
    let all = ["dpkg-deb", "dpkg-shlibdeps", "fakeroot"].iter().all(|name| there(name));
    if !all {
        skip("no dpkg-dev and fakeroot to make and install a package");
    }
    all
}

/// Makes a package in a folder, of a small program in the place of a release.
fn package(folder: &Path, version: &str) -> PathBuf {
    let mut command = Command::new(format!("{ROOT}/packaging/deb.sh"));
    command.arg("/bin/true").arg(folder).env("DEB_VERSION", version).env("SOURCE_DATE_EPOCH", "1800000000");
    let printed = run(&mut command).stdout;
    String::from_utf8(printed).unwrap().trim_end().into()
}

/// A system with no other package in it, and dpkg for it.
struct System(tempfile::TempDir);

impl System {
    fn new() -> System {
        let root = tempfile::tempdir().unwrap();
        for folder in ["info", "updates", "triggers"] {
            fs::create_dir_all(root.path().join("var/lib/dpkg").join(folder)).unwrap();
        }
        fs::write(root.path().join("var/lib/dpkg/status"), "").unwrap();
        System(root)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// What dpkg says. Its scripts know by `DPKG_ROOT` which system they are for.
    fn dpkg(&self, args: &[&str]) -> String {
        let mut command = Command::new("fakeroot");
        command.args(["dpkg", "--force-not-root", "--force-script-chrootless", "--force-depends"]);
        command.arg(format!("--root={}", self.0.path().display())).args(args);
        // Where ldconfig and start-stop-daemon are.
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        String::from_utf8(run(&mut command).stdout).unwrap()
    }
}

#[test]
fn it_installs_upgrades_and_goes() {
    if !is_debian() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let old = package(folder.path(), "0.0.1");
    let system = System::new();
    let said = system.dpkg(&["-i", old.to_str().unwrap()]);
    assert!(said.contains("systemctl enable --now ecohttpd"), "{said}");
    for (path, mode) in FILES {
        let found = fs::metadata(system.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(found.permissions().mode() & 0o7777, *mode, "{path}");
    }
    let listed = system.dpkg(&["-L", "ecohttpd"]);
    let files = listed.lines().map(|path| path.trim_start_matches('/')).filter(|path| system.path(path).is_file());
    let known = |path: &str| FILES.iter().any(|(known, _)| *known == path);
    assert_eq!(files.filter(|path| !known(path)).collect::<Vec<_>>(), [""; 0], "what else it installs");

    // A configuration that was changed stays, through everything but a purge.
    let config = system.path("etc/ecohttpd/ecohttpd.conf");
    fs::write(&config, "config uhttpd main\n").unwrap();
    let new = package(folder.path(), "0.0.2");
    let said = system.dpkg(&["-i", new.to_str().unwrap()]);
    assert!(!said.contains("systemctl enable"), "it is known already: {said}");
    assert_eq!(fs::read_to_string(&config).unwrap(), "config uhttpd main\n");
    system.dpkg(&["-r", "ecohttpd"]);
    assert!(config.exists() && !system.path("usr/bin/ecohttpd").exists());
    system.dpkg(&["-P", "ecohttpd"]);
    for (path, _) in FILES {
        assert!(!system.path(path).exists(), "{path} stays");
    }
}

#[test]
fn the_same_program_gives_the_same_bytes() {
    if !is_debian() {
        return;
    }
    let [one, two] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let (one, two) = (package(one.path(), "0.0.1"), package(two.path(), "0.0.1"));
    assert!(fs::read(one).unwrap() == fs::read(two).unwrap());
}

#[test]
fn its_configuration_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(format!("{ROOT}/packaging/debian/ecohttpd.conf")).unwrap();
    // With and without what stands behind `#` there.
    for text in [text.clone(), text.replace("\t# list", "\tlist").replace("\t# option", "\toption")] {
        let mut here = text;
        for from in ["/var/www/html", "/var/lib/ecohttpd", "/var/log/ecohttpd"] {
            let to = folder.path().join(from.trim_start_matches("/var/"));
            fs::create_dir_all(&to).unwrap();
            here = here.replace(from, to.to_str().unwrap());
        }
        fs::write(folder.path().join("conf"), &here).unwrap();
        let output = program().arg("--config").arg(folder.path().join("conf")).arg("--test").output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}\n{here}");
    }
}

/// The unit is valid, and systemd's measure of what a service could do is low.
#[test]
fn its_service_may_do_little() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("ecohttpd.service");
    let text = fs::read_to_string(format!("{ROOT}/packaging/debian/ecohttpd.service")).unwrap();
    // The program need not be installed here.
    fs::write(&unit, text.replace("/usr/bin/ecohttpd", "/bin/true")).unwrap();
    let analyze = |args: &[&str]| Command::new("systemd-analyze").args(args).arg(&unit).output();
    let Ok(verified) = analyze(&["verify", "--man=no"]) else { return skip("no systemd-analyze") };
    assert!(verified.status.success() && verified.stderr.is_empty(), "{verified:?}");
    let rated = analyze(&["security", "--offline=true", "--threshold=30", "--no-pager"]).unwrap();
    assert!(rated.status.success(), "{}", String::from_utf8_lossy(&rated.stdout));
}
