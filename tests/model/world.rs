//! A world of tasks with fixed lives, so that what is true at any instant is known.
//!
//! Instants are milliseconds since an arbitrary day; the first process begins at [`DAY_ZERO`].

use clumio_exporter::time::Timestamp;
use proptest::prelude::*;

/// The instant at which schedules begin, in milliseconds since the Unix epoch.
pub const DAY_ZERO: i64 = 1_800_000_000_000;

pub const SECOND: i64 = 1_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;

/// The kinds of tasks in the world.
pub const KINDS: [(&str, &str); 3] = [("backup", "ebs"), ("backup", "rds"), ("restore", "ebs")];

/// The statuses in which tasks end.
pub const ENDED: [&str; 3] = ["completed", "failed", "aborted"];

/// For so long a task has to be missing, and no less, before it is dropped.
pub const MISSING_FOR: i64 = HOUR;

/// The life of one task, in milliseconds: created at an instant, the rest after the step before it.
#[derive(Debug, Clone)]
pub struct Life {
    pub kind: usize,
    /// Relative to [`DAY_ZERO`].
    pub created: i64,
    pub listed_after: i64,
    pub starts_after: i64,
    /// None: it never ends.
    pub ends_after: Option<i64>,
    /// Index into [`ENDED`].
    pub outcome: usize,
    /// When no listing and no look-up shows it, relative to [`DAY_ZERO`]: from the first instant until the second.
    pub gone: Option<(i64, i64)>,
}

/// All tasks that ever are.
#[derive(Debug, Clone)]
pub struct World {
    pub lives: Vec<Life>,
}

/// How a world breaks the promise that rows are listed within the overlap, and stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Not at all.
    Nothing,
    /// Some rows are listed hours late.
    Late,
    /// Some rows vanish, and most of them come back.
    Vanishing,
    /// From an instant on, the token sees no task of the first kind.
    Shrinking,
}

// === impl Life ===

impl Life {
    pub fn created(&self) -> i64 {
        DAY_ZERO + self.created
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

    /// From when until when it is gone.
    pub fn gone(&self) -> Option<(i64, i64)> {
        self.gone.map(|(from, until)| (DAY_ZERO + from, until.saturating_add(DAY_ZERO)))
    }

    pub fn is_shown(&self, at: i64) -> bool {
        self.listed() <= at && self.gone().is_none_or(|(from, until)| !(from..until).contains(&at))
    }

    pub fn is_shown_throughout(&self, (start, end): (i64, i64)) -> bool {
        self.listed() <= start && self.gone().is_none_or(|(from, until)| end < from || start >= until)
    }

    /// The status at `at`, whether or not it is listed yet.
    pub fn status(&self, at: i64) -> &'static str {
        match self.ended() {
            Some(ended) if ended <= at => ENDED[self.outcome],
            _ if self.started() <= at => "in_progress",
            _ => "queued",
        }
    }

    /// The instants at which it changes, as seen in a listing.
    pub fn changes(&self) -> impl Iterator<Item = i64> {
        [Some(self.listed()), Some(self.started()), self.ended()].into_iter().flatten()
    }
}

// === impl World ===

impl World {
    /// Whether listings read in this time can lack a row unnoticed: one row goes and another comes, so that their number
    /// stays the same while the others move between the pages.
    pub fn hides_rows(&self, from: i64, to: i64) -> bool {
        let is_within = |at: &i64| (from..=to).contains(at);
        let ends_of_absence = self
            .lives
            .iter()
            .filter_map(Life::gone)
            .flat_map(|(from, until)| [from, until])
            .filter(is_within)
            .count();
        let listed = self.lives.iter().map(Life::listed).filter(is_within).count();
        ends_of_absence > 0 && ends_of_absence + listed > 1
    }

    /// When the last task is listed, the last has ended, and the last has come back.
    pub fn stands_still_from(&self) -> i64 {
        let gone = self.lives.iter().filter_map(Life::gone).flat_map(|(from, until)| [from, until]);
        let changes = self.lives.iter().flat_map(Life::changes).chain(gone);
        changes.filter(|at| *at != i64::MAX).max().unwrap_or(DAY_ZERO)
    }
}

pub fn timestamp(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).expect("the instant must be in range")
}

/// Worlds whose tasks are listed at most `lateness` after they were created, but for the trouble.
pub fn worlds(lateness: i64, trouble: Trouble) -> impl Strategy<Value = World> {
    let lives = proptest::collection::vec((lives(lateness), woes()), 0..40);
    (lives, 0..(2 * HOUR)).prop_map(move |(lives, shrinks)| {
        let troubled = |(life, woe): (Life, Option<(i64, i64)>)| match trouble {
            Trouble::Nothing => life,
            Trouble::Late => life.hastened().late(woe),
            Trouble::Vanishing => Life { gone: woe.map(|(from, long)| (from, from + long)), ..life },
            Trouble::Shrinking => {
                let gone = (life.kind == 0).then_some((shrinks, i64::MAX));
                Life { gone, ..life.hastened() }
            }
        };
        let mut world = World { lives: lives.into_iter().map(troubled).collect() };
        if matches!(trouble, Trouble::Late | Trouble::Shrinking) {
            world.anchor();
        }
        world
    })
}

impl World {
    /// Adds a task before all that is in trouble and one after it, so that audits cover what is between them.
    fn anchor(&mut self) {
        let after = self.stands_still_from() - DAY_ZERO + 30 * MINUTE;
        for created in [-(150 * MINUTE), after] {
            self.lives.push(Life {
                kind: 1,
                created,
                listed_after: 0,
                starts_after: 0,
                ends_after: Some(0),
                outcome: 0,
                gone: None,
            });
        }
    }
}

impl Life {
    /// The same with a life so short that its end is in the window when the world stands still.
    fn hastened(self) -> Self {
        let starts_after = self.starts_after.min(HOUR);
        Self { starts_after, ends_after: self.ends_after.map(|after| after.min(HOUR)), ..self }
    }

    fn late(self, woe: Option<(i64, i64)>) -> Self {
        match woe {
            Some((created, late)) => Self { created: created - HOUR, listed_after: HOUR + late, ..self },
            None => self,
        }
    }
}

/// The instant and length of what befalls one task in five.
fn woes() -> impl Strategy<Value = Option<(i64, i64)>> {
    let long = prop_oneof![
        2 => 0..(50 * MINUTE),
        2 => MISSING_FOR..(4 * HOUR),
        1 => MISSING_FOR..(30 * HOUR),
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
        1 => (0..SECOND).prop_map(|ms| -(7 * MINUTE) + ms),
    ];
    let listed_after = prop_oneof![5 => Just(0), 2 => 0..=lateness, 1 => Just(lateness)];
    let starts_after = prop_oneof![1 => Just(0), 2 => 0..(10 * MINUTE), 1 => 0..(10 * HOUR)];
    let ends_after = prop_oneof![
        1 => Just(None),
        2 => (0..MINUTE).prop_map(Some),
        3 => (0..HOUR).prop_map(Some),
        1 => (0..(30 * HOUR)).prop_map(Some),
    ];
    let life = (0..KINDS.len(), created, listed_after, starts_after, ends_after, 0..ENDED.len());
    life.prop_map(|(kind, created, listed_after, starts_after, ends_after, outcome)| Life {
        kind,
        created,
        listed_after,
        starts_after,
        ends_after,
        outcome,
        gone: None,
    })
}
