//! What the exporter serves: a page with every family on it, and the families of a page.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use clumio_exporter::clumio::{Error, Filter, Page, Reason, TaskList};
use clumio_exporter::ledger::{KindSample, Observations, Periods, Rules, Snapshot, StatusSample};
use clumio_exporter::metrics::Exposition;
use clumio_exporter::poll::{Options, Poller};
use clumio_exporter::state::{Disk, Written};
use clumio_exporter::task::{Label, Status};
use clumio_exporter::time::Timestamp;

const DAY: Duration = Duration::from_hours(24);

/// A family of the page: its type, and the names of its labels.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    pub kind: String,
    pub labels: BTreeSet<String>,
}

/// An API that cannot be reached.
struct Unreachable;

impl TaskList for Unreachable {
    async fn page(&self, _: &Filter, _: u64, _: u32) -> Result<Page, Error> {
        Err(Error::new(Reason::Connect, "there is no network"))
    }
}

/// A page with every family on it: one account with a task of one kind, in its initial sync.
pub fn page() -> String {
    let exposition = Exposition::new();
    let rules = Rules {
        window: DAY,
        overlap: Duration::from_mins(10),
        counter_hold: Duration::from_mins(2),
        max_categories: 20,
        max_kinds: 200,
    };
    let (audit_interval, lookback) = (Duration::ZERO, DAY);
    let options =
        Options { page_size: 100, id_batch_size: 50, most_rows: 1_000, lookback, audit_interval, rules };
    let mut poller = Poller::new(Unreachable, None::<Disk>, options);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("the runtime must start");
    runtime.block_on(poller.poll()).expect_err("the API must not be reached");
    let account = exposition.add_account("docs", Duration::from_mins(1), DAY, &poller.progress());
    account.token_expires(Some(Timestamp::UNIX_EPOCH));
    let written = Written { bytes: 1, at: Timestamp::UNIX_EPOCH };
    account.succeeded(snapshot(), Some(written), Duration::from_secs(1), Timestamp::UNIX_EPOCH);
    String::from_utf8(exposition.page().plain().to_vec()).expect("the page must be text")
}

fn snapshot() -> Snapshot {
    let statuses = Status::OPEN.into_iter().map(|status| (status, None));
    let statuses = statuses.chain(Status::ENDED.into_iter().map(|status| (status, Some(1))));
    let (at, durations) = (Timestamp::UNIX_EPOCH, Some(Box::<Observations>::default()));
    let kind = KindSample {
        category: Label::new("backup"),
        task_type: Label::new("aws_ebs_volume_incremental_backup"),
        created_total: 1,
        queue_durations: durations.clone(),
        statuses: statuses
            .map(|(status, ended_total)| StatusSample {
                status,
                tasks: 1,
                open: 0,
                oldest_open: Some(at),
                ended_total,
                last_ended: Some(at),
                run_durations: durations.clone(),
            })
            .collect(),
    };
    Snapshot {
        at,
        window: DAY,
        baseline: at,
        watermark: at,
        vanished_total: 0,
        missed_total: 0,
        drift: Some(0),
        kinds: vec![kind],
        periods: Periods { length: Duration::from_hours(1), list: Vec::new() },
        failures: Arc::default(),
    }
}

/// The families of a page; the label of the buckets of a histogram is no label of its family.
pub fn families(page: &str) -> BTreeMap<String, Family> {
    let mut families = BTreeMap::new();
    let mut current = String::new();
    for line in page.lines().filter(|line| !line.starts_with("# HELP")) {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            name.clone_into(&mut current);
            families.insert(current.clone(), Family { kind: kind.to_owned(), labels: BTreeSet::new() });
        } else if let Some(family) = families.get_mut(&current) {
            let labels = line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}'));
            let names = labels.into_iter().flat_map(|(labels, _)| labels.split(','));
            let names = names.filter_map(|label| label.split('=').next()).filter(|name| *name != "le");
            family.labels.extend(names.map(str::to_owned));
        }
    }
    families
}
