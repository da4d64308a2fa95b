//! `probe`: how a daemon on this machine is, for containers that no kubelet can ask.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::config::{self, Environment, Flags};
use crate::http;

/// Asks the daemon of this configuration; fails if it is not well.
pub(super) async fn run(flags: &Flags, is_ready: bool) -> Result<ExitCode, Box<dyn Error>> {
    let web = config::load_web(flags, &Environment::of_process())?;
    let path = if is_ready { "/-/ready" } else { "/-/healthy" };
    let answer = http::probe(&web, path).await?;
    writeln!(io::stderr(), "clumio-exporter: {answer}")?;
    Ok(ExitCode::SUCCESS)
}
