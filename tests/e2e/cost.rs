//! What a poll costs: the pages of what is open and of what is new, and the look-ups of what left.

use std::time::Duration;

use clumio_exporter::simulator::{Exchange, Options, Outcome, Task};
use clumio_exporter::time::earlier;

use crate::harness::{ACCOUNT, Api, Exporter, FAST};

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Open,
    New,
    Left,
}

/// How many requests of each sort a poll made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cost {
    open: usize,
    new: usize,
    left: usize,
}

fn asked(exchange: &Exchange) -> Asked {
    let target = &exchange.target;
    match () {
        () if target.contains("status") => Asked::Open,
        () if target.contains("created_timestamp") => Asked::New,
        () => Asked::Left,
    }
}

/// The cost of each poll among the requests; each begins with the first page of what is open.
fn costs(requests: impl IntoIterator<Item = Exchange>) -> Vec<Cost> {
    let mut costs: Vec<Cost> = Vec::new();
    let mut before = None;
    for exchange in requests {
        let asked = asked(&exchange);
        if asked == Asked::Open && before != Some(Asked::Open) {
            costs.push(Cost::default());
        }
        before = Some(asked);
        let Some(cost) = costs.last_mut() else { continue };
        match asked {
            Asked::Open => cost.open += 1,
            Asked::New => cost.new += 1,
            Asked::Left => cost.left += 1,
        }
    }
    costs
}

/// The costs of polls that began after this call; the last may be under way.
async fn next(api: &Api, exporter: &Exporter) -> Vec<Cost> {
    drop(api.simulator.take_requests());
    exporter.polls(ACCOUNT, 1).await;
    let costs = costs(api.simulator.take_requests().recent);
    costs[..costs.len() - 1].to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_at_rest_costs_at_most_three_requests() {
    let api = Api::start(Options { tasks_per_day: 1_000, ..Options::default() }).await;
    api.simulator.stand_still(api.simulator.now());
    let exporter = Exporter::following(&api, FAST).await;
    exporter.polls(ACCOUNT, 1).await;
    let costs = next(&api, &exporter).await;
    let total = |cost: &Cost| cost.open + cost.new + cost.left;
    assert!(!costs.is_empty() && costs.iter().all(|cost| total(cost) <= 3), "{costs:?}");
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_costs_the_pages_of_open_and_new_and_the_batches_of_left() {
    let api = Api::start(Options::scripted()).await;
    let now = api.simulator.now();
    let ago = |minutes: u64| earlier(now, Duration::from_mins(minutes));
    let old = |id| Task::new(id, ago(120)).started(ago(119));
    (1..=250).for_each(|id| api.simulator.add(old(id)));
    (301..=420).for_each(|id| api.simulator.add(Task::new(id, ago(5)).ended(ago(4), Outcome::Completed)));
    let exporter = Exporter::following(&api, &FAST.replace("interval = \"1s\"", "interval = \"3s\"")).await;
    exporter.polls(ACCOUNT, 1).await;
    let rest = next(&api, &exporter).await;
    assert!(rest.iter().all(|cost| *cost == Cost { open: 3, new: 2, left: 0 }), "{rest:?}");

    // Just after a poll, so that no poll sees half of it.
    let polls = exporter.scrape().await.successes(ACCOUNT);
    exporter.until("the next poll succeeds", |page| page.successes(ACCOUNT) > polls).await;
    (1..=60).for_each(|id| api.simulator.add(old(id).ended(ago(0), Outcome::Failed)));
    let busy = next(&api, &exporter).await;
    assert_eq!(busy.first(), Some(&Cost { open: 2, new: 2, left: 2 }), "{busy:?}");
    assert!(busy[1..].iter().all(|cost| *cost == Cost { open: 2, new: 2, left: 0 }), "{busy:?}");
    exporter.stop().await;
}
