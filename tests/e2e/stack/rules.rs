//! The shipped rules, edited so that minutes become seconds.

use std::fs;
use std::path::Path;

/// Where the rules are shipped.
pub const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus");

/// How much faster than shipped everything goes.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How many seconds an alert keeps firing, in place of 15 minutes.
    pub hold: u64,
    /// How many seconds there are between scrapes, and between evaluations of each group.
    pub interval: u64,
    /// How many seconds data may be old beside three poll intervals, in place of two minutes.
    pub age: u64,
}

// === impl Pace ===

impl Pace {
    /// For a few kinds.
    pub const FAST: Self = Self { hold: 20, interval: 1, age: 10 };

    /// Copies the rules into `folder`, with three edits: how long alerts keep firing, the intervals of the groups, and
    /// how old data may be.
    pub fn copy_rules(self, folder: &Path) {
        let rules = fs::read_to_string(format!("{SHIPPED}/clumio-rules.yml"));
        let rules = self.edited(&rules.expect("the rules must be shipped"));
        fs::write(folder.join("clumio-rules.yml"), rules).expect("a rule file must be written");
    }

    fn edited(self, rules: &str) -> String {
        let Self { hold, interval, age } = self;
        let rules = rules.replace("keep_firing_for: 15m", &format!("keep_firing_for: {hold}s"));
        let rules = replace_once(&rules, "offset 15m", &format!("offset {hold}s"));
        let rules = replace_once(&rules, "_interval_seconds) + 120", &format!("_interval_seconds) + {age}"));
        let rules = replace_once(&rules, "for: 2m\n", "for: 2s\n");
        let lines = rules.lines().map(|line| match line.strip_prefix("    interval: ") {
            Some(_) => format!("    interval: {interval}s"),
            None => line.to_owned(),
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// An edit that hits nothing, or more than it should, would test other rules than those that are shipped.
fn replace_once(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from:?} must be in the rules once");
    text.replace(from, to)
}
