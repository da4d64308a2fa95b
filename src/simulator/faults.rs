//! Faults on demand: what goes wrong, and how often. A fault is drawn for each request, from the simulator's
//! own seed; each is something that a client of an API across a network has to live with.

use std::fmt;
use std::str::FromStr;

use fastrand::Rng;

use super::chance::happens;

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// 429; half of them say when to try again, in seconds or as a date.
    Throttle,
    /// 500 or 503, with the API's error body.
    Server,
    /// 502 with a page of HTML, as from a gateway.
    Html,
    /// The connection is reset, without an answer.
    Reset,
    /// The connection is closed in the middle of the body.
    Cut,
    /// The answer comes late, by the simulator's `slow_for`.
    Slow,
    /// No answer ever comes.
    Stall,
    /// 200 with a body that is not JSON.
    Garbled,
    /// Not of a request but of a task: it is listed only some time after its creation. A new probability
    /// applies to the tasks that are generated from then on.
    Late,
    /// Rows have entered or left the listing before this page (not the first) since the others were read.
    Drift,
    /// The rows of this request are in an order of their own.
    Unstable,
    /// The `Date` is wrong by up to three hours.
    Date,
    /// An empty page has null for `_embedded`.
    NullEmpty,
    /// 401, with the right token.
    Unauthorised,
    /// The answer is some seconds to minutes old, as from a replica that lags.
    Stale,
}

/// How often each fault happens.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Faults {
    probabilities: [f64; Fault::ALL.len()],
}

/// One fault and its probability, written `NAME=PROBABILITY`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// What goes wrong.
    pub fault: Fault,
    /// From 0 (never) to 1 (always).
    pub probability: f64,
}

/// A text that is not a [`Rate`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRate {
    /// There is no `=`.
    #[error("expected NAME=PROBABILITY, such as throttle=0.1")]
    Shape,
    /// There is no such fault.
    #[error("unknown fault `{0}`; the faults are {names}", names = Fault::names())]
    Name(String),
    /// The probability is not a number from 0 to 1.
    #[error("the probability must be a number from 0 to 1, not `{0}`")]
    Probability(String),
}

/// The faults of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Drawn([bool; Fault::ALL.len()]);

// === impl Fault ===

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 15] = [
        Self::Throttle,
        Self::Server,
        Self::Html,
        Self::Reset,
        Self::Cut,
        Self::Slow,
        Self::Stall,
        Self::Garbled,
        Self::Late,
        Self::Drift,
        Self::Unstable,
        Self::Date,
        Self::NullEmpty,
        Self::Unauthorised,
        Self::Stale,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Throttle => "throttle",
            Self::Server => "server",
            Self::Html => "html",
            Self::Reset => "reset",
            Self::Cut => "cut",
            Self::Slow => "slow",
            Self::Stall => "stall",
            Self::Garbled => "garbled",
            Self::Late => "late",
            Self::Drift => "drift",
            Self::Unstable => "unstable",
            Self::Date => "date",
            Self::NullEmpty => "null-empty",
            Self::Unauthorised => "unauthorised",
            Self::Stale => "stale",
        }
    }

    fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }

    fn index(self) -> usize {
        Self::ALL.iter().position(|fault| *fault == self).expect("every fault must be listed")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Faults ===

impl Faults {
    /// Nothing goes wrong.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// As before, but this fault has this probability, cut to 0..=1.
    #[must_use]
    pub fn with(mut self, fault: Fault, probability: f64) -> Self {
        self.probabilities[fault.index()] = probability.clamp(0.0, 1.0);
        self
    }

    /// How probable a fault is.
    #[must_use]
    pub fn probability(&self, fault: Fault) -> f64 {
        self.probabilities[fault.index()]
    }

    /// What goes wrong with the next request. One number is drawn for each fault, wanted or not, so that a
    /// change of one probability leaves the other faults where they were.
    pub(super) fn draw(&self, rng: &mut Rng) -> Drawn {
        Drawn(self.probabilities.map(|probability| happens(rng, probability)))
    }
}

impl FromIterator<Rate> for Faults {
    fn from_iter<I: IntoIterator<Item = Rate>>(rates: I) -> Self {
        rates.into_iter().fold(Self::none(), |faults, rate| faults.with(rate.fault, rate.probability))
    }
}

// === impl Rate ===

impl FromStr for Rate {
    type Err = BadRate;

    fn from_str(text: &str) -> Result<Self, BadRate> {
        let (name, number) = text.split_once('=').ok_or(BadRate::Shape)?;
        let fault = Fault::ALL.into_iter().find(|fault| fault.as_str() == name);
        let fault = fault.ok_or_else(|| BadRate::Name(name.to_owned()))?;
        let probability = number.parse().ok().filter(|number| (0.0..=1.0).contains(number));
        let probability = probability.ok_or_else(|| BadRate::Probability(number.to_owned()))?;
        Ok(Self { fault, probability })
    }
}

// === impl Drawn ===

impl Drawn {
    pub(super) fn has(self, fault: Fault) -> bool {
        self.0[fault.index()]
    }

    /// Those that go wrong with a request; lateness is drawn for tasks.
    pub(super) fn faults(self) -> Vec<Fault> {
        Fault::ALL.into_iter().filter(|fault| *fault != Fault::Late && self.has(*fault)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_or_says_what_is_wrong_with_it() {
        for fault in Fault::ALL {
            assert_eq!(format!("{fault}=0.25").parse(), Ok(Rate { fault, probability: 0.25 }));
        }
        let error = |text: &str| text.parse::<Rate>().expect_err("the rate must be refused").to_string();
        assert_eq!(error("cut"), "expected NAME=PROBABILITY, such as throttle=0.1");
        assert_eq!(error("cut=2"), "the probability must be a number from 0 to 1, not `2`");
        assert_eq!(error("cut=NaN"), "the probability must be a number from 0 to 1, not `NaN`");
        assert!(
            error("late-rows=1").starts_with("unknown fault `late-rows`; the faults are throttle, server,")
        );
    }

    #[test]
    fn faults_are_drawn_as_often_as_asked_and_the_same_for_one_seed() {
        let faults = Faults::none().with(Fault::Throttle, 0.25).with(Fault::Cut, 1.0);
        let draw = || {
            let mut rng = Rng::with_seed(1);
            (0..1000).map(|_| faults.draw(&mut rng)).collect::<Vec<_>>()
        };
        let drawn = draw();
        assert_eq!(drawn, draw());
        let count = |fault| drawn.iter().filter(|drawn| drawn.has(fault)).count();
        assert!((200..300).contains(&count(Fault::Throttle)));
        assert_eq!((count(Fault::Cut), count(Fault::Reset)), (1000, 0));
    }
}
