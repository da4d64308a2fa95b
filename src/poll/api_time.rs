//! The API's own time, from the `Date` of its answers.
//!
//! Creations and ends are stamped by the API, so windows and overlaps are measured on its clock and this
//! machine's may be hours off. But a `Date` can be wrong as well (a cache, a gateway, a replica whose clock
//! jumped), and a wrong time would empty the window for good. So an answer is believed when it agrees with what
//! was believed before plus the monotonic time since; one that does not must be repeated by the next poll,
//! and until then the expected time is used. A process's first time is believed when two answers agree; one that is
//! before the latest instant of a restored state, like any other that does not fit, when a second poll repeats it.
//!
//! `Date` is truncated to a second and travels for a while: the time is late, never early, which is the safe
//! side, because the watermark must not pass what was listed.

use std::time::Duration;

use jiff::SignedDuration;

use crate::clumio::{Error, Reason};
use crate::ledger::PollTime;
use crate::time::{Moment, Timestamp};

/// How many answers of a poll are asked for their time: enough to outvote wrong ones.
const ANSWERS: usize = 16;

/// How far apart two times may be and still agree: more than a slow answer and a truncated second make, and no more
/// than a granule of the window.
const TOLERANCE: Duration = Duration::from_mins(1);

/// The distance from this machine's monotonic clock to the API's clock.
type Offset = SignedDuration;

/// The belief about the API's clock, from poll to poll.
#[derive(Debug, Clone, Default)]
pub(super) struct ApiTime {
    believed: Option<Offset>,
    doubted: Option<Offset>,
    /// The latest instant that is known from before, as long as nothing is believed.
    not_before: Option<Timestamp>,
}

/// When the answers of one poll came, and what they said of the time.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers {
    first: Vec<(Option<Timestamp>, Moment)>,
    last: Option<Moment>,
}

/// No two answers agree on what time it is.
pub(super) fn unknown() -> Error {
    Error::new(Reason::Protocol, "the answers' Date headers disagree, so that the API's time is unknown")
}

// === impl Answers ===

impl Answers {
    pub(super) fn note(&mut self, date: Option<Timestamp>, received: Moment) {
        if self.first.len() < ANSWERS {
            self.first.push((date, received));
        }
        // Pages are read side by side, and need not come in the order in which they are taken in.
        let is_later = self.last.is_none_or(|last| last.steady < received.steady);
        if is_later {
            self.last = Some(received);
        }
    }

    /// What the answers say, or this machine's clock where none says anything.
    fn offsets(&self) -> Vec<Offset> {
        let offset = |time: Timestamp, at: &Moment| time.as_duration().saturating_sub(signed(at.steady));
        let dated = self.first.iter().filter_map(|(date, at)| date.map(|date| offset(date, at)));
        let dated: Vec<Offset> = dated.collect();
        if dated.is_empty() { self.first.iter().map(|(_, at)| offset(at.wall, at)).collect() } else { dated }
    }

    /// The offset by which the first answer came at `time`.
    fn offset_of(&self, time: Timestamp) -> Option<Offset> {
        let (_, first) = self.first.first()?;
        Some(time.as_duration().saturating_sub(signed(first.steady)))
    }

    fn at(&self, offset: Offset) -> Option<PollTime> {
        let (_, first) = self.first.first()?;
        let last = self.last?;
        let latest = self.offsets().into_iter().max().unwrap_or(offset).max(offset);
        Some(PollTime {
            first_answer: instant(offset, *first),
            last_answer: instant(offset, last),
            latest: instant(latest, last),
        })
    }
}

// === impl ApiTime ===

impl ApiTime {
    /// What a process begins with that knows of an earlier instant.
    pub(super) fn not_before(earlier: Timestamp) -> Self {
        Self { not_before: Some(earlier), ..Self::default() }
    }

    /// When a poll with these answers took place; none if this is the first and no two of them agree. Call it once a
    /// poll: what was doubted is believed at the second call.
    pub(super) fn resolve(&mut self, answers: &Answers) -> Option<PollTime> {
        let offsets = answers.offsets();
        let expected = self.expected(answers)?;
        let first = if self.believed.is_none() { first_pair(&offsets) } else { None };
        let best = first.or_else(|| offsets.iter().copied().min_by_key(|it| distance(*it, expected)));
        let confirmed = best.filter(|offset| agree(*offset, expected));
        let repeated =
            offsets.iter().copied().find(|&offset| self.doubted.is_some_and(|it| agree(it, offset)));
        let Some(believed) = confirmed.or(repeated) else {
            self.doubted = first.or_else(|| offsets.first().copied());
            // With nothing to compare with, the next poll has to be as much in doubt as this one.
            return answers.at(expected);
        };
        *self = Self { believed: Some(believed), ..Self::default() };
        answers.at(believed)
    }

    /// When these answers came, going by what is believed already, else by those of them that agree.
    pub(super) fn estimate(&self, answers: &Answers) -> Option<PollTime> {
        answers.at(self.expected(answers)?)
    }

    /// Where the API's clock should be.
    fn expected(&self, answers: &Answers) -> Option<Offset> {
        if self.believed.is_some() {
            return self.believed;
        }
        let first = first_pair(&answers.offsets())?;
        let least = self.not_before.and_then(|earlier| answers.offset_of(earlier));
        Some(match least {
            Some(least) if first < least && !agree(first, least) => least,
            _ => first,
        })
    }
}

/// The first of the offsets that another one agrees with.
fn first_pair(offsets: &[Offset]) -> Option<Offset> {
    let has_partner = |n: usize| offsets[n + 1..].iter().any(|other| agree(*other, offsets[n]));
    (0..offsets.len()).find(|&n| has_partner(n)).map(|n| offsets[n])
}

fn agree(a: Offset, b: Offset) -> bool {
    distance(a, b) <= TOLERANCE
}

fn distance(a: Offset, b: Offset) -> Duration {
    a.saturating_sub(b).unsigned_abs()
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

fn instant(offset: Offset, at: Moment) -> Timestamp {
    let since_epoch = offset.saturating_add(signed(at.steady));
    Timestamp::from_duration(since_epoch).unwrap_or(at.wall)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_800_000_000;

    /// Answers that came `steady` seconds after the start, with these `Date`s.
    fn answers(steady: u64, dates: &[Option<i64>]) -> Answers {
        let mut answers = Answers::default();
        for date in dates {
            let wall = second(START + 7_000);
            let at = Moment { wall, steady: Duration::from_secs(steady) };
            answers.note(date.map(|offset| second(START + offset)), at);
        }
        answers
    }

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(n).expect("the second must be in range")
    }

    fn resolve(time: &mut ApiTime, answers: &Answers) -> Option<i64> {
        time.resolve(answers).map(|time| time.first_answer.as_second() - START)
    }

    #[test]
    fn the_last_answer_is_the_one_that_came_last_in_whatever_order_they_are_read() {
        let mut answers = Answers::default();
        for came in [0, 90, 30] {
            let at = Moment { wall: second(START), steady: Duration::from_secs(came) };
            answers.note(Some(second(START + i64::try_from(came).expect("it must fit"))), at);
        }
        let time = ApiTime::default().estimate(&answers).expect("the answers must agree");
        assert_eq!((time.first_answer, time.last_answer), (second(START), second(START + 90)));
    }

    #[test]
    fn the_first_time_needs_two_answers_that_agree() {
        let mut time = ApiTime::default();
        assert_eq!(resolve(&mut time, &answers(0, &[Some(9_000)])), None);
        assert_eq!(resolve(&mut time, &answers(0, &[Some(9_000), Some(0)])), None);
        assert_eq!(resolve(&mut time, &answers(0, &[Some(9_000), Some(0), Some(1)])), Some(0));
    }

    #[test]
    fn a_time_that_is_far_off_is_believed_only_when_the_next_poll_repeats_it() {
        let mut time = ApiTime::default();
        resolve(&mut time, &answers(0, &[Some(0), Some(0)]));
        assert_eq!(resolve(&mut time, &answers(60, &[Some(3_660), Some(3_660)])), Some(60), "expected");
        assert_eq!(resolve(&mut time, &answers(120, &[Some(3_720), Some(3_720)])), Some(3_720), "repeated");
        assert_eq!(resolve(&mut time, &answers(180, &[Some(180)])), Some(3_780), "expected");
        assert_eq!(resolve(&mut time, &answers(240, &[Some(3_840)])), Some(3_840), "as before");
        assert_eq!(resolve(&mut time, &answers(300, &[Some(300)])), Some(3_900), "doubted anew");
    }

    #[test]
    fn one_right_answer_outvotes_wrong_ones() {
        let mut time = ApiTime::default();
        resolve(&mut time, &answers(0, &[Some(0), Some(0)]));
        assert_eq!(resolve(&mut time, &answers(60, &[Some(-9_000), Some(62)])), Some(62));
        assert_eq!(resolve(&mut time, &answers(120, &[Some(150), Some(121)])), Some(121), "the best");
    }

    #[test]
    fn a_first_time_before_the_state_is_believed_only_when_the_next_poll_repeats_it() {
        let mut time = ApiTime::not_before(second(START + 5_000));
        assert_eq!(resolve(&mut time, &answers(0, &[Some(0), Some(0)])), Some(5_000));
        assert_eq!(resolve(&mut time, &answers(60, &[Some(60), Some(60)])), Some(60), "repeated");
        let mut time = ApiTime::not_before(second(START + 5_000));
        assert_eq!(resolve(&mut time, &answers(0, &[Some(0), Some(0)])), Some(5_000));
        assert_eq!(
            resolve(&mut time, &answers(60, &[Some(5_100), Some(5_100)])),
            Some(5_100),
            "it was wrong"
        );
        let mut time = ApiTime::not_before(second(START + 5_000));
        assert_eq!(
            resolve(&mut time, &answers(0, &[Some(4_990), Some(4_990)])),
            Some(4_990),
            "about the same"
        );
    }

    #[test]
    fn an_estimate_moves_no_belief() {
        let mut time = ApiTime::not_before(second(START + 5_000));
        let early = answers(0, &[Some(0), Some(0)]);
        assert_eq!(time.estimate(&answers(0, &[Some(0)])), None, "no two agree");
        assert_eq!(time.estimate(&early), time.resolve(&early));
    }

    #[test]
    fn without_any_date_the_local_clock_is_used() {
        let mut time = ApiTime::default();
        assert_eq!(resolve(&mut time, &answers(0, &[None, None])), Some(7_000));
    }
}
