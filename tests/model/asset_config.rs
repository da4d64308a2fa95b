//! `[assets]` as schedules vary it, and what it says of an asset, without any pattern.

use std::time::Duration;

use clumio_exporter::config::{Assets, MaxAge, Objective, Within};
use clumio_exporter::task::Label;
use proptest::prelude::*;

use crate::account::{ASSETS, HOUR};
use crate::schedule::micros;

/// The configuration of assets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssetConfig {
    pub max_named: usize,
    /// `max_age` in microseconds; none: `auto`.
    pub max_age: Option<i64>,
    pub objectives: Objectives,
    /// Whether snapshots protect assets.
    pub has_snapshots: bool,
}

/// The list of objectives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objectives {
    None,
    /// Assets named `scratch-*` are ignored, those of the type `vm` have two hours.
    ByNameAndType,
    /// What belongs to `us-*-2` has an hour, other volumes follow their usual interval.
    ByParent,
}

/// The periods of `assets.within`, in microseconds.
pub const WITHIN: [(&str, i64); 4] =
    [("2h", 2 * HOUR), ("24h", 24 * HOUR), ("7d", 168 * HOUR), ("31d", 744 * HOUR)];

// === impl AssetConfig ===

impl AssetConfig {
    pub fn assets(self) -> Assets {
        let categories = if self.has_snapshots { &["backup", "snapshot"][..] } else { &["backup"] };
        let within = WITHIN.map(|(label, period)| Within { label: label.to_owned(), period: micros(period) });
        Assets {
            categories: categories.iter().map(|word| Label::new(word)).collect(),
            max_age: self.max_age.map_or(MaxAge::Auto, |age| MaxAge::Fixed(micros(age))),
            within: within.to_vec(),
            max_named: self.max_named,
            names: true,
            objectives: self.objectives.list(),
        }
    }

    pub fn protects(self, category: &str) -> bool {
        category == "backup" || (category == "snapshot" && self.has_snapshots)
    }

    /// How old the last completion of an asset may be, in microseconds; none: `auto`.
    pub fn max_age(self, asset: usize, parent: Option<&str>) -> Option<i64> {
        let (asset_type, id, name) = ASSETS[asset];
        let name = name.or(id).unwrap_or_default();
        match self.objectives {
            Objectives::ByNameAndType if name.starts_with("scratch-") => Some(0),
            Objectives::ByNameAndType if asset_type == Some("vm") => Some(2 * HOUR),
            Objectives::ByParent if parent == Some("us-west-2") => Some(HOUR),
            Objectives::ByParent if asset_type == Some("volume") => None,
            _ => self.max_age,
        }
    }
}

impl Default for AssetConfig {
    fn default() -> Self {
        Self { max_named: 100, max_age: None, objectives: Objectives::None, has_snapshots: true }
    }
}

// === impl Objectives ===

impl Objectives {
    fn list(self) -> Vec<Objective> {
        let any =
            Objective { account: None, asset_type: None, parent: None, name: None, max_age: MaxAge::Auto };
        let fixed = |hours| MaxAge::Fixed(Duration::from_hours(hours));
        let text = |text: &str| Some(text.to_owned());
        match self {
            Self::None => vec![],
            Self::ByNameAndType => vec![
                Objective { name: text("scratch-*"), max_age: fixed(0), ..any.clone() },
                Objective { asset_type: text("v?"), max_age: fixed(2), ..any },
            ],
            Self::ByParent => vec![
                Objective { parent: text("us-*-2"), max_age: fixed(1), ..any.clone() },
                Objective { asset_type: text("vol*"), ..any },
            ],
        }
    }
}

pub fn asset_configs() -> impl Strategy<Value = AssetConfig> {
    let max_named = prop_oneof![1 => 0..4_usize, 1 => Just(100)];
    let max_age = prop_oneof![
        2 => Just(None),
        1 => (1..48_i64).prop_map(|hours| Some(hours * HOUR)),
        1 => (0..(30 * HOUR)).prop_map(Some),
    ];
    let objectives = prop_oneof![
        2 => Just(Objectives::None),
        1 => Just(Objectives::ByNameAndType),
        1 => Just(Objectives::ByParent),
    ];
    (max_named, max_age, objectives, proptest::bool::weighted(0.8)).prop_map(
        |(max_named, max_age, objectives, has_snapshots)| AssetConfig {
            max_named,
            max_age,
            objectives,
            has_snapshots,
        },
    )
}
