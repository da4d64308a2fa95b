//! One exporter following one world, through crashes and reloads, with a check after every poll.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use clumio_exporter::clumio::{Error, Filter, Page, TaskList};
use clumio_exporter::ledger::{Periods, Snapshot};
use clumio_exporter::poll::{Poller, Report};
use clumio_exporter::state::{self, Memory, Storage, Written};
use proptest::prelude::*;

use crate::api::ModelApi;
use crate::belief::Belief;
use crate::checks::{check_counters, check_durations, check_gauges, check_stopped};
use crate::flaw::Flaw;
use crate::instants::check_instants;
use crate::schedule::{Change, Config, Schedule, Setup};
use crate::tally::{Happening, tally};
use crate::truth::{Instants, Trace, View, published};
use crate::vault::{Crash, Found, Vault};
use crate::world::{DAY_ZERO, MINUTE, MISSING_FOR, SECOND, Trouble};

/// What the poller and the test share.
pub struct Shared<T>(Arc<T>);

/// One exporter following one world.
pub struct Run {
    pub api: Arc<ModelApi>,
    vault: Arc<Vault>,
    crash: Arc<Crash>,
    poller: Poller<Shared<ModelApi>, Shared<Vault>>,
    pub setup: Setup,
    pub config: Config,
    began: i64,
    facts: Facts,
    /// What this process must know, and what the next one will if it ends now.
    pub live: Belief,
    kept: Belief,
    polls_kept: u64,
    /// How far ahead the exporter may think that the clock is by which tasks are stamped: behind is less than zero.
    offsets: Offsets,
    /// The most that what is kept may say of it.
    most_kept: i64,
    /// What the next process must know, and the most that it may think, if it finds the state of a poll that was said
    /// not to be kept.
    doubtful: Option<(Belief, i64)>,
    /// How far ahead the clock is by which the exporter goes.
    ahead: i64,
    /// Whether the last poll went by another time than that clock's.
    pub was_off: bool,
    /// What a scrape sees.
    pub served: Option<Snapshot>,
    /// What happened so far, for the message of a failure.
    pub log: Vec<Event>,
}

/// What happened, and when by the API's clock, in milliseconds since the run began.
#[derive(Debug)]
#[expect(dead_code, reason = "it is shown when a test fails")]
pub enum Event {
    Polled { from: i64, to: i64, at: i64, window: i64, is_kept: bool },
    Failed { to: i64, why: String },
    Crashed { to: i64 },
    Restored { has_published: bool },
    ClockSet { ahead: i64 },
    BeganCold,
}

/// The least and the most.
#[derive(Debug, Clone, Copy, Default)]
struct Offsets {
    least: i64,
    most: i64,
}

/// The extremes of all settings that were ever in force; times in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Facts {
    lookback: i64,
    longest_overlap: i64,
    longest_window: i64,
    shortest_window: i64,
    /// The shortest since the last poll.
    window: i64,
}

/// Steps of a heal between two polls, at most.
const HEAL_STEPS: u32 = 500;

impl TaskList for Shared<ModelApi> {
    fn page(
        &self,
        filter: &Filter,
        number: u64,
        limit: u32,
    ) -> impl Future<Output = Result<Page, Error>> + Send {
        self.0.page(filter, number, limit)
    }
}

impl Storage for Shared<Vault> {
    fn save(&self, memory: Memory) -> impl Future<Output = Result<Option<Written>, state::Error>> + Send {
        self.0.save(memory)
    }
}

// === impl Run ===

impl Run {
    pub fn new(schedule: &Schedule, flaw: Flaw) -> Self {
        let Schedule { setup, config, world, behaviour, habits, .. } = schedule.clone();
        let crash = Arc::new(Crash::default());
        let belief = Belief::new(world.lives.len());
        let api = Arc::new(ModelApi::new(world, behaviour, Arc::clone(&crash), flaw));
        let vault = Arc::new(Vault::new(habits, Arc::clone(&crash), flaw));
        let poller =
            Poller::new(Shared(Arc::clone(&api)), Shared(Arc::clone(&vault)), config.options(&setup));
        Self {
            api,
            vault,
            crash,
            poller,
            setup,
            config,
            began: DAY_ZERO,
            facts: Facts::new(config),
            live: belief.clone(),
            kept: belief,
            polls_kept: 0,
            offsets: Offsets::default(),
            most_kept: 0,
            doubtful: None,
            ahead: 0,
            was_off: false,
            served: None,
            log: Vec::new(),
        }
    }

    /// The time as the clock shows it by which the exporter goes.
    pub fn time(&self) -> i64 {
        self.api.now() + self.ahead
    }

    /// Ends all faults.
    pub fn recover(&self) {
        self.api.recover();
        self.vault.recover();
    }

    pub fn change(&mut self, change: Change) -> Result<(), TestCaseError> {
        match change {
            Change::Nothing => {}
            Change::Restart => self.restart(None)?,
            Change::RestartWith(config) => {
                self.configure(config);
                self.restart(None)?;
            }
            Change::Reload(config) => {
                self.configure(config);
                self.poller.reconfigure(Shared(Arc::clone(&self.api)), config.options(&self.setup));
            }
            Change::ClockSteps(by) => {
                self.api.step_clock(by);
                let Offsets { least, most } = self.offsets;
                self.offsets = Offsets { least: least - by, most: most - by }.with(self.ahead);
                tally(Happening::ClockForward);
            }
            Change::ClockIsSet(ahead) => self.set_clock(ahead),
        }
        Ok(())
    }

    /// Sets the clock by which the exporter goes. It is not ahead of the stamps in a first pass, whose baseline would be
    /// after them.
    fn set_clock(&mut self, ahead: i64) {
        let ahead = if self.live.first_published.is_some() { ahead } else { ahead.min(0) };
        let of_date = self.api.behaviour.has_date;
        match ahead.cmp(&self.ahead) {
            Ordering::Less if of_date => tally(Happening::DateBack),
            Ordering::Less => tally(Happening::LocalClockBack),
            Ordering::Greater => tally(Happening::ClockForward),
            Ordering::Equal => {}
        }
        self.api.set_clock(ahead);
        self.ahead = ahead;
        self.offsets = self.offsets.with(ahead);
        self.log.push(Event::ClockSet { ahead });
    }

    fn configure(&mut self, config: Config) {
        self.config = config;
        // A first pass that was never kept can begin again.
        self.facts.include(config, self.kept.first_published.is_none());
    }

    /// Begins a process with what the one before kept. If that ended in a poll, that poll may have been kept.
    fn restart(&mut self, interrupted: Option<(i64, i64)>) -> Result<(), TestCaseError> {
        self.api.restart_clocks();
        let options = self.config.options(&self.setup);
        let Found { restored, is_doubtful } = self.vault.found(&options.rules);
        if let Some((kept, most_kept)) = self.doubtful.take().filter(|_| is_doubtful) {
            (self.kept, self.most_kept, self.polls_kept) = (kept, most_kept, self.polls_kept + 1);
        }
        if self.kept.first_published.is_none() && self.ahead > 0 {
            self.set_clock(0);
        }
        let (list, storage) = (Shared(Arc::clone(&self.api)), Shared(Arc::clone(&self.vault)));
        let Some(restored) = restored else {
            self.poller = Poller::new(list, storage, options);
            self.live = Belief::new(self.api.world.lives.len());
            self.kept = self.live.clone();
            (self.began, self.facts) = (self.api.now(), Facts::new(self.config));
            (self.offsets, self.most_kept) = (Offsets::default().with(self.ahead), 0);
            self.served = None;
            self.log.push(Event::BeganCold);
            return Ok(());
        };
        self.poller = Poller::restored(list, storage, options, restored);
        let found = self.poller.kept().cloned();
        if self.vault.polls() > self.polls_kept {
            prop_assert!(interrupted.is_some() && found.is_some(), "a poll was kept that nobody made");
            let (Some(poll), Some(snapshot)) = (interrupted, &found) else { return Ok(()) };
            self.polls_kept += 1;
            self.check(snapshot, poll, true)?;
        }
        self.offsets = Offsets { least: self.ahead, most: self.most_kept }.with(self.ahead);
        // Another window acts at once, and so does its picture.
        let numbers = |snapshot: &Snapshot| {
            let periods = Periods { length: Duration::ZERO, list: Vec::new() };
            Snapshot { window: Duration::ZERO, periods, ..snapshot.clone() }
        };
        let (found_numbers, kept) = (found.as_ref().map(numbers), self.kept.snapshot.as_ref().map(numbers));
        prop_assert_eq!(found_numbers, kept, "a restart serves what was not kept");
        self.kept.restored();
        self.facts.window = found.map_or(i64::MAX, |it| window_of(&it)).min(self.config.window);
        self.live = self.kept.clone();
        self.served.clone_from(&self.kept.snapshot);
        self.log.push(Event::Restored { has_published: self.served.is_some() });
        Ok(())
    }

    /// Polls once, and heals if that is asked for; checks what is published. Gives whether the poll succeeded.
    pub async fn poll(&mut self) -> Result<bool, TestCaseError> {
        let start = self.api.now();
        let Some(outcome) = self.crash.unless(self.poller.poll()).await else {
            self.log.push(Event::Crashed { to: self.api.now() - DAY_ZERO });
            self.restart(Some((start, self.api.now())))?;
            return Ok(false);
        };
        let Report { snapshot, state } = match outcome {
            Ok(report) => report,
            Err(error) => {
                self.log.push(Event::Failed { to: self.api.now() - DAY_ZERO, why: error.to_string() });
                return Ok(false);
            }
        };
        let poll = (start, self.api.now());
        self.polls_kept += u64::from(state.is_ok());
        prop_assert_eq!(self.vault.polls(), self.polls_kept, "kept, or not");
        if let Some(doubtful) = self.vault.doubtful(&self.config.rules(&self.setup)) {
            self.rehearse(&doubtful, poll)?;
        } else if state.is_ok() {
            self.doubtful = None;
        }
        self.check(&snapshot, poll, state.is_ok())?;
        self.heal().await?;
        Ok(true)
    }

    /// Checks what a process would find if the save of this poll, which failed, turned out to have worked.
    fn rehearse(&mut self, snapshot: &Snapshot, poll: (i64, i64)) -> Result<(), TestCaseError> {
        let before = (self.live.clone(), self.kept.clone(), self.served.clone());
        let times = (self.offsets, self.most_kept, self.was_off, self.facts);
        self.check(snapshot, poll, true)?;
        self.doubtful = Some((self.kept.clone(), self.most_kept));
        (self.live, self.kept, self.served) = before;
        (self.offsets, self.most_kept, self.was_off, self.facts) = times;
        Ok(())
    }

    async fn heal(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..HEAL_STEPS {
            if !self.poller.is_healing() {
                return Ok(());
            }
            match self.crash.unless(self.poller.heal_step()).await {
                Some(Ok(())) => {}
                Some(Err(_)) => return Ok(()),
                None => return self.restart(None),
            }
        }
        Err(TestCaseError::fail("a heal never ends"))
    }

    /// Checks what a poll published, and takes it in.
    fn check(&mut self, snapshot: &Snapshot, poll: (i64, i64), is_kept: bool) -> Result<(), TestCaseError> {
        let [from, to, at] = [poll.0, poll.1, snapshot.at.as_millisecond()].map(|at| at - DAY_ZERO);
        self.log.push(Event::Polled { from, to, at, window: window_of(snapshot), is_kept });
        // A first pass or a heal may have read by a time that was set back since.
        let latest = snapshot.at.as_millisecond() + self.offsets.most - self.ahead;
        self.check_time(snapshot, poll)?;
        let world = Arc::clone(&self.api);
        let view = self.view(snapshot, poll, &[], &world);
        self.live.leave(snapshot, &view, self.facts.window.min(view.window), latest);
        let traces = self.live.traces.clone();
        let view = View { traces: &traces, ..view };
        self.check_totals(snapshot)?;
        let bounds = view.bounds();
        let now = published(snapshot, self.setup.folds);
        let before = self.served.as_ref().map(|it| published(it, self.setup.folds)).unwrap_or_default();
        check_gauges(&bounds, &now)?;
        check_instants(&view, self.served.as_ref(), snapshot)?;
        check_durations(snapshot)?;
        if is_kept {
            let freedoms = self.live.holds.freedoms(snapshot, &self.setup, snapshot.at.as_millisecond());
            check_counters(&bounds, &freedoms, &before, &now)?;
        } else {
            let kept = self.kept.snapshot.as_ref();
            check_stopped(&kept.map(|it| published(it, self.setup.folds)).unwrap_or_default(), &now)?;
        }
        prop_assert!(view.window <= self.config.window, "a longer window than was asked for");
        self.live.learn(snapshot, &view);
        self.facts.window = view.window;
        if is_kept {
            self.kept = self.live.clone();
            self.most_kept = self.offsets.most;
        }
        self.served = Some(snapshot.clone());
        Ok(())
    }

    fn check_time(&mut self, snapshot: &Snapshot, (start, end): (i64, i64)) -> Result<(), TestCaseError> {
        let (at, baseline) = (snapshot.at.as_millisecond(), snapshot.baseline.as_millisecond());
        let first_published = self.live.first_published.unwrap_or(end);
        let Offsets { least, most } = self.offsets;
        let is_right = (start - SECOND + least..=end + most).contains(&at)
            && (self.began - SECOND - self.setup.most_behind..=first_published).contains(&baseline);
        // Two answers in a row whose wrong dates agree: nothing tells that the clock is not so.
        prop_assume!(is_right || self.api.behaviour.wrong_date == 0.0);
        prop_assert!(
            is_right,
            "the poll of {}..{} was taken at {}, its baseline {}",
            start,
            end,
            at,
            baseline
        );
        if let Some(before) = &self.live.snapshot {
            if snapshot.at < before.at {
                tally(Happening::TimeWentBack);
            }
            prop_assert_eq!(before.baseline, snapshot.baseline, "the baseline moved");
        }
        self.was_off = !(start - SECOND + self.ahead..=end + self.ahead).contains(&at);
        // The first answer came between start and end, so the exporter is no further off than that. A step that it does
        // not believe at once is longer than a minute.
        let (least, most) = (at - end, at - start + SECOND);
        let least = if self.ahead - least <= MINUTE { self.ahead } else { self.offsets.least.max(least) };
        let most = if most - self.ahead <= MINUTE { self.ahead } else { self.offsets.most.min(most) };
        self.offsets = Offsets { least, most }.with(self.ahead);
        Ok(())
    }

    pub fn view<'a>(
        &self,
        snapshot: &Snapshot,
        (start, end): (i64, i64),
        traces: &'a [Trace],
        api: &'a ModelApi,
    ) -> View<'a> {
        let from = if self.live.first_published.is_none() { self.began } else { start };
        let instants = Instants {
            began: self.began,
            baseline: snapshot.baseline.as_millisecond(),
            first_published: self.live.first_published.unwrap_or(end),
            at: snapshot.at.as_millisecond(),
            // An answer can be as old as a replica lags behind.
            poll: (start - self.setup.stale_by, end),
        };
        View {
            world: &api.world,
            traces,
            folds: self.setup.folds,
            stale_by: self.setup.stale_by,
            wrong_dates: api.behaviour.wrong_date,
            lateness: self.setup.lateness,
            hides_rows: api.world.hides_rows(from - self.setup.stale_by, end),
            is_healed: false,
            lookback: self.facts.lookback,
            overlap: self.facts.longest_overlap,
            remembered: self.facts.shortest_window,
            granule: (self.facts.longest_window / 1440 / SECOND).max(1) * SECOND,
            window: window_of(snapshot),
            instants,
        }
    }

    fn check_totals(&self, snapshot: &Snapshot) -> Result<(), TestCaseError> {
        let before = self.served.as_ref();
        let totals = |it: &Snapshot| (it.vanished_total, it.missed_total);
        let (vanished, missed) = before.map(totals).unwrap_or_default();
        prop_assert!(snapshot.vanished_total >= vanished && snapshot.missed_total >= missed, "a total fell");
        if self.setup.trouble == Trouble::Nothing {
            prop_assert_eq!(snapshot.drift.unwrap_or(0), 0, "the audit sees what is not there");
            prop_assert_eq!(snapshot.missed_total, 0, "nothing is missed");
        }
        let least = if self.setup.steps_clock { 0 } else { MISSING_FOR - self.setup.stale_by };
        let is_long = |(from, until): &(i64, i64)| until.saturating_sub(*from) >= least;
        let gone = self.api.world.lives.iter().filter_map(|life| life.gone).filter(is_long).count();
        prop_assert!(snapshot.vanished_total <= 2 * gone as u64, "{} vanished", snapshot.vanished_total);
        Ok(())
    }
}

pub fn window_of(snapshot: &Snapshot) -> i64 {
    i64::try_from(snapshot.window.as_millis()).unwrap_or(i64::MAX)
}

// === impl Offsets ===

impl Offsets {
    fn with(self, offset: i64) -> Self {
        Self { least: self.least.min(offset), most: self.most.max(offset) }
    }
}

// === impl Facts ===

impl Facts {
    fn new(config: Config) -> Self {
        Self {
            lookback: config.lookback,
            longest_overlap: config.overlap,
            longest_window: config.window,
            shortest_window: config.window,
            window: config.window,
        }
    }

    fn include(&mut self, config: Config, is_first_pass: bool) {
        if is_first_pass {
            self.lookback = self.lookback.min(config.lookback);
        }
        self.longest_overlap = self.longest_overlap.max(config.overlap);
        self.longest_window = self.longest_window.max(config.window);
        self.shortest_window = self.shortest_window.min(config.window);
        self.window = self.window.min(config.window);
    }
}
