//! Putting a configuration into effect: the first one, and each that SIGHUP reloads.

use super::bind::Bindings;
#[cfg(feature = "tls")]
use super::certificates;
#[cfg(feature = "tls")]
use super::config::TlsConfig;
use super::config::{self, Command, CommandLine, Config};
use super::exit::ServeError;
use super::flaws::{Care, Flaws};
use super::log::{self, AccessLog};
use super::plan::{Logs, find_log, plan};
use super::status::ServerStatus;
#[cfg(all(feature = "status", feature = "tls"))]
use super::status::warn_of_ends;
use ecohttpd::Server;
use std::rc::Rc;
#[cfg(feature = "tls")]
use std::time::SystemTime;

/// The configuration in effect.
pub struct Serving {
    pub bindings: Bindings,
    pub status: Rc<ServerStatus>,
    logs: Logs,
    /// What can't be served, a line each.
    flaws: Vec<String>,
    /// The certificates in use.
    #[cfg(feature = "tls")]
    certificates: Vec<TlsConfig>,
}

impl Serving {
    /// Serves nothing yet.
    pub fn new(server: &Server) -> Serving {
        Serving {
            bindings: Bindings::new(server.listeners()),
            status: ServerStatus::new(server),
            logs: Vec::new(),
            flaws: Vec::new(),
            #[cfg(feature = "tls")]
            certificates: Vec::new(),
        }
    }

    /// Reads the configuration again and puts it into effect, unless something new is wrong with it.
    pub fn reload(&mut self, line: &CommandLine) -> Result<(), ServeError> {
        let Command::Serve(config) = config::parse(line).map_err(ServeError::Config)? else { return Ok(()) };
        config.warnings.iter().for_each(|warning| log::warn!("{warning}"));
        self.apply(&config, Care::AsBefore)
    }

    /// Puts a configuration into effect; after an error the previous one stays in effect.
    pub fn apply(&mut self, config: &Config, care: Care) -> Result<(), ServeError> {
        let before = std::mem::take(&mut self.flaws);
        let mut flaws = Flaws::new(care, &before);
        let applied = self.try_apply(config, &mut flaws);
        let found = flaws.into_found();
        self.flaws = if applied.is_ok() { found } else { before };
        applied
    }

    fn try_apply(&mut self, config: &Config, flaws: &mut Flaws<'_>) -> Result<(), ServeError> {
        for problem in config::problems(config) {
            flaws.tolerate(ServeError::Config(problem))?;
        }
        // These must not hold up a renewed certificate.
        for absence in config::absences(config) {
            flaws.pass_over(ServeError::Config(absence))?;
        }
        let logs = self.open_logs(config, flaws)?;
        let watched = self.status.watch(config);
        self.bindings.change(plan(config, &logs, &watched, flaws)?, flaws)?;
        self.status.is_loaded(watched);
        self.logs = logs;
        #[cfg(feature = "tls")]
        {
            let tls = config.sites.iter().map(|site| &site.tls).filter(|tls| !tls.listen.is_empty());
            self.certificates = tls.cloned().collect();
            self.look_after_certificates(true);
        }
        self.bindings.max_connections(config.sites.iter().map(|site| site.max_connections as usize).sum());
        Ok(())
    }

    /// Renews self-signed certificates that need it, and with `warn` logs which others clients refuse, and tells which end
    /// soon. Returns true if some were renewed and must be loaded.
    #[cfg(feature = "tls")]
    pub fn look_after_certificates(&self, warn: bool) -> bool {
        let now = SystemTime::now();
        let renewed = certificates::look_after(&self.certificates, now, warn);
        #[cfg(feature = "status")]
        if warn {
            warn_of_ends(&self.certificates, now);
        }
        renewed
    }

    /// Tries again to bind the addresses that could not be bound. Returns true if some still can't be.
    pub fn retry(&mut self) -> bool {
        let recovered = self.bindings.retry();
        self.flaws.retain(|flaw| !recovered.iter().any(|start| flaw.starts_with(start)));
        self.bindings.are_missing()
    }

    /// The access logs. Those that stay are reopened, which log rotation needs.
    fn open_logs(&self, config: &Config, flaws: &mut Flaws<'_>) -> Result<Logs, ServeError> {
        let mut logs: Logs = Vec::new();
        for target in config.sites.iter().filter_map(|site| site.access_log.as_ref()) {
            if find_log(&logs, target).is_some() {
                continue;
            }
            let log = match find_log(&self.logs, target) {
                Some(log) => {
                    log.reopen();
                    log
                }
                None => match AccessLog::open(target) {
                    Ok(log) => Rc::new(log),
                    Err(error) => {
                        flaws.tolerate(ServeError::Config(error.to_string()))?;
                        continue;
                    }
                },
            };
            logs.push((target.clone(), log));
        }
        Ok(logs)
    }
}
