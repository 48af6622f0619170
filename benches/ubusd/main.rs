//! The stand-in for ubusd that the tests use, as a program: `ubusd SOCKET`, until it is ended.

#[path = "../../tests/common_ubus/mod.rs"]
mod common_ubus;

use std::path::Path;

fn main() {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: ubusd SOCKET");
        return;
    };
    let bus = common_ubus::Bus::start(Path::new(&path));
    println!("ready at {}", bus.path());
    loop {
        std::thread::park();
    }
}
