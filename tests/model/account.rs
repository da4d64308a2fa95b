//! The simulated account: tasks with fixed lives, so that what is true at any instant is known.
//!
//! Instants are microseconds of true time. Processes of the exporter come and go; the first begins at [`START`].

use clumio_exporter::time::Timestamp;
use proptest::prelude::*;

/// The instant at which schedules begin, in microseconds since 1970.
pub const START: i64 = 1_800_000_000_000_000;

pub const SECOND: i64 = 1_000_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// Categories and types of tasks.
pub const KINDS: [(&str, &str); 5] = [
    ("backup", "ebs"),
    ("backup", "rds"),
    ("restore", "ebs"),
    ("backup", "ebs_seeding"),
    ("snapshot", "ebs"),
];

/// Types, ids and names of assets.
pub const ASSETS: [(Option<&str>, Option<&str>, Option<&str>); 5] = [
    (Some("volume"), Some("id-0"), Some("asset-0")),
    (Some("volume"), Some("id-1"), Some("scratch-1")),
    (Some("vm"), Some("id-0"), Some("asset-0")),
    (Some("vm"), None, Some("without-id")),
    (None, Some("id-4"), None),
];

/// Names of what assets belong to. The last one stands for nothing.
pub const PARENTS: [Option<&str>; 3] = [Some("us-west-2"), Some("us-east-1"), None];

/// The statuses in which tasks end. The exporter does not know the last one.
pub const ENDED: [&str; 4] = ["completed", "failed", "aborted", "skipped"];

/// The index of a status that the exporter does not know.
pub const UNKNOWN_OUTCOME: usize = 3;

/// The life of one task: created at an instant, the rest after the step before it.
#[derive(Debug, Clone)]
pub struct Life {
    pub kind: usize,
    /// Relative to [`START`].
    pub created: i64,
    pub listed_after: i64,
    pub starts_after: i64,
    /// None: it never ends.
    pub ends_after: Option<i64>,
    /// Index into [`ENDED`].
    pub outcome: usize,
    pub lacks: Lacks,
    /// Index into [`ASSETS`]; none without a primary entity.
    pub asset: Option<usize>,
    /// Index into [`PARENTS`].
    pub parent: usize,
    /// When no listing and no look-up returns it, relative to [`START`]: from the first instant until the second.
    pub gone: Option<(i64, i64)>,
}

/// A timestamp that the rows of a task never have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacks {
    Nothing,
    Creation,
    End,
}

/// How an account breaks the promise that rows are listed within the overlap, and stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    None,
    /// Some rows are listed hours late.
    Late,
    /// Some rows vanish, and most of them return.
    Vanishing,
    /// Some rows vanish for good, and others are listed late.
    Masked,
    /// From an instant on, the token sees no task of the first kind.
    PermissionLost,
    /// Until an instant, the token sees no task of the first kind.
    PermissionGained,
}

/// All tasks that ever are.
#[derive(Debug, Clone)]
pub struct Account {
    pub lives: Vec<Life>,
}

// === impl Life ===

impl Life {
    pub fn created(&self) -> i64 {
        START + self.created
    }

    pub fn listed(&self) -> i64 {
        self.created() + self.listed_after
    }

    pub fn started(&self) -> i64 {
        self.created() + self.starts_after
    }

    pub fn ended(&self) -> Option<i64> {
        self.ends_after.map(|after| self.started() + after)
    }

    pub fn has_ended(&self, at: i64) -> bool {
        self.ended().is_some_and(|ended| ended <= at)
    }

    pub fn gone(&self) -> Option<(i64, i64)> {
        self.gone.map(|(from, until)| (START + from, until.saturating_add(START)))
    }

    pub fn is_gone_between(&self, start: i64, end: i64) -> bool {
        self.gone().is_some_and(|(from, until)| from <= end && start < until)
    }

    pub fn is_shown(&self, at: i64) -> bool {
        self.listed() <= at && !self.is_gone_between(at, at)
    }

    pub fn is_shown_throughout(&self, (start, end): (i64, i64)) -> bool {
        self.listed() <= start && !self.is_gone_between(start, end)
    }

    /// The status at `at`, whether or not the task is listed yet.
    pub fn status(&self, at: i64) -> &'static str {
        match self.ended() {
            Some(ended) if ended <= at => ENDED[self.outcome],
            _ if self.started() <= at => "in_progress",
            _ => "queued",
        }
    }

    /// Every status between two instants.
    pub fn statuses(&self, start: i64, end: i64) -> Vec<&'static str> {
        let changes = [Some(self.started()), self.ended()].into_iter().flatten();
        let changes = changes.filter(|at| (start..=end).contains(at));
        let mut statuses: Vec<_> = [start].into_iter().chain(changes).map(|at| self.status(at)).collect();
        statuses.dedup();
        statuses
    }

    /// The same, listed no earlier than `instant`.
    fn listed_from(self, instant: i64) -> Self {
        Self { listed_after: self.listed_after.max(instant - self.created), ..self }
    }

    /// The same with a life of at most two hours.
    fn shortened(self) -> Self {
        let starts_after = self.starts_after.min(HOUR);
        Self { starts_after, ends_after: self.ends_after.map(|after| after.min(HOUR)), ..self }
    }
}

// === impl Account ===

impl Account {
    /// When the last task is listed, the last has ended, and the last has returned.
    pub fn rests_from(&self) -> i64 {
        let changes = self.lives.iter().flat_map(|life| {
            let gone = life.gone().into_iter().flat_map(|(from, until)| [Some(from), Some(until)]);
            [Some(life.listed()), Some(life.started()), life.ended()].into_iter().chain(gone).flatten()
        });
        changes.filter(|at| *at != i64::MAX).max().unwrap_or(START)
    }

    /// Whether listings read in this time can lack a row unnoticed: one row goes and another comes, so that their number
    /// stays the same while the others move between the pages.
    pub fn hides_rows(&self, start: i64, end: i64) -> bool {
        let is_within = |at: &i64| (start..=end).contains(at);
        let gone = self.lives.iter().filter_map(Life::gone).flat_map(|(from, until)| [from, until]);
        let changes = gone.filter(is_within).count();
        let listed = self.lives.iter().map(Life::listed).filter(is_within).count();
        changes > 0 && changes + listed > 1
    }

    /// Adds a task before all others and one after them, so that audits cover what is between them.
    fn anchored(mut self) -> Self {
        let after = self.rests_from() - START + 30 * MINUTE;
        for created in [-(150 * MINUTE), after] {
            self.lives.push(Life {
                kind: 1,
                created,
                listed_after: 0,
                starts_after: 0,
                ends_after: Some(0),
                outcome: 0,
                lacks: Lacks::Nothing,
                asset: None,
                parent: 0,
                gone: None,
            });
        }
        self
    }
}

pub fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).expect("the instant must be in range")
}

/// Accounts whose tasks are listed at most `lateness` after they were created, but for the trouble.
pub fn accounts(lateness: i64, trouble: Trouble) -> impl Strategy<Value = Account> {
    let lives = proptest::collection::vec((lives(lateness), incidents()), 0..40);
    (lives, -HOUR..(2 * HOUR)).prop_map(move |(lives, instant)| {
        let mut is_late = false;
        let mut troubled = |(life, incident): (Life, Option<(i64, i64)>)| match (trouble, incident) {
            (Trouble::None, _) | (Trouble::Vanishing | Trouble::Late | Trouble::Masked, None) => life,
            (Trouble::Late, Some(incident)) => late(life, incident),
            (Trouble::Vanishing, Some((from, long))) => Life { gone: Some((from, from + long)), ..life },
            (Trouble::Masked, Some(incident)) => {
                is_late = !is_late;
                if is_late { late(life, incident) } else { Life { gone: Some((instant, i64::MAX)), ..life } }
            }
            (Trouble::PermissionLost, _) => {
                Life { gone: (life.kind == 0).then_some((instant, i64::MAX)), ..life.shortened() }
            }
            (Trouble::PermissionGained, _) => {
                let life = life.shortened();
                if life.kind == 0 { life.listed_from(instant) } else { life }
            }
        };
        let lives = lives.into_iter().map(&mut troubled).collect();
        let account = Account { lives };
        if matches!(trouble, Trouble::None | Trouble::Vanishing) { account } else { account.anchored() }
    })
}

fn late(life: Life, (created, long): (i64, i64)) -> Life {
    Life { created: created - HOUR, listed_after: HOUR + long, ..life.shortened() }
}

/// The instant and length of what befalls one task in five.
fn incidents() -> impl Strategy<Value = Option<(i64, i64)>> {
    let long = prop_oneof![
        2 => 0..(50 * MINUTE),
        2 => HOUR..(4 * HOUR),
        1 => HOUR..(30 * HOUR),
    ];
    proptest::option::weighted(0.2, (-(30 * MINUTE)..(2 * HOUR), long))
}

fn lives(lateness: i64) -> impl Strategy<Value = Life> {
    // Many tasks of one second, some spread over days before, some while the exporter runs.
    let created = prop_oneof![
        4 => -(3 * HOUR)..(2 * HOUR),
        2 => -(5 * MINUTE)..(30 * MINUTE),
        1 => -(80 * HOUR)..0,
        3 => (-(36 * 60)..10_i64).prop_map(|minute| minute * MINUTE),
        2 => Just(17 * MINUTE),
        1 => (0..SECOND).prop_map(|micros| -(7 * MINUTE) + micros),
    ];
    let listed_after = prop_oneof![5 => Just(0), 2 => 0..=lateness, 1 => Just(lateness)];
    let starts_after = prop_oneof![1 => Just(0), 2 => 0..(10 * MINUTE), 1 => 0..(10 * HOUR)];
    let ends_after = prop_oneof![
        1 => Just(None),
        2 => (0..MINUTE).prop_map(Some),
        3 => (0..HOUR).prop_map(Some),
        1 => (0..(30 * HOUR)).prop_map(Some),
    ];
    let outcome = prop_oneof![8 => 0..UNKNOWN_OUTCOME, 1 => Just(UNKNOWN_OUTCOME)];
    let lacks = prop_oneof![18 => Just(Lacks::Nothing), 1 => Just(Lacks::Creation), 1 => Just(Lacks::End)];
    let asset = (proptest::option::weighted(0.9, 0..ASSETS.len()), 0..PARENTS.len());
    let life = (0..KINDS.len(), created, listed_after, starts_after, ends_after, outcome, lacks, asset);
    life.prop_map(
        |(kind, created, listed_after, starts_after, ends_after, outcome, lacks, (asset, parent))| {
            // Without an end, a task whose status is not known is open.
            let lacks =
                if outcome == UNKNOWN_OUTCOME && lacks == Lacks::End { Lacks::Nothing } else { lacks };
            Life {
                kind,
                created,
                listed_after,
                starts_after,
                ends_after,
                outcome,
                lacks,
                asset,
                parent,
                gone: None,
            }
        },
    )
}
