//! The shipped rules, with the edits by which hours become seconds.

use std::fs;
use std::path::Path;

/// Where the rules are shipped.
pub const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus");

/// How much faster than shipped everything goes.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How many seconds a failure alerts, in place of an hour.
    pub range: u64,
    /// How many seconds there are between scrapes, and between evaluations of each group.
    pub interval: u64,
    /// How many seconds data may be old beside three poll intervals, in place of two minutes.
    pub age: u64,
}

// === impl Pace ===

impl Pace {
    /// For a few kinds.
    pub const FAST: Self = Self { range: 20, interval: 1, age: 10 };

    /// Copies the rules into `folder`, with three edits: the range of failures, the intervals of the groups, and how
    /// old data may be.
    pub fn copy_rules(self, folder: &Path) {
        let expected = fs::read_to_string(format!("{SHIPPED}/clumio-expected.yml"));
        let expected = expected.expect("the expected kinds must be shipped");
        fs::write(folder.join("clumio-expected.yml"), expected).expect("a rule file must be written");
        let rules = fs::read_to_string(format!("{SHIPPED}/clumio-rules.yml"));
        let rules = self.edited(&rules.expect("the rules must be shipped"));
        fs::write(folder.join("clumio-rules.yml"), rules).expect("a rule file must be written");
    }

    fn edited(self, rules: &str) -> String {
        let Self { range, interval, age } = self;
        let recent = "increase(clumio:tasks_ended_total[";
        let rules = replace_once(rules, &format!("{recent}1h])"), &format!("{recent}{range}s])"));
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
