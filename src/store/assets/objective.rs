//! How old the last completion of an asset may be, and what follows from it at T.

use std::time::Duration;

use wildmatch::WildMatch;

use super::super::{Error, Result};
use super::evidence::Evidence;
use super::samples::AssetState;
use crate::config::{Assets, MaxAge, Objective};

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// `auto` with fewer completions than make a usual interval.
const FEW_COMPLETIONS: i64 = 8 * DAY;
/// `auto` without any completion.
const NEVER_COMPLETED: i64 = 26 * HOUR;
/// The same while a task is open: the first backup of a large asset takes days.
const FIRST_IS_OPEN: i64 = 7 * DAY;

/// How the state of an asset follows from the time after which it is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Not at all: the asset is ignored.
    Ignored = 0,
    /// By a configured age.
    Fixed = 1,
    /// By an age that requires the history to be known.
    Auto = 2,
    /// The same, and until it is late the asset is unjudged.
    AutoOnceLate = 3,
}

/// Why the last completion of an asset may be as old as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgeBasis {
    /// The objective is `0s`: the asset is ignored.
    Ignored,
    /// The age is configured.
    Configured,
    /// The usual interval of the asset.
    UsualInterval,
    /// Too few completions for a usual interval.
    FewCompletions,
    /// No completion yet, and a task is open.
    FirstIsOpen,
    /// No completion yet.
    NeverCompleted,
}

/// The objective of an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) judgement: Judgement,
    /// The asset is late after it.
    pub(super) late_from: i64,
}

/// What objectives select assets by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) asset_type: &'a str,
    pub(super) name: &'a str,
    pub(super) parent: &'a str,
}

/// The objectives of an account, ready to be matched.
pub(super) struct Objectives {
    patterns: Vec<Pattern>,
    default: MaxAge,
    /// Whether one selects by the name of the parent.
    pub(super) has_parent: bool,
}

struct Pattern {
    asset_type: Option<WildMatch>,
    name: Option<WildMatch>,
    parent: Option<WildMatch>,
    max_age: MaxAge,
}

// === impl Judgement ===

impl Judgement {
    pub(super) fn from_id(id: i64) -> Result<Self> {
        let all = [Self::Ignored, Self::Fixed, Self::Auto, Self::AutoOnceLate];
        let judgement = usize::try_from(id).ok().and_then(|id| all.get(id).copied());
        judgement.ok_or(Error::Damaged("an asset has no known objective"))
    }

    /// The state at T of an asset. `is_covered`: the replica covers the time that `auto` depends on.
    pub(super) fn state(self, is_late: bool, is_attempted: bool, is_covered: bool) -> AssetState {
        match self {
            Self::Ignored => AssetState::Ignored,
            Self::Auto | Self::AutoOnceLate if !is_covered => AssetState::Unjudged,
            _ if is_late && is_attempted => AssetState::Overdue,
            _ if is_late => AssetState::Silent,
            Self::AutoOnceLate => AssetState::Unjudged,
            Self::Fixed | Self::Auto => AssetState::Ok,
        }
    }
}

// === impl Objectives ===

impl Objectives {
    pub(super) fn new(assets: &Assets) -> Self {
        let patterns: Vec<Pattern> = assets.objectives.iter().map(Pattern::new).collect();
        let has_parent = patterns.iter().any(|pattern| pattern.parent.is_some());
        Self { patterns, default: assets.max_age, has_parent }
    }

    /// The objective of an asset with these tasks.
    pub(super) fn judge(&self, subject: Subject<'_>, evidence: &Evidence) -> Judged {
        let matching = self.patterns.iter().find(|pattern| pattern.matches(subject));
        let (judgement, age) = match matching.map_or(self.default, |pattern| pattern.max_age) {
            MaxAge::Fixed(Duration::ZERO) => (Judgement::Ignored, 0),
            MaxAge::Fixed(age) => (Judgement::Fixed, i64::try_from(age.as_micros()).unwrap_or(i64::MAX)),
            MaxAge::Auto => auto(evidence),
        };
        Judged { judgement, late_from: evidence.unprotected_since().saturating_add(age) }
    }

    /// The position of the objective that selects the asset, none for the default, and the basis of its age.
    pub(super) fn explain(&self, subject: Subject<'_>, evidence: &Evidence) -> (Option<usize>, AgeBasis) {
        let position = self.patterns.iter().position(|pattern| pattern.matches(subject));
        let max_age = position.map_or(self.default, |position| self.patterns[position].max_age);
        let basis = match max_age {
            MaxAge::Fixed(Duration::ZERO) => AgeBasis::Ignored,
            MaxAge::Fixed(_) => AgeBasis::Configured,
            MaxAge::Auto if evidence.usual.is_some() => AgeBasis::UsualInterval,
            MaxAge::Auto if evidence.completed.is_some() => AgeBasis::FewCompletions,
            MaxAge::Auto if evidence.is_open => AgeBasis::FirstIsOpen,
            MaxAge::Auto => AgeBasis::NeverCompleted,
        };
        (position, basis)
    }
}

fn auto(evidence: &Evidence) -> (Judgement, i64) {
    match (evidence.usual, &evidence.completed) {
        (Some(usual), _) => (Judgement::Auto, usual.saturating_add(usual / 4).saturating_add(HOUR)),
        (None, Some(_)) => (Judgement::AutoOnceLate, FEW_COMPLETIONS),
        (None, None) if evidence.is_open => (Judgement::Auto, FIRST_IS_OPEN),
        (None, None) => (Judgement::Auto, NEVER_COMPLETED),
    }
}

// === impl Pattern ===

impl Pattern {
    fn new(objective: &Objective) -> Self {
        let pattern = |text: &Option<String>| text.as_deref().map(WildMatch::new);
        Self {
            asset_type: pattern(&objective.asset_type),
            name: pattern(&objective.name),
            parent: pattern(&objective.parent),
            max_age: objective.max_age,
        }
    }

    fn matches(&self, subject: Subject<'_>) -> bool {
        let matches = |pattern: &Option<WildMatch>, text| {
            pattern.as_ref().is_none_or(|pattern: &WildMatch| pattern.matches(text))
        };
        matches(&self.asset_type, subject.asset_type)
            && matches(&self.name, subject.name)
            && matches(&self.parent, subject.parent)
    }
}
