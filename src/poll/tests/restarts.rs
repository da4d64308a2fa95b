//! What the first poll after a restart asks for, and when it thinks that it is.

use super::*;
use crate::ledger::PollTime;
use crate::state::Restored;
use crate::time::later;

const DAY: Duration = Duration::from_hours(24);

/// The state that a process left behind which polled last so long before the first answer to the next one.
fn left(ago: Duration) -> Restored {
    let at = earlier(second(0), ago);
    let mut ledger = Ledger::new(options().rules, at, earlier(at, DAY));
    ledger.take_baseline(Vec::new(), at);
    ledger.commit(Vec::new(), PollTime { first_answer: at, last_answer: at, latest: at });
    Restored { ledger, first_pass: None, written: Written { bytes: 0, at } }
}

/// What a process that goes on with this state asks for in its first poll, and what it publishes.
fn first_poll(
    state: Restored,
    answer: impl Fn(&Filter, u64, u32) -> Result<Page, Error> + Send + Sync,
) -> (Snapshot, Vec<Filter>) {
    let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let script = Script { answer, asked: Arc::clone(&asked) };
    let mut poller = Poller::restored(script, None::<Disk>, options(), state);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("the runtime must start");
    let report = runtime.block_on(poller.poll()).expect("the poll must succeed");
    let asked = asked.lock().expect("the lock must be whole");
    (report.snapshot, asked.iter().map(|(filter, ..)| filter.clone()).collect())
}

fn listed_from(asked: &[Filter]) -> Timestamp {
    let from = asked.iter().find_map(|filter| match filter {
        Filter::Created { from, .. } => Some(*from),
        _ => None,
    });
    from.expect("new tasks must be listed")
}

#[test]
fn it_goes_on_from_the_watermark() {
    let (snapshot, asked) = first_poll(left(DAY), |_, _, limit| Ok(empty(limit)));
    let overlap_and_margin = Duration::from_secs(600 + 2);
    assert_eq!(listed_from(&asked), earlier(second(0), DAY + overlap_and_margin));
    assert_eq!(snapshot.baseline, earlier(second(0), DAY), "the counters go on");
    assert_eq!(snapshot.at, second(0));
}

#[test]
fn after_an_absence_of_more_than_six_months_it_lists_what_the_api_shows() {
    let (snapshot, asked) = first_poll(left(DAY * 300), |_, _, limit| Ok(empty(limit)));
    assert_eq!(listed_from(&asked), earlier(second(0), DAY * 180 + Duration::from_secs(2)));
    assert_eq!(snapshot.baseline, earlier(second(0), DAY * 300));
}

#[test]
fn a_first_pass_that_goes_on_after_more_than_six_months_reads_what_the_api_shows() {
    let baseline = earlier(second(0), DAY * 170);
    let days = |ago: u32| earlier(second(0), DAY * ago);
    let ledger = Ledger::new(options().rules, baseline, days(300));
    let slices = vec![(days(175), baseline), (days(250), days(175)), (days(300), days(250))];
    let written = Written { bytes: 0, at: baseline };
    let state = Restored { ledger, first_pass: Some(slices), written };
    let (snapshot, asked) = first_poll(state, |_, _, limit| Ok(empty(limit)));
    let margin = Duration::from_secs(2);
    let ranges: Vec<_> = asked
        .iter()
        .filter_map(|filter| match filter {
            Filter::Created { from, to: Some(to) } => Some((*from, *to)),
            _ => None,
        })
        .collect();
    let expected = [(days(180), days(175)), (days(175), baseline)];
    assert_eq!(ranges, expected.map(|(from, to)| (earlier(from, margin), later(to, margin))));
    assert_eq!(snapshot.baseline, baseline, "the counters go on");
}

#[test]
fn a_single_wrong_date_does_not_move_where_it_goes_on() {
    let answers = AtomicU64::new(0);
    let year = DAY * 365;
    let (snapshot, asked) = first_poll(left(DAY), |_, _, limit| {
        let is_first = answers.fetch_add(1, Ordering::Relaxed) == 0;
        let date = if is_first { second(0) + year } else { second(0) };
        Ok(Page { date: Some(date), ..empty(limit) })
    });
    assert!(listed_from(&asked) < earlier(second(0), DAY), "nothing is left out");
    assert_eq!(snapshot.at, second(0));
}

#[test]
fn a_time_before_that_of_the_state_moves_nothing_at_first() {
    let state = left(Duration::ZERO);
    let (snapshot, _) =
        first_poll(state, |_, _, limit| Ok(Page { date: Some(earlier(second(0), DAY)), ..empty(limit) }));
    assert_eq!(snapshot.at, second(0));
}
