//! How the state of older versions becomes one of this version.
//!
//! What is no ledger stays as it is, for whoever reads it to refuse.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::time::Timestamp;

/// The default lookback, in seconds.
const WEEK: u64 = 7 * 24 * 3600;

/// How many granules the window is cut into.
const GRANULES: u64 = 1440;

/// How a document of each older version becomes one of the next, from version 1 on.
const STEPS: [fn(&mut Value); 2] = [to_version_2, to_version_3];

/// The version that the last step leads to: that of the format that is written. A change of what a field means, or a new
/// field that must be there, makes a new one, and a step.
pub(super) const VERSION: u64 = 1 + STEPS.len() as u64;

/// Makes a document of an older version one of this.
pub(super) fn migrate(document: &mut Value, version: u64) {
    let steps = (1..VERSION).zip(STEPS).filter(|(from, _)| *from >= version);
    steps.for_each(|(_, step)| step(document));
}

/// Version 1 had no audit: what was created before it is in no audited range, and no task is pinned. Of a hold it knew when
/// it began, which counts time in which nobody could see the counter: such a hold begins anew.
fn to_version_2(document: &mut Value) {
    let Some(ledger @ Value::Object(_)) = document.get_mut("ledger") else { return };
    let latest = match &ledger["polled"]["last_answer"] {
        Value::Null => ledger["baseline"].clone(),
        polled => polled.clone(),
    };
    let counted_to = ledger["remembered_from"].clone();
    ledger["creations"] = json!({ "counted_to": counted_to, "newest": latest, "segments": [] });
    ledger["lookback"] = json!({ "secs": WEEK, "nanos": 0 });
    ledger["pinned"] = json!([]);
    ledger["missed_total"] = json!(0);
    for kind in items(ledger.get_mut("kinds")) {
        begin_hold(kind.get_mut("created"));
        items(kind.get_mut("statuses")).for_each(|status| begin_hold(status.get_mut("ended_total")));
    }
}

/// Begins the hold of a counter anew, if one is under way.
fn begin_hold(counter: Option<&mut Value>) {
    if let Some(hold @ Value::Object(_)) = counter.and_then(|counter| counter.get_mut("hold")) {
        *hold = json!("new");
    }
}

/// Version 2 did not know when tasks ended but for the granule, of which the beginning is never too late, nor how long they
/// took: histograms begin empty. What may not be final is read again by the next poll. Each granule was named with its
/// count: it is a run of its own now.
fn to_version_3(document: &mut Value) {
    let Some(ledger @ Value::Object(_)) = document.get_mut("ledger") else { return };
    let width = widest_granule(ledger);
    let mut unsettled: HashMap<(u64, String, i64), u64> = HashMap::new();
    for task in items(ledger.get_mut("tasks")) {
        let place = (task["kind"].as_u64(), task["status"].as_str().map(str::to_owned));
        let Some(state) = task.get_mut("state").filter(|state| state["is"] == "provisional") else {
            continue;
        };
        let Some(granule) = state["granule"].as_i64() else { continue };
        state["started"] = Value::Null;
        state["ended"] = beginning(granule, width);
        if let (Some(kind), Some(status)) = place {
            *unsettled.entry((kind, status, granule)).or_default() += 1;
        }
    }
    for (kind, numbers) in (0..).zip(items(ledger.get_mut("kinds"))) {
        for status in items(numbers.get_mut("statuses")) {
            let Some(word) = status["status"].as_str() else { continue };
            let has_settled = |granule: i64, count: u64| {
                count > unsettled.get(&(kind, word.to_owned(), granule)).copied().unwrap_or(0)
            };
            let granules = status["ended"].as_object().into_iter().flatten();
            let granules =
                granules.filter_map(|(granule, count)| Some((granule.parse().ok()?, count.as_u64()?)));
            let newest =
                granules.filter(|(granule, count)| has_settled(*granule, *count)).map(|it| it.0).max();
            if let Some(newest) = newest {
                status["last_ended"] = beginning(newest, width);
            }
            if let Some(runs) = runs(&status["ended"]) {
                status["ended"] = runs;
            }
        }
    }
}

/// A run of one granule for each of these.
fn runs(granules: &Value) -> Option<Value> {
    let granules = granules.as_object()?.iter();
    let mut runs = granules
        .map(|(granule, count)| Some((granule.parse().ok()?, count)))
        .collect::<Option<Vec<(i64, _)>>>()?;
    runs.sort_by_key(|run| run.0);
    Some(runs.into_iter().map(|(granule, count)| json!([granule, [count]])).collect())
}

/// How wide granules can be, in seconds.
fn widest_granule(ledger: &Value) -> i64 {
    let window = ledger["window"]["secs"].as_u64().unwrap_or(0) / GRANULES;
    let slack = ledger["slack"].as_i64().unwrap_or(0);
    i64::try_from(window).unwrap_or(i64::MAX).max(slack).max(1)
}

/// The earliest instant that can be in a granule that ends at this second.
fn beginning(granule: i64, width: i64) -> Value {
    json!(Timestamp::from_second(granule.saturating_sub(width)).unwrap_or(Timestamp::MIN))
}

/// The items of an array.
fn items(list: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    list.and_then(Value::as_array_mut).into_iter().flatten()
}
