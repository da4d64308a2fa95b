//! What a heal takes as the time.

use super::*;

const HOUR: i64 = 3_600;

/// A list whose clock can jump, with one task, which ends six hours after the first poll.
#[derive(Clone, Default)]
struct Jumping(Arc<Mutex<Times>>);

/// In seconds.
#[derive(Clone, Copy, Default)]
struct Times {
    date: i64,
    /// That of the answers with the history.
    date_of_history: i64,
    steady: u64,
}

impl TaskList for Jumping {
    async fn page(&self, filter: &Filter, _: u64, limit: u32) -> Result<Page, Error> {
        let Times { date, date_of_history, steady } = *self.0.lock().expect("the lock must be whole");
        let has_ended = date >= 6 * HOUR;
        let (status, ended) =
            if has_ended { ("completed", Some(second(6 * HOUR))) } else { ("in_progress", None) };
        let rows = vec![Task { ended, ..task(1, status) }];
        let (rows, date) = match filter {
            Filter::Open if has_ended => (Vec::new(), date),
            Filter::Created { to: Some(_), .. } => (rows, date_of_history),
            _ => (rows, date),
        };
        let received = Moment { wall: second(0), steady: Duration::from_secs(steady) };
        let total = rows.len() as u64;
        Ok(Page { date: Some(second(date)), received, ..page(rows, total, limit) })
    }
}

/// The polls know that the clock has jumped, though they do not believe it yet, and count the task where it ended. The
/// heal, which begins meanwhile, has one answer with the history, and that one has the time of before.
#[tokio::test]
async fn an_end_that_the_polls_take_for_possible_is_where_it_was_after_a_heal() {
    let list = Jumping::default();
    let at = |date, date_of_history, steady| {
        *list.0.lock().expect("the lock must be whole") = Times { date, date_of_history, steady };
    };
    let mut poller = Poller::new(list.clone(), None::<Disk>, options());
    poller.poll().await.expect("the poll must succeed");
    let window = Duration::from_hours(48);
    let longer = Options { lookback: window, rules: Rules { window, ..options().rules }, ..options() };
    poller.reconfigure(list.clone(), longer);
    at(6 * HOUR, 0, 60);
    poller.poll().await.expect("the poll must succeed");
    while poller.is_healing() {
        poller.heal_step().await.expect("the step must succeed");
    }
    at(50 * HOUR, 50 * HOUR, 60 + 44 * 3_600);
    let snapshot = poller.poll().await.expect("the poll must succeed").snapshot;
    assert_eq!(snapshot.window, window, "it must be healed");
    let completed = snapshot.kinds[0].statuses.iter().find(|sample| sample.status == Status::Completed);
    assert_eq!(completed.map(|sample| sample.tasks), Some(1), "it ended 44 hours ago");
}

/// By the clock that was ahead, the task had left the longer window.
#[tokio::test]
async fn a_heal_that_began_while_the_clock_was_ahead_begins_again_when_it_is_set_back() {
    let list = Jumping::default();
    let [now, ahead] = [7 * HOUR + HOUR / 2, 5 * HOUR];
    let at = |ahead, steady: u32| {
        let date = now + ahead + i64::from(steady);
        *list.0.lock().expect("the lock must be whole") =
            Times { date, date_of_history: date, steady: steady.into() };
    };
    let with_window = |hours| {
        let window = Duration::from_hours(hours);
        Options {
            lookback: Duration::from_hours(48),
            rules: Rules { window, ..options().rules },
            ..options()
        }
    };
    let mut poller = Poller::new(list.clone(), None::<Disk>, with_window(1));
    for (ahead, steady) in [(0, 0), (ahead, 60), (ahead, 120)] {
        at(ahead, steady);
        poller.poll().await.expect("the poll must succeed");
    }
    poller.reconfigure(list.clone(), with_window(2));
    at(ahead, 180);
    poller.poll().await.expect("the poll must succeed");
    poller.heal_step().await.expect("the step must succeed");
    assert!(poller.is_healing(), "it must have begun, and not have ended");
    let mut snapshots = Vec::new();
    for steady in [240, 300, 360, 420] {
        at(0, steady);
        snapshots.push(poller.poll().await.expect("the poll must succeed").snapshot);
        while steady > 240 && poller.is_healing() {
            poller.heal_step().await.expect("the step must succeed");
        }
    }
    let healed = snapshots.pop().expect("there must be a snapshot");
    assert_eq!(healed.window, Duration::from_hours(2), "it must be healed");
    let completed = healed.kinds[0].statuses.iter().find(|sample| sample.status == Status::Completed);
    assert_eq!(completed.map(|sample| sample.tasks), Some(1), "it ended an hour and a half ago");
}
