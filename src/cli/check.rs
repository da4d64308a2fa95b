//! `check`: whether the config, the tokens and the API go together, told account by account.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use jiff::{SignedDuration, Unit};

use crate::clumio::{Filter, Page, TaskList};
use crate::config::{Account, Settings};
use crate::http::Gate;
use crate::metrics::Exposition;
use crate::scheduler::{Clients, Plan};
use crate::time::{SystemClock, Timestamp, earlier};

/// Reads one task of each account and prints what it found; fails if one of them could not be read.
pub(super) async fn run(settings: &Settings, config_file: Option<&Path>) -> Result<ExitCode, Box<dyn Error>> {
    let mut out = io::stdout();
    match config_file {
        Some(path) => writeln!(out, "{}: every key is right", path.display())?,
        None => writeln!(out, "no config file; the environment is right")?,
    }
    let mut code = web_config(&mut out, settings.web.config_file.as_deref())?;
    let exposition = Exposition::new();
    let mut clients = Clients::new(Arc::new(SystemClock::new()));
    for account in &settings.accounts {
        let client = match clients
            .client(&Plan::new(account, settings), Arc::new(exposition.request_metrics(&account.name)))
        {
            Ok(client) => client,
            Err(error) => {
                writeln!(out, "account {:?}: {error}", account.name)?;
                code = ExitCode::FAILURE;
                continue;
            }
        };
        let since = whole_seconds(earlier(Timestamp::now(), settings.poll.lookback));
        writeln!(out, "account {:?}: asking {}", account.name, account.base_url)?;
        match client.page(&Filter::Created { from: since, to: None }, 1, 1).await {
            Ok(page) => report(&mut out, account, client.token_expiry().await, &page, since)?,
            Err(error) => {
                writeln!(out, "account {:?}: {error}", account.name)?;
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

/// Whether TLS and login could be set up, which is told; success where there is nothing to set up.
fn web_config(out: &mut impl Write, file: Option<&Path>) -> io::Result<ExitCode> {
    let Some(file) = file else { return Ok(ExitCode::SUCCESS) };
    match Gate::new().read(Some(file)) {
        Ok(_) => {
            writeln!(out, "{}: every key is right, and so are the files that it names", file.display())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            writeln!(out, "{}", problems.join("\n"))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn report(
    out: &mut impl Write,
    account: &Account,
    token_expiry: Option<Timestamp>,
    page: &Page,
    since: Timestamp,
) -> io::Result<()> {
    writeln!(out, "account {:?}: {} answers, and takes {}", account.name, account.base_url, account.token)?;
    let total = page.total;
    writeln!(out, "  {total} tasks created since {since}")?;
    if let Some(task) = page.tasks.first() {
        let (category, task_type, status) = (&task.category, &task.task_type, task.status.as_str());
        writeln!(
            out,
            "  one of them: {:?} {:?} {:?}, {status:?}",
            task.id.as_str(),
            category.as_str(),
            task_type.as_str()
        )?;
    }
    if let Some(date) = page.date {
        let ahead = date.duration_since(page.received.wall);
        if ahead.abs() > SignedDuration::from_mins(1) {
            writeln!(out, "  its clock is {} of this machine's", offset(ahead))?;
        }
    }
    if let Some(expiry) = token_expiry {
        writeln!(out, "  the token expires {}", whole_seconds(expiry))?;
    }
    Ok(())
}

fn offset(ahead: SignedDuration) -> String {
    let direction = if ahead.is_negative() { "behind" } else { "ahead" };
    format!("{} s {direction}", ahead.abs().as_secs())
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    at.round(Unit::Second).unwrap_or(at)
}
