//! The task list of a simulated account, without a network: it drifts, fails and misleads as the real one may.
//!
//! Time passes with every request, so that rows enter and leave between the pages of a listing.

use std::collections::HashSet;
use std::sync::Mutex;

use clumio_exporter::clumio::{Error, Filter, Page, Reason, TaskList};
use clumio_exporter::task::{Entity, Label, Name, Status, Task, TaskId};
use clumio_exporter::time::{Moment, Timestamp};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::account::{ASSETS, Account, DAY, HOUR, KINDS, Lacks, Life, MINUTE, PARENTS, SECOND, timestamp};
use crate::behaviour::{Behaviour, Order};
use crate::clocks::Clocks;
use crate::flaw::Flaw;
use crate::tally::{Happening, tally};

/// A task list that a poller can read.
pub struct SimulatedApi {
    pub account: Account,
    pub behaviour: Behaviour,
    flaw: Flaw,
    /// The lives in order of creation, with what never changes in their rows.
    labels: Vec<(usize, RowLabels)>,
    state: Mutex<State>,
}

/// What never changes in the rows of a task.
struct RowLabels {
    id: TaskId,
    category: Label,
    task_type: Label,
    primary: Option<Box<Entity>>,
    parent: Option<Box<Entity>>,
}

struct State {
    clocks: Clocks,
    random: SmallRng,
    requests: u64,
    has_faults: bool,
    /// How many more requests are answered before all others fail.
    answers: Option<u64>,
    is_background: bool,
    interrupt: Option<Interrupt>,
    record: Record,
    /// Tasks whose end the exporter has committed: rows of them may be days old.
    settled: HashSet<usize>,
}

/// Why the caller of a request never gets a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// The process ends before the response.
    CrashAtRequest,
    /// The process ends once it waits for anything else after the response.
    CrashAfterResponse,
    /// The next poll is due.
    Stop,
}

/// What was requested and shown since the last poll.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// `Date` and arrival of the first response.
    pub first: Option<(Option<Timestamp>, Moment)>,
    /// Whether the first response was to a request other than for open tasks.
    pub begins_with_other: bool,
    /// Whether a request other than for open tasks was sent.
    pub has_other: bool,
    pub shown: Vec<Shown>,
    /// Whether a replica that lags behind counted as many rows as the count cap allows, so that its page seems to complete
    /// a longer listing.
    pub is_ambiguous: bool,
}

/// A row that was shown.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    pub life: usize,
    pub has_ended: bool,
    /// Whether it was shown because it is open, or looked up.
    pub is_direct: bool,
    /// Whether a listing by creation showed it that was requested wider than it is, and it is only in what is wider.
    pub is_marginal: bool,
}

impl TaskList for &SimulatedApi {
    async fn page(&self, filter: &Filter, number: u64, limit: u32) -> Result<Page, Error> {
        // Requests in flight together are answered in any order.
        for _ in 0..self.with(|state| state.random.random_range(0..3)) {
            tokio::task::yield_now().await;
        }
        let response = self.with(|state| self.respond(state, filter, number, limit));
        match response {
            Some(response) => response,
            None => std::future::pending().await,
        }
    }
}

// === impl SimulatedApi ===

impl SimulatedApi {
    pub fn new(account: Account, behaviour: Behaviour, flaw: Flaw) -> Self {
        let state = State {
            clocks: Clocks::new(behaviour.has_date),
            random: SmallRng::seed_from_u64(behaviour.seed),
            requests: 0,
            has_faults: true,
            answers: None,
            is_background: false,
            interrupt: None,
            record: Record::default(),
            settled: HashSet::new(),
        };
        let mut labels: Vec<_> = account
            .lives
            .iter()
            .enumerate()
            .map(|(index, life)| (index, RowLabels::new(index, life)))
            .collect();
        labels.sort_by_key(|(index, _)| account.lives[*index].created);
        Self { account, behaviour, flaw, labels, state: Mutex::new(state) }
    }

    /// True time.
    pub fn now(&self) -> i64 {
        self.with(|state| state.clocks.now)
    }

    pub fn clocks(&self) -> Clocks {
        self.with(|state| state.clocks)
    }

    pub fn set_clocks(&self, set: impl FnOnce(&mut Clocks)) {
        self.with(|state| set(&mut state.clocks));
    }

    pub fn sleep_until(&self, at: i64) {
        self.set_clocks(|clocks| clocks.now = clocks.now.max(at));
    }

    /// Ends all faults. Clocks stay as they are.
    pub fn recover(&self) {
        self.with(|state| (state.has_faults, state.answers) = (false, None));
    }

    /// Answers so many requests; all others fail until it recovers.
    pub fn answer_only(&self, requests: u64) {
        self.with(|state| state.answers = Some(requests));
    }

    pub fn requests(&self) -> u64 {
        self.with(|state| state.requests)
    }

    /// Whether requests are made between polls from now on.
    pub fn set_background(&self, is_background: bool) {
        self.with(|state| state.is_background = is_background);
    }

    /// Sets the tasks whose end the exporter has committed and not forgotten.
    pub fn settle(&self, lives: HashSet<usize>) {
        self.with(|state| state.settled = lives);
    }

    pub fn take_interrupt(&self) -> Option<Interrupt> {
        self.with(|state| state.interrupt.take())
    }

    pub fn take_record(&self) -> Record {
        self.with(|state| std::mem::take(&mut state.record))
    }

    /// A random number for what happens to the exporter.
    pub fn chance(&self, probability: f64) -> bool {
        self.with(|state| state.has_faults && state.random.random_bool(probability))
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().expect("the model must not panic"))
    }

    fn respond(
        &self,
        state: &mut State,
        filter: &Filter,
        number: u64,
        limit: u32,
    ) -> Option<Result<Page, Error>> {
        let is_other = *filter != Filter::Open;
        state.requests += 1;
        state.record.has_other |= is_other;
        state.clocks.now += state.random.random_range(0..=self.behaviour.slowest);
        if state.is_background && state.has_faults && state.random.random_bool(self.behaviour.stopping) {
            state.interrupt = Some(Interrupt::Stop);
            return None;
        }
        let is_spent = state.answers == Some(0);
        state.answers = state.answers.map(|answers| answers.saturating_sub(1));
        if is_spent || (state.has_faults && state.random.random_bool(self.behaviour.failing)) {
            return Some(Err(Error::new(Reason::Connect, "the model failed this request")));
        }
        if self.behaviour.max_accepted_limit.is_some_and(|most| limit > most) {
            return Some(Err(Error::new(Reason::Rejected, "the limit is too large").with_status(400)));
        }
        let crashes = state.has_faults && state.random.random_bool(self.behaviour.crashing);
        if crashes && state.random.random_bool(0.5) {
            state.interrupt = Some(Interrupt::CrashAtRequest);
            return None;
        }
        let page = self.page_of(state, filter, number, limit);
        if crashes {
            state.interrupt = Some(Interrupt::CrashAfterResponse);
        }
        if state.record.first.is_none() {
            state.record.first = Some((page.date, page.received));
            state.record.begins_with_other = is_other;
        }
        Some(Ok(page))
    }

    fn page_of(&self, state: &mut State, filter: &Filter, number: u64, limit: u32) -> Page {
        let Behaviour { stale_by, forgetful, .. } = self.behaviour;
        let lags = state.has_faults && stale_by > 0 && state.random.random_ratio(1, 8);
        let at = state.clocks.now - if lags { state.random.random_range(0..=stale_by) } else { 0 };
        // A replica of the API that is days behind shows the start of what has ended long ago.
        let is_old = state.has_faults && forgetful && state.random.random_ratio(1, 6);
        let age = state.random.random_range(0..=3 * DAY);
        let settled = &state.settled;
        let view = |index: usize, life: &Life| {
            let is_old = is_old && settled.contains(&index) && life.is_shown(at);
            if is_old { (at - age).max(life.listed().min(at)) } else { at }
        };
        let mut rows: Vec<(usize, &RowLabels, i64)> = Vec::new();
        for (index, labels) in &self.labels {
            let life = &self.account.lives[*index];
            let at = view(*index, life);
            if life.is_shown(at) && self.matches(filter, life, labels, at) {
                rows.push((*index, labels, at));
            }
        }
        self.sort(&mut rows, &mut state.random);
        let limit = limit.min(self.behaviour.max_limit);
        let total = rows.len() as u64;
        let skipped = usize::try_from((number - 1) * u64::from(limit)).expect("the page must be in range");
        let page: Vec<_> = rows.into_iter().skip(skipped).take(limit as usize).collect();
        for &(index, _, at) in &page {
            let has_ended = self.account.lives[index].has_ended(at);
            if !has_ended && settled.contains(&index) && self.account.lives[index].has_ended(state.clocks.now)
            {
                tally(Happening::RowShownOpenAgain);
            }
            let is_direct = !matches!(filter, Filter::Created { .. });
            let is_marginal = is_marginal(filter, &self.account.lives[index]);
            state.record.shown.push(Shown { life: index, has_ended, is_direct, is_marginal });
        }
        let tasks = page.into_iter().map(|(index, labels, at)| labels.row(&self.account.lives[index], at));
        let counted = self.behaviour.count_cap.map_or(total, |cap| cap.min(total));
        if counted < total && total > u64::from(limit) {
            tally(Happening::CountCapped);
        }
        state.record.is_ambiguous |= lags
            && total > u64::from(limit)
            && self.behaviour.count_cap.is_some_and(|cap| total <= cap && self.rows_now(state, filter) > cap);
        let is_short = match (self.flaw, filter) {
            (Flaw::CountsShort, _) => total > u64::from(limit),
            (Flaw::AuditsShort, Filter::Created { to: Some(_), .. }) => total > 0 && limit == 1,
            _ => false,
        };
        let has_next = number * u64::from(limit) < total - u64::from(is_short);
        Page {
            tasks: tasks.collect(),
            without_status: Vec::new(),
            without_id: 0,
            total: counted - u64::from(is_short),
            limit,
            has_next,
            date: state.date(self.behaviour.wrong_date),
            received: state.clocks.moment(),
        }
    }

    /// How many rows an API server that does not lag behind has.
    fn rows_now(&self, state: &State, filter: &Filter) -> u64 {
        let now = state.clocks.now;
        let rows = self.labels.iter().filter(|(index, labels)| {
            let life = &self.account.lives[*index];
            life.is_shown(now) && self.matches(filter, life, labels, now)
        });
        rows.count() as u64
    }

    fn matches(&self, filter: &Filter, life: &Life, labels: &RowLabels, at: i64) -> bool {
        let precision = if self.behaviour.is_coarse { SECOND } else { 1 };
        let created = timestamp(life.created().div_euclid(precision) * precision);
        match filter {
            Filter::Open => !life.has_ended(at),
            Filter::Created { from, to } => {
                let is_flawed = self.flaw == Flaw::ForgetsOverlap && to.is_none();
                let from = if is_flawed { from.as_microsecond() + MINUTE } else { from.as_microsecond() };
                created.as_microsecond() >= from && to.is_none_or(|to| created <= to)
            }
            Filter::Ids(_) if self.flaw == Flaw::FindsNoId => false,
            Filter::Ids(ids) => ids.contains(&labels.id),
        }
    }

    fn sort(&self, rows: &mut [(usize, &RowLabels, i64)], random: &mut SmallRng) {
        match self.behaviour.order {
            Order::OldestFirst => {}
            Order::NewestFirst => rows.reverse(),
            Order::Scattered => rows.sort_by_key(|(index, ..)| scatter(*index)),
            Order::Unstable => rows.sort_by_cached_key(|_| random.random::<u64>()),
        }
    }
}

/// Whether the row of a task is beyond what a listing was asked for, which is two seconds less on both sides.
fn is_marginal(filter: &Filter, life: &Life) -> bool {
    let Filter::Created { from, to } = filter else { return false };
    let is_after = |to: &Timestamp| life.created() >= to.as_microsecond() - 2 * SECOND;
    life.created() < from.as_microsecond() + 2 * SECOND || to.as_ref().is_some_and(is_after)
}

fn scatter(index: usize) -> u64 {
    (index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31)
}

// === impl State ===

impl State {
    fn date(&mut self, wrong_date: f64) -> Option<Timestamp> {
        let is_wrong = self.has_faults && self.random.random_bool(wrong_date);
        let sign = if self.random.random_bool(0.5) { 1 } else { -1 };
        let error = match self.random.random_range(0..4) {
            0 => 300 * DAY,
            1 => self.random.random_range(2 * MINUTE..=24 * HOUR),
            _ => self.random.random_range(2 * MINUTE..=60 * DAY),
        };
        self.clocks.date(if is_wrong { sign * error } else { 0 })
    }
}

// === impl RowLabels ===

impl RowLabels {
    fn new(index: usize, life: &Life) -> Self {
        let (category, task_type) = KINDS[life.kind];
        let id = TaskId::new(&index.to_string()).expect("the id must be valid");
        let primary = life.asset.and_then(|asset| entity(ASSETS[asset]));
        let parent =
            PARENTS[life.parent].and_then(|name| entity((Some("environment"), Some(name), Some(name))));
        Self { id, category: Label::new(category), task_type: Label::new(task_type), primary, parent }
    }

    fn row(&self, life: &Life, at: i64) -> Task {
        let seen = |instant: i64| (instant <= at).then(|| timestamp(instant));
        Task {
            id: self.id.clone(),
            category: self.category.clone(),
            task_type: self.task_type.clone(),
            status: Status::from_word(life.status(at)),
            created: (life.lacks != Lacks::Creation).then(|| timestamp(life.created())),
            started: seen(life.started()),
            ended: life.ended().and_then(seen).filter(|_| life.lacks != Lacks::End),
            // Another one in each poll: it must change no number.
            progress: u8::try_from(at.rem_euclid(101)).ok(),
            primary: self.primary.clone(),
            parent: self.parent.clone(),
        }
    }
}

fn entity((entity_type, id, name): (Option<&str>, Option<&str>, Option<&str>)) -> Option<Box<Entity>> {
    Entity::new(entity_type.map(Label::new), id.map(Name::new), name.map(Name::new)).map(Box::new)
}
