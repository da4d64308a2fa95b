//! Commands and flags, after the habits of Prometheus exporters.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Flags;
use crate::simulator;

/// Serves the backup and restore tasks of Clumio as Prometheus metrics.
///
/// Without a command it runs the daemon. Settings come from the config file, then from environment variables
/// (`CLUMIO_EXPORTER__POLL__INTERVAL`), then from flags. With no account in the config file, `CLUMIO_API_TOKEN`,
/// `CLUMIO_API_BASE_URL` and `CLUMIO_ORGANIZATIONAL_UNIT_CONTEXT` make one.
#[derive(Debug, Parser)]
#[command(name = "clumio-exporter", version = VERSION, disable_help_subcommand = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Args)]
pub(super) struct Common {
    /// The config file (TOML) [default: none]
    #[arg(long = "config.file", value_name = "FILE", global = true)]
    config_file: Option<PathBuf>,
    /// Where to listen, as `web.listen_address` [default: :10317]
    #[arg(id = "web.listen-address", long = "web.listen-address", value_name = "ADDRESS", global = true)]
    listen_address: Option<String>,
    /// The URL behind a reverse proxy, as `web.external_url`; its path is a prefix [default: none]
    #[arg(id = "web.external-url", long = "web.external-url", value_name = "URL", global = true)]
    external_url: Option<String>,
    /// TLS, login and headers, as `web.config_file` (YAML) [default: none]
    #[arg(id = "web.config.file", long = "web.config.file", value_name = "FILE", global = true)]
    web_config_file: Option<PathBuf>,
    /// error, warn, info, debug or trace [default: info]
    #[arg(long = "log.level", value_name = "LEVEL", global = true)]
    log_level: Option<String>,
    /// logfmt or json [default: logfmt]
    #[arg(long = "log.format", value_name = "FORMAT", global = true)]
    log_format: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the daemon against a simulated Clumio API: nothing else is needed
    Demo,
    /// Read the config, the token and one task of each account, and print a verdict
    Check,
    /// Poll each account once and print the metrics
    Once,
    /// Ask a daemon on this machine how it is, over its own web config; exit 0 or 1
    Probe {
        /// Whether it is ready, instead of whether it is healthy
        #[arg(long)]
        ready: bool,
    },
    /// Serve only the simulated Clumio API
    Simulate(simulator::Args),
}

/// What `--version` says.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (revision ",
    env!("CLUMIO_EXPORTER_REVISION"),
    ", rustc ",
    env!("CLUMIO_EXPORTER_RUSTC"),
    ")"
);

// === impl Common ===

impl Common {
    /// The first of these flags that was given.
    pub(super) fn given(&self) -> Option<&'static str> {
        let given = [
            ("--config.file", self.config_file.is_some()),
            ("--web.listen-address", self.listen_address.is_some()),
            ("--web.external-url", self.external_url.is_some()),
            ("--web.config.file", self.web_config_file.is_some()),
            ("--log.level", self.log_level.is_some()),
            ("--log.format", self.log_format.is_some()),
        ];
        given.into_iter().find(|(_, is_given)| *is_given).map(|(flag, _)| flag)
    }

    pub(super) fn flags(&self) -> Flags {
        Flags {
            config_file: self.config_file.clone(),
            listen_address: self.listen_address.clone(),
            external_url: self.external_url.clone(),
            web_config_file: self.web_config_file.clone(),
            log_level: self.log_level.clone(),
            log_format: self.log_format.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_takes_the_common_flags() {
        for command in ["demo", "check", "once", "probe", "simulate"] {
            let line = ["clumio-exporter", command, "--web.listen-address", ":1", "--log.level", "debug"];
            let cli = Cli::try_parse_from(line).expect("the flags must be taken");
            assert_eq!(cli.common.flags().listen_address.as_deref(), Some(":1"), "{command}");
        }
    }
}
