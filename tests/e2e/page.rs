//! The exposition as a test reads it: every series by its text, in which no series comes twice.

use std::collections::BTreeMap;

/// The value of every series, by the series as it is written on the page.
pub type Samples = BTreeMap<String, f64>;

/// A page that was scraped.
#[derive(Debug, Clone)]
pub struct Page {
    pub text: String,
    pub samples: Samples,
}

// === impl Page ===

impl Page {
    /// The samples of a family that are not 0, a line each.
    pub fn counted(&self, family: &str) -> String {
        let samples = self.families(&[family]);
        let counted = samples.iter().filter(|(_, count)| **count > 0.0);
        counted.map(|(series, count)| format!("{series} {count}")).collect::<Vec<_>>().join("\n")
    }

    pub fn read(text: String) -> Self {
        let mut samples = Samples::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').expect("a line must have a series and a value");
            let value = value.parse().expect("a value must be a number");
            let twice = samples.insert(series.to_owned(), value);
            assert!(twice.is_none(), "{series} is on the page twice");
        }
        Self { text, samples }
    }

    /// The value of a series, if it is on the page.
    pub fn get(&self, series: &str) -> Option<f64> {
        self.samples.get(series).copied()
    }

    /// The value of a family's series of one account, if it is on the page.
    pub fn of(&self, family: &str, account: &str) -> Option<f64> {
        self.get(&format!("{family}{{account=\"{account}\"}}"))
    }

    /// The series of these families.
    pub fn families(&self, names: &[&str]) -> Samples {
        let of_families = |series: &str| names.contains(&series.split('{').next().unwrap_or_default());
        let samples = self.samples.iter().filter(|(series, _)| of_families(series));
        samples.map(|(series, value)| (series.clone(), *value)).collect()
    }

    /// How many polls of the account failed for this reason.
    pub fn failures(&self, account: &str, reason: &str) -> f64 {
        let series =
            format!("clumio_exporter_poll_failures_total{{account=\"{account}\",reason=\"{reason}\"}}");
        self.get(&series).unwrap_or_else(|| panic!("{series} must be on the page"))
    }

    /// How many polls of the account failed, for whatever reason.
    pub fn failed(&self, account: &str) -> f64 {
        let failures = self.families(&["clumio_exporter_poll_failures_total"]);
        let own = format!("account=\"{account}\"");
        failures.iter().filter(|(series, _)| series.contains(&own)).map(|(_, count)| count).sum()
    }

    /// How many polls of the account succeeded.
    pub fn successes(&self, account: &str) -> f64 {
        self.of("clumio_exporter_polls_total", account).unwrap_or_default() - self.failed(account)
    }

    /// Whether the last poll of the account succeeded.
    pub fn is_up(&self, account: &str) -> bool {
        self.of("clumio_up", account) == Some(1.0)
    }
}
