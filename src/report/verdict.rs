//! Whether assets are protected, in one sentence: what the status page begins with.
//!
//! It is good only if none of the alerts in `deploy/prometheus` would fire: each of them has its counterpart here, in
//! [`Concerns`], or among the problems of the exporter and its accounts.

use std::time::Duration;

use serde::Serialize;

use super::words::{count, counted, words_of};
use super::{Account, AssetCounts, Health, Problem, Severity};
use crate::metrics::Published;
use crate::store::{KindSample, StatusSample};
use crate::task::Status;
use crate::time::{Timestamp, earlier, elapsed};

/// How long a task may be open.
const MAX_OPEN: Duration = Duration::from_hours(24);
/// The same for the first backup of an asset.
const MAX_SEEDING: Duration = Duration::from_hours(7 * 24);

/// How good a verdict is, the worse the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Every asset that is judged is protected, and no alert would fire.
    Good,
    /// Nothing can be said yet.
    Waiting,
    /// Something has to be looked at.
    Warning,
    /// An asset is unprotected, or the numbers are old.
    Critical,
}

/// Whether assets are protected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// How good it is.
    pub level: Level,
    /// The verdict in words.
    pub text: String,
}

/// What is wrong with tasks, whatever they protect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Concerns {
    /// Restores that failed within the window.
    pub failed_restores: u64,
    /// Kinds of tasks of which one is open for longer than a day, or a week for the first backup of an asset.
    pub kinds_open_too_long: u64,
    /// Tasks with a status that this version does not know.
    pub unknown_statuses: u64,
}

// === impl Level ===

impl Level {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Waiting => "waiting",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

// === impl Verdict ===

impl Verdict {
    /// The verdict over these accounts.
    pub(super) fn new(
        accounts: &[Account],
        concerns: Concerns,
        problems: &[Problem],
        now: Timestamp,
    ) -> Self {
        let known = accounts.iter().filter_map(|account| account.assets.as_ref());
        let assets = known.fold(AssetCounts::default(), AssetCounts::plus);
        let parts = [protection(accounts, &assets), concerns.parts(), exporter(accounts, problems, now)];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        let level = parts.iter().map(|(level, _)| *level).max().unwrap_or(Level::Waiting);
        let text = parts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("; ");
        Self { level, text }
    }
}

type Part = (Level, String);

const NO_ASSETS: &str = "No asset is known: no task has a category of assets.categories and names an asset";

/// What `max_age = "auto"` needs: [`AUTO_COVERS`](crate::config::AUTO_COVERS), which a short `state.retention` never covers.
const UNJUDGED: &str =
    "max_age = \"auto\" needs 15 days of history (state.retention) and three completed tasks of each";

/// How many assets are unprotected.
fn protection(accounts: &[Account], assets: &AssetCounts) -> Vec<Part> {
    if accounts.is_empty() {
        return vec![(Level::Warning, "No account is polled".to_owned())];
    }
    if accounts.iter().all(|account| account.assets.is_none()) {
        return vec![(Level::Waiting, "The initial sync has not ended yet".to_owned())];
    }
    let AssetCounts { total, failing, overdue, silent, unjudged, .. } = *assets;
    let (of, noun) = (count(total), if total == 1 { "asset" } else { "assets" });
    let bad = [
        (Level::Critical, failing, "failing"),
        (Level::Critical, overdue, "overdue"),
        (Level::Warning, silent, "silent"),
    ];
    let bad: Vec<_> = bad.into_iter().filter(|(_, n, _)| *n > 0).collect();
    let level = bad.iter().map(|(level, ..)| *level).max();
    let mut words = bad.into_iter().map(|(_, n, word)| (count(n), word));
    match (words.next(), level) {
        (Some((n, word)), Some(level)) => {
            let mut parts = vec![format!("{n} of {of} {noun} {word}")];
            parts.extend(words.map(|(n, word)| format!("{n} {word}")));
            if unjudged > 0 {
                parts.push(format!("{} not judged", count(unjudged)));
            }
            vec![(level, parts.join(", "))]
        }
        _ if total == 0 => vec![(Level::Waiting, NO_ASSETS.to_owned())],
        _ if unjudged == total => {
            vec![(Level::Waiting, format!("{of} {noun}, none judged: {UNJUDGED}"))]
        }
        _ if unjudged > 0 => {
            vec![(
                Level::Good,
                format!("{} of {of} {noun} protected, the others not judged: {UNJUDGED}", count(assets.ok)),
            )]
        }
        _ => vec![(
            Level::Good,
            if total == 1 {
                "The asset is protected".to_owned()
            } else {
                format!("All {of} assets are protected")
            },
        )],
    }
}

/// What is wrong with the exporter, and with reading the accounts.
fn exporter(accounts: &[Account], problems: &[Problem], now: Timestamp) -> Vec<Part> {
    let mut parts = Vec::new();
    let with = |health| accounts.iter().filter(move |account| account.health == health);
    let failing = with(Health::Failing).count() as u64;
    let oldest = with(Health::Failing).filter_map(|account| account.last_success).min();
    match oldest {
        Some(at) if failing > 0 => {
            let age = words_of(elapsed(at, now));
            parts.push((
                Level::Critical,
                format!("the numbers of {} are old, up to {age}", counted(failing, "account")),
            ));
        }
        None if failing > 0 => {
            parts.push((Level::Critical, format!("{} cannot be read", counted(failing, "account"))));
        }
        _ => {}
    }
    let degraded = with(Health::Degraded).count() as u64;
    if degraded > 0 {
        parts.push((Level::Warning, format!("{} to look at", counted(degraded, "account"))));
    }
    let unread = accounts.iter().filter(|it| it.assets.is_none() && it.health != Health::Failing).count();
    if unread > 0 && unread < accounts.len() {
        parts.push((Level::Waiting, format!("{} not read yet", counted(unread as u64, "account"))));
    }
    if with(Health::Starting).any(|account| account.assets.is_some()) {
        parts.push((Level::Waiting, "no poll has ended since the start".to_owned()));
    }
    if problems.iter().any(|problem| problem.severity >= Severity::Warning) {
        parts.push((Level::Warning, "the exporter has a problem".to_owned()));
    }
    parts
}

// === impl Concerns ===

impl Concerns {
    pub(super) fn of(published: &Published) -> Self {
        let Some(snapshot) = &published.snapshot else { return Self::default() };
        let mut concerns = Self::default();
        for kind in &snapshot.kinds {
            let is_restore = ["restore", "snapshot_restore"].contains(&kind.category.as_str());
            concerns.kinds_open_too_long += u64::from(is_open_too_long(kind, published.last_success));
            for sample in &kind.statuses {
                match &sample.status {
                    Status::Failed if is_restore => concerns.failed_restores += sample.tasks,
                    Status::Other(_) => concerns.unknown_statuses += sample.tasks,
                    _ => {}
                }
            }
        }
        concerns
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            failed_restores: self.failed_restores + other.failed_restores,
            kinds_open_too_long: self.kinds_open_too_long + other.kinds_open_too_long,
            unknown_statuses: self.unknown_statuses + other.unknown_statuses,
        }
    }

    fn parts(self) -> Vec<Part> {
        let parts = [
            (
                Level::Critical,
                self.failed_restores,
                format!("{} failed", counted(self.failed_restores, "restore")),
            ),
            (Level::Warning, self.kinds_open_too_long, "tasks open for too long".to_owned()),
            (
                Level::Warning,
                self.unknown_statuses,
                format!("{} with an unknown status", counted(self.unknown_statuses, "task")),
            ),
        ];
        parts.into_iter().filter(|(_, n, _)| *n > 0).map(|(level, _, text)| (level, text)).collect()
    }
}

/// Whether a task of this type that was created at `created` is open for too long, as of the last successful poll.
pub(super) fn is_too_long(task_type: &str, created: Timestamp, last_success: Option<Timestamp>) -> bool {
    let limit = if task_type.contains("seeding") { MAX_SEEDING } else { MAX_OPEN };
    last_success.is_some_and(|at| created < earlier(at, limit))
}

fn is_open_too_long(kind: &KindSample, last_success: Option<Timestamp>) -> bool {
    let oldest = kind.statuses.iter().filter_map(|StatusSample { oldest_open, .. }| *oldest_open).min();
    oldest.is_some_and(|created| is_too_long(kind.task_type.as_str(), created, last_success))
}
