//! The commands of the documents, and what runs each.

/// What runs a command of the documents.
pub enum Proof {
    /// This test: with a free port, and files of its own in the place of those that it names, it serves.
    Serves,
    /// This test: it ends well, and prints this.
    Prints(&'static str),
    /// This test: the example is started, and answers.
    Example(&'static str),
    /// `cargo test`: the file of tests, empty for all of them.
    Tests(&'static str),
    /// `.ci/run` or a script that the checks reach: the file, and the line's part that is this command or stands for it.
    Script(&'static str, &'static str),
}

use Proof::{Example, Prints, Script, Serves, Tests};

pub const CI: &str = ".ci/run";

/// Every command of the documents.
#[rustfmt::skip]
pub const COMMANDS: &[(&str, Proof)] = &[
    ("cargo run --release -- -f -p 8080 -h .", Serves),
    ("cargo run --release -- -f -p 127.0.0.1:8080 -h examples/www", Serves),
    ("cargo run --release -- -f -s 127.0.0.1:8443 --self-signed -C target/cert.pem -K target/key.pem -h examples", Serves),
    ("ecohttpd -f -p 127.0.0.1:8080 -h /www", Serves),
    ("ecohttpd -f --config /etc/config/uhttpd", Serves),
    ("ecohttpd --config /etc/config/uhttpd --test", Prints("configuration")),
    ("ecohttpd --config /etc/config/uhttpd --dump", Prints("config uhttpd")),
    ("ecohttpd --urldecode 'a%20b'", Prints("a b")),
    ("ecohttpd --md5crypt secret", Prints("$1$")),
    ("cargo run --example hello", Example("hello")),
    ("cargo run --example upload", Example("upload")),
    ("cargo run --example clock", Example("clock")),
    ("cargo run --example workers", Example("workers")),
    ("cargo run --example chat", Example("chat")),
    ("cargo test", Tests("")),
    ("cargo test --test files", Tests("files")),
    ("cargo test --bin ecohttpd documents", Tests("")),
    ("cargo test --test openwrt", Tests("openwrt")),
    ("ECOHTTPD_SOAK=120 cargo test --test soak", Tests("soak")),
    ("ECOHTTPD_MIPS=$(cross/build.sh mips-unknown-linux-musl) cargo test --test openwrt", Script(CI, "cargo test --locked --test openwrt")),
    (".ci/run", Script(CI, "main \"$@\"")),
    ("packaging/release.sh", Script("packaging/reproducible.sh", "packaging/release.sh\"")),
    ("REHEARSAL=1 packaging/release.sh x86_64-unknown-linux-musl", Script("packaging/reproducible.sh", "REHEARSAL=1 CARGO_HOME=")),
    ("packaging/reproducible.sh", Script(CI, "packaging/reproducible.sh")),
    ("cargo publish", Script("packaging/release.sh", "cargo publish --dry-run --locked")),
    ("cargo publish --dry-run", Script("packaging/release.sh", "cargo publish --dry-run --locked")),
    ("dpkg -i ecohttpd_0.1.0_amd64.deb", Script("tests/debian_service.sh", "dpkg -i ")),
    ("systemctl enable --now ecohttpd", Script("tests/debian_service.sh", "systemctl start ecohttpd")),
    ("systemctl reload ecohttpd", Script("tests/debian_service.sh", "systemctl reload ecohttpd")),
    ("cargo doc --open", Script(CI, "cargo doc --no-deps --locked")),
    ("cargo fmt", Script(CI, "cargo fmt --check")),
    ("cargo clippy --locked --all-targets -- -D warnings", Script(CI, "cargo clippy --locked --all-targets -- -D warnings")),
    ("cargo build --release", Script(CI, "cargo build --release --locked")),
    ("cargo build --profile router --target", Script(CI, "cargo build --profile router --locked")),
    ("apt install gcc", Script(CI, "cc:gcc")),
    ("fuzz/run.sh", Script(CI, "fuzz/run.sh 20")),
    ("fuzz/run.sh 60", Script(CI, "fuzz/run.sh 20")),
    ("fuzz/run.sh 60 head", Script(CI, "fuzz/run.sh 20")),
    ("tests/file_systems.sh", Script(CI, "tests/file_systems.sh")),
    ("benches/syscalls.sh", Script(CI, "benches/syscalls.sh")),
    ("benches/instructions.sh", Script(CI, "benches/instructions.sh")),
    ("PEERS=1 BACKENDS=1 benches/instructions.sh", Script(CI, "PEERS=1 BACKENDS=1 N1=200 N2=1200 benches/instructions.sh")),
    ("benches/memory.sh", Script(CI, "benches/memory.sh")),
    ("benches/versus.sh", Script(CI, "benches/versus.sh")),
    ("benches/cgi.sh", Script(CI, "benches/cgi.sh")),
    ("benches/ubus.sh", Script(CI, "benches/ubus.sh")),
    ("benches/websocket.sh", Script(CI, "benches/websocket.sh")),
    ("cross/setup.sh", Script(CI, "cross/setup.sh")),
    ("cross/build.sh", Script(CI, "$(cross/build.sh ")),
    ("cross/build.sh mipsel-unknown-linux-musl", Script(CI, "cross/build.sh mipsel-unknown-linux-musl")),
    ("TOOLCHAIN=nightly cross/setup.sh && TOOLCHAIN=nightly cross/build.sh mipsel-unknown-linux-musl", Script(CI, "TOOLCHAIN=nightly cross/setup.sh && TOOLCHAIN=nightly cross/build.sh mipsel-unknown-linux-musl")),
    ("cross/test.sh", Script(CI, "cross/test.sh \"$target\"")),
    ("cross/test.sh mips-unknown-linux-musl", Script(CI, "cross/test.sh \"$target\"")),
    ("cross/tls.sh", Script("cross/test.sh", "cross/tls.sh \"$target\"")),
    ("cross/vm.sh", Script(CI, "cross/vm.sh mipsel")),
    ("cross/vm.sh mipsel", Script(CI, "cross/vm.sh mipsel")),
    ("cross/instructions.sh", Script(CI, "cross/instructions.sh")),
    ("cross/sizes.sh", Script(CI, "cross/sizes.sh mips-unknown-linux-musl")),
    ("cross/sizes.sh mips-unknown-linux-musl", Script(CI, "cross/sizes.sh mips-unknown-linux-musl")),
    ("tests/openwrt_sizes.sh", Script(CI, "tests/openwrt_sizes.sh mips-unknown-linux-musl")),
    ("tests/openwrt_sizes.sh mips-unknown-linux-musl", Script(CI, "tests/openwrt_sizes.sh mips-unknown-linux-musl")),
    // OpenWrt's buildroot is not here: the package is made by the same Makefile, with a stand-in for what that includes.
    ("./scripts/feeds update -a && ./scripts/feeds install ecohttpd luci-app-ecohttpd", Script("tests/openwrt_package.sh", "make -s -C openwrt/ecohttpd")),
    ("make package/ecohttpd/compile", Script("tests/openwrt_package.sh", "make -s -C openwrt/ecohttpd")),
    ("service ecohttpd check", Script("tests/openwrt_states.sh", "service ecohttpd check")),
    ("service ecohttpd give_back", Script("tests/openwrt_states.sh", "service ecohttpd give_back")),
    ("service ecohttpd take_over", Script("tests/openwrt_states.sh", "service ecohttpd take_over")),
    ("service uhttpd reload", Script("tests/openwrt_states.sh", "service uhttpd reload")),
    // Nor is its logread: this is what it looks for.
    ("logread -e ecohttpd", Script("openwrt/ecohttpd/files/functions.sh", "logger -t ecohttpd")),
];

/// How code spans begin that are commands.
pub const STARTS: &[&str] = &[
    ".ci/",
    "apt install ",
    "benches/",
    "cargo ",
    "cross/",
    "ecohttpd -",
    "fuzz/run",
    "packaging/",
    "systemctl ",
    "service ",
    "tests/file_systems.sh",
    "tests/openwrt_sizes.sh",
];
