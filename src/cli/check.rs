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

/// What was found, for the last line.
#[derive(Debug, Default)]
struct Findings {
    accounts: usize,
    /// Accounts that cannot be read.
    failed: Vec<String>,
    /// Accounts whose token sees no task.
    empty: Vec<String>,
    has_bad_web_config: bool,
}

/// Reads one task of each account and prints what it found, with a verdict as the last line; fails if one of them could
/// not be read.
pub(super) async fn run(settings: &Settings, config_file: Option<&Path>) -> Result<ExitCode, Box<dyn Error>> {
    let mut out = io::stdout();
    match config_file {
        Some(path) => writeln!(out, "{}: every key is right", path.display())?,
        None => writeln!(out, "no config file; the environment is right")?,
    }
    for warning in settings.warnings() {
        writeln!(out, "warning: {warning}")?;
    }
    let has_bad_web_config = web_config(&mut out, settings.web.config_file.as_deref())? == ExitCode::FAILURE;
    let mut findings = Findings { has_bad_web_config, ..Findings::default() };
    let exposition = Exposition::new();
    let mut clients = Clients::new(Arc::new(SystemClock::new()));
    for account in &settings.accounts {
        findings.accounts += 1;
        let client = match clients
            .client(&Plan::new(account, settings), Arc::new(exposition.request_metrics(&account.name)))
        {
            Ok(client) => client,
            Err(error) => {
                writeln!(out, "account {:?}: {error}", account.name)?;
                findings.failed.push(account.name.clone());
                continue;
            }
        };
        let since = whole_seconds(earlier(Timestamp::now(), settings.poll.lookback));
        writeln!(out, "account {:?}: asking {}", account.name, account.base_url)?;
        match client.page(&Filter::Created { from: since, to: None }, 1, 1).await {
            Ok(page) => {
                report(&mut out, account, client.token_expiry().await, &page, since)?;
                if page.tasks.is_empty() && page.total == 0 {
                    findings.empty.push(account.name.clone());
                }
            }
            Err(error) => {
                writeln!(out, "account {:?}: {error}", account.name)?;
                findings.failed.push(account.name.clone());
            }
        }
    }
    writeln!(out, "{}", findings.verdict())?;
    Ok(if findings.is_bad() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

// === impl Findings ===

impl Findings {
    fn is_bad(&self) -> bool {
        self.has_bad_web_config || !self.failed.is_empty()
    }

    /// What was found, in a line.
    fn verdict(&self) -> String {
        let quoted =
            |names: &[String]| names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        if self.is_bad() {
            let mut problems = Vec::new();
            if !self.failed.is_empty() {
                problems.push(format!("cannot read account {}", quoted(&self.failed)));
            }
            if self.has_bad_web_config {
                problems.push("the web config cannot be used".to_owned());
            }
            return format!("verdict: failed: {}", problems.join("; "));
        }
        if !self.empty.is_empty() {
            return format!(
                "verdict: warning: the token of account {} sees no tasks, so no alert about backups can fire; check that \
                 it may list tasks, and organizational_unit if that is set, or wait for the first task of a new account",
                quoted(&self.empty)
            );
        }
        let noun = if self.accounts == 1 { "account" } else { "accounts" };
        format!("verdict: ok: {} {noun} can be read", self.accounts)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_names_accounts_and_the_worst_first() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let good = || Findings { accounts: 2, ..Findings::default() };
        assert_eq!(good().verdict(), "verdict: ok: 2 accounts can be read");
        let empty = Findings { empty: names(&["a", "b"]), ..good() };
        assert!(
            empty.verdict().starts_with("verdict: warning: the token of account \"a\", \"b\" sees no tasks")
        );
        assert!(!empty.is_bad(), "a new account has no tasks yet");
        let failed = Findings { failed: names(&["b"]), has_bad_web_config: true, ..empty };
        let expected = "verdict: failed: cannot read account \"b\"; the web config cannot be used";
        assert_eq!((failed.verdict().as_str(), failed.is_bad()), (expected, true));
    }
}
