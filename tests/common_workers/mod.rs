//! What the tests of workers share: a site with a handler, by the stand-in for ucode, by the real Lua, and by the real ucode
//! where it is installed.

#![allow(dead_code, clippy::unwrap_used)]

use crate::common::skip;
use crate::common_cgi::Scripts;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A daemon with a handler at `/h`, and whatever else the arguments say.
pub struct Site {
    pub scripts: Scripts,
    /// The handler's file.
    pub file: PathBuf,
    _folder: TempDir,
}

impl std::ops::Deref for Site {
    type Target = Scripts;
    fn deref(&self) -> &Scripts {
        &self.scripts
    }
}

/// What runs handlers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// Python, in place of ucode: it forks.
    StandIn,
    /// Lua, which does not.
    Lua,
    /// The real one. Few computers have it: it is in no distribution but OpenWrt.
    Ucode,
}

impl By {
    /// Those that there are here.
    pub fn all() -> Vec<By> {
        By::those(&[By::StandIn, By::Lua, By::Ucode])
    }

    /// Those that fork.
    pub fn forking() -> Vec<By> {
        By::those(&[By::StandIn, By::Ucode])
    }

    fn those(all: &[By]) -> Vec<By> {
        all.iter().copied().filter(|by| by.is_here()).collect()
    }

    /// Whether the interpreter is installed. If not, that is said.
    pub fn is_here(self) -> bool {
        let (program, args) = match self {
            By::StandIn => ("python3", ["--version", ""]),
            By::Lua => ("lua5.1", ["-v", ""]),
            By::Ucode => ("ucode", ["-e", "require('socket'); require('uloop'); require('fs')"]),
        };
        let args = args.iter().filter(|arg| !arg.is_empty());
        let status = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
        let is = status.is_ok_and(|status| status.success());
        if !is && self != By::Ucode {
            skip(&format!("no {program} here"));
        }
        is
    }

    /// The option and the command of its worker.
    pub fn worker(self) -> [String; 2] {
        let root = env!("CARGO_MANIFEST_DIR");
        match self {
            By::StandIn => {
                ["--ucode-worker".into(), format!("/usr/bin/env python3 {root}/tests/common_workers/standin.py")]
            }
            By::Lua => ["--lua-worker".into(), format!("/usr/bin/env lua5.1 {root}/openwrt/ecohttpd/files/worker.lua")],
            By::Ucode => {
                ["--ucode-worker".into(), format!("/usr/bin/env ucode {root}/openwrt/ecohttpd/files/worker.uc")]
            }
        }
    }

    /// A site with a handler of that text at a prefix.
    pub fn site_at(self, prefix: &str, args: &[&str], text: &str, scripts: &[(&str, &str)]) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("handler");
        fs::write(&file, text).unwrap();
        let letter = if self == By::Lua { "-l" } else { "-o" };
        let pair = format!("{prefix}={}", file.display());
        let [option, command] = self.worker();
        let args = [&[letter, &pair, &option, &command], args].concat();
        Site { scripts: Scripts::new(&args, scripts), file, _folder: folder }
    }

    pub fn site(self, args: &[&str], text: &str) -> Site {
        self.site_at("/h", args, text, &[])
    }
}
