//! `[assets]`: which tasks protect assets, how old the last completed one may be, and what is published of it.

use std::time::Duration;

use config::{Value, ValueKind};
use wildmatch::WildMatch;

use super::account::Account;
use super::error::Problems;
use super::table::{Table, Verdict};
use super::values::{days, duration, flag, hours, show, text, texts, whole};
use crate::task::Label;

/// What `max_age` is for the usual interval of the asset.
const AUTO: &str = "auto";

/// What the set of known keys calls the list of objectives.
const OBJECTIVES: &str = "assets.objectives";

/// The keys of an objective.
const OBJECTIVE_KEYS: [&str; 5] = ["account", "asset_type", "parent", "name", "max_age"];

/// The longest age and the longest `within`. The API lists tasks of the last six months, but what defines the state of an
/// asset is kept for longer.
const LONGEST: Duration = days(366);

/// How much of its history the replica must cover before `max_age = "auto"` judges an account.
pub const AUTO_COVERS: Duration = days(15);

/// Which tasks protect assets, and how old the last completed one may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assets {
    /// Categories of the tasks that protect assets.
    pub categories: Vec<Label>,
    /// The objective of assets that no entry of `objectives` matches.
    pub max_age: MaxAge,
    /// For which periods the assets completed within them are counted, shortest first.
    pub within: Vec<Within>,
    /// How many assets of an account have series of their own, for each family.
    pub max_named: usize,
    /// Whether names are published; otherwise ids.
    pub names: bool,
    /// Objectives of some assets; the first that matches counts.
    pub objectives: Vec<Objective>,
}

/// How old the last completed task of an asset may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxAge {
    /// Derived from the usual interval of the asset.
    Auto,
    /// This; zero: the asset is ignored.
    Fixed(Duration),
}

/// A period for which assets are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Within {
    /// The value of the label `within`, as the user writes it.
    pub label: String,
    /// The period.
    pub period: Duration,
}

/// The objective of the assets that match all of these patterns, in which `*` stands for any text and `?` for a character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objective {
    /// Matches the name of the account.
    pub account: Option<String>,
    /// Matches the API's type of the asset.
    pub asset_type: Option<String>,
    /// Matches the name of what the asset belongs to.
    pub parent: Option<String>,
    /// Matches the name of the asset.
    pub name: Option<String>,
    /// How old its last completed task may be.
    pub max_age: MaxAge,
}

// === impl Assets ===

impl Assets {
    pub(super) fn read(table: Option<Value>, file: &str, problems: &mut Problems) -> Self {
        let mut table = table;
        let objectives = match table.as_mut().map(|table| &mut table.kind) {
            Some(ValueKind::Table(entries)) => entries.remove("objectives"),
            _ => None,
        };
        let objectives = objectives.map_or_else(Vec::new, |list| read_objectives(list, file, problems));
        problems.know(OBJECTIVES.to_owned());
        for key in OBJECTIVE_KEYS {
            problems.know(format!("{OBJECTIVES}.{key}"));
        }
        let mut table = Table::top("assets", table, file, problems);
        let default = Self::default();
        let assets = Self {
            categories: table.or("categories", default.categories, categories),
            max_age: table.or("max_age", default.max_age, max_age),
            within: table.or("within", default.within, within),
            max_named: table.or("max_named", default.max_named, whole(0..=10_000)),
            names: table.or("names", default.names, flag),
            objectives,
        };
        table.close();
        assets
    }

    /// Reports objectives of accounts that do not exist, unless they have a wildcard.
    pub(super) fn check_accounts(&self, accounts: &[Account], file: &str, problems: &mut Problems) {
        let names: Vec<_> = accounts.iter().map(|account| account.name.as_str()).collect();
        for (index, objective) in self.objectives.iter().enumerate() {
            let Some(account) = objective.account.as_deref() else { continue };
            if account.contains(['*', '?']) || names.contains(&account) {
                continue;
            }
            let key = format!("{OBJECTIVES}[{index}].account");
            let message = format!("there is no account {account:?}; write {}", names.join(", "));
            problems.at(file, &key, &message);
        }
    }

    /// Whether any asset is judged by its usual interval.
    fn uses_auto(&self) -> bool {
        self.max_age == MaxAge::Auto || self.objectives.iter().any(|it| it.max_age == MaxAge::Auto)
    }

    /// Warns of a retention with which `auto` judges nothing.
    pub(super) fn warning(&self, retention: Duration) -> Option<String> {
        (self.uses_auto() && retention < AUTO_COVERS).then(|| {
            format!(
                "assets.max_age: \"auto\" judges no asset, because it needs {} of tasks and state.retention keeps {}; \
                 set state.retention to {0} or more, or max_age to a duration",
                show(AUTO_COVERS),
                show(retention),
            )
        })
    }

    /// The same for one account: with the objectives alone that can match its assets.
    #[must_use]
    pub fn for_account(&self, account: &str) -> Self {
        let can_match = |objective: &&Objective| {
            objective.account.as_deref().is_none_or(|pattern| WildMatch::new(pattern).matches(account))
        };
        Self { objectives: self.objectives.iter().filter(can_match).cloned().collect(), ..self.clone() }
    }
}

impl Default for Assets {
    fn default() -> Self {
        let within = [("24h", hours(24)), ("7d", days(7)), ("31d", days(31))];
        Self {
            categories: ["backup", "snapshot"].map(Label::new).to_vec(),
            max_age: MaxAge::Auto,
            within: within.map(|(label, period)| Within { label: label.to_owned(), period }).to_vec(),
            max_named: 100,
            names: true,
            objectives: Vec::new(),
        }
    }
}

fn read_objectives(list: Value, file: &str, problems: &mut Problems) -> Vec<Objective> {
    let ValueKind::Array(list) = list.kind else {
        let origin = list.origin().unwrap_or(file).to_owned();
        let remedy = "write [[assets.objectives]] into the file, in double brackets";
        problems.at(&origin, OBJECTIVES, &format!("not a list of tables; {remedy}"));
        return Vec::new();
    };
    let mut objectives = Vec::new();
    for (index, value) in list.into_iter().enumerate() {
        let shown = format!("{OBJECTIVES}[{index}]");
        let ValueKind::Table(entries) = value.kind else {
            problems.at(file, &shown, "not a table; write [[assets.objectives]], and its keys below");
            continue;
        };
        let entries = entries.into_iter().collect();
        let table = Table::new(shown, OBJECTIVES, file.to_owned(), entries, problems);
        objectives.extend(Objective::read(table));
    }
    objectives
}

fn categories(value: &ValueKind) -> Verdict<Vec<Label>> {
    Ok(texts(value)?.iter().map(|word| Label::new(word)).collect())
}

fn max_age(value: &ValueKind) -> Verdict<MaxAge> {
    match value {
        ValueKind::String(text) if text == AUTO => Ok(MaxAge::Auto),
        _ => duration(Duration::ZERO..=LONGEST)(value).map(MaxAge::Fixed).map_err(|message| {
            format!("{message}, \"auto\" for the usual interval, or \"0s\" to ignore the assets")
        }),
    }
}

fn within(value: &ValueKind) -> Verdict<Vec<Within>> {
    let read = |label: String| {
        let period = duration(Duration::from_mins(1)..=LONGEST)(&ValueKind::String(label.clone()))?;
        Ok(Within { label, period })
    };
    let mut all = texts(value)?.into_iter().map(read).collect::<Verdict<Vec<_>>>()?;
    all.sort_by_key(|within| within.period);
    match all.windows(2).find(|pair| pair[0].period == pair[1].period) {
        Some(pair) => {
            Err(format!("{:?} and {:?} are the same; write each once", pair[0].label, pair[1].label))
        }
        None => Ok(all),
    }
}

// === impl Objective ===

impl Objective {
    fn read(mut table: Table<'_>) -> Option<Self> {
        let [account, asset_type, parent, name] =
            ["account", "asset_type", "parent", "name"].map(|key| table.optional(key, text));
        let missing = "missing; write how old the last completed task may be, such as \"8d\"";
        let max_age = table.required("max_age", missing, max_age);
        table.close();
        Some(Self { account, asset_type, parent, name, max_age: max_age? })
    }
}
