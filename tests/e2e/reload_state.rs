//! Reloads with state on disk: an account continues from its replica, if that is of the same tasks.

use std::time::Duration;

use clumio_exporter::simulator::{Options, Outcome, Task};
use clumio_exporter::time::earlier;

use crate::harness::{ACCOUNT, Api, Config, Exporter, FAST};
use crate::page::Page;
use crate::process::TOKEN;
use crate::state::{baseline, instant, kill, set_aside, state};

const DAY: f64 = 24.0 * 3600.0;
const CREATED: &str = r#"clumio_tasks_created_total{account="prod",category="backup",type="aws_ebs_volume_incremental_backup"}"#;
const FAILED: &str = r#"clumio_tasks_ended_total{account="prod",category="backup",status="failed",type="aws_ebs_volume_incremental_backup"}"#;

fn keys() -> String {
    format!("{FAST}state.directory = \"state\"\n")
}

/// A world with one open task, and one that failed so many hours ago.
async fn world(hours: u64) -> Api {
    let api = Api::start(Options { slow_for: Duration::from_millis(500), ..Options::scripted() }).await;
    let now = api.simulator.now();
    let ended = earlier(now, Duration::from_hours(hours));
    api.simulator.add(Task::new(1, earlier(now, Duration::from_mins(5))));
    api.simulator.add(Task::new(2, earlier(ended, Duration::from_mins(5))).ended(ended, Outcome::Failed));
    api
}

/// Adds a task that was created just now.
fn add(api: &Api, id: u64) {
    api.simulator.add(Task::new(id, api.simulator.now()));
}

fn has(page: &Page, account: &str) -> bool {
    page.text.contains(&format!("account=\"{account}\""))
}

/// The window that is published, and how many failed tasks are in it.
fn window(page: &Page) -> (Option<f64>, Option<f64>) {
    let failed = r#"clumio_tasks{account="prod",category="backup",status="failed",type="aws_ebs_volume_incremental_backup"}"#;
    (page.of("clumio_exporter_poll_window_seconds", ACCOUNT), page.get(failed))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_removed_and_added_again_continues_from_its_replica() {
    let api = world(1).await;
    let config = Config::following(&api, &keys()).account("other", &api.url(), TOKEN);
    let mut exporter = Exporter::start(config).await;
    exporter.polls(ACCOUNT, 1).await;
    (10..13).for_each(|id| add(&api, id));
    exporter.until("they are counted", |page| page.get(CREATED) == Some(3.0)).await;
    let counted_from = baseline(&exporter.config);

    exporter.config.remove_account(ACCOUNT);
    assert!(exporter.reload().await);
    exporter.until("it is gone", |page| !has(page, ACCOUNT)).await;
    add(&api, 13);
    let now = api.simulator.now();
    let tasks = api.simulator.tasks(now);
    let created = tasks.iter().filter(|task| task.ended.is_none()).map(|task| task.created).min();
    let created = created.expect("a task must be open");
    api.simulator.add(Task::new(1, created).ended(now, Outcome::Failed));
    assert!(exporter.polls("other", 2).await.is_up("other"), "the others continue");

    exporter.config.add_account(ACCOUNT, &api.url(), TOKEN);
    assert!(exporter.reload().await);
    exporter
        .until("it counts what it missed", |page| {
            let created = page.get(CREATED);
            assert!(!has(page, ACCOUNT) || created >= Some(3.0), "it fell to {created:?}");
            created == Some(4.0) && page.get(FAILED) == Some(1.0)
        })
        .await;
    let page = exporter.polls(ACCOUNT, 2).await;
    assert_eq!((page.get(CREATED), page.get(FAILED)), (Some(4.0), Some(1.0)), "nothing is counted twice");
    assert_eq!(baseline(&exporter.config), counted_from);
    assert_eq!(set_aside(&exporter.config), [""; 0]);
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_moves_to_another_address_starts_cold() {
    let (api, other) = (world(1).await, world(2).await);
    let mut exporter = Exporter::following(&api, &keys()).await;
    exporter.polls(ACCOUNT, 1).await;
    (10..13).for_each(|id| add(&api, id));
    exporter.until("they are counted", |page| page.get(CREATED) == Some(3.0)).await;
    let mut counted_from = baseline(&exporter.config);

    for (from, to) in [(api.url(), other.url()), (other.url(), api.url())] {
        exporter.config.replace(&from, &to);
        assert!(exporter.reload().await);
        let page = exporter.polls(ACCOUNT, 1).await;
        assert_eq!(page.get(CREATED), Some(0.0), "it starts cold");
        let baseline = baseline(&exporter.config);
        assert!(baseline > counted_from, "the replica of another address is not used again");
        counted_from = baseline;
    }
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_window_takes_effect_with_the_next_poll_where_the_replica_covers_it() {
    let api = world(30).await;
    let mut exporter = Exporter::following(&api, &keys()).await;
    let page = exporter.polls(ACCOUNT, 1).await;
    assert_eq!(window(&page), (Some(DAY), Some(0.0)));
    exporter.config.replace("state.directory", "poll.window = \"48h\"\nstate.directory");
    assert!(exporter.reload().await);
    let page = exporter.until("it takes effect", |page| window(page).1 == Some(1.0)).await;
    assert_eq!(window(&page).0, Some(2.0 * DAY));

    // After a restart, before the first poll, as well.
    exporter.config.replace("window = \"48h\"", "window = \"24h\"");
    let mut exporter = Exporter::start(kill(exporter)).await;
    assert_eq!(window(&exporter.scrape().await), (Some(DAY), Some(0.0)));
    exporter.config.replace("window = \"24h\"", "window = \"72h\"");
    assert!(exporter.reload().await);
    let page = exporter.until("it takes effect", |page| window(page).1 == Some(1.0)).await;
    assert_eq!(page.of("clumio_exporter_tasks_missed_total", ACCOUNT), Some(0.0));
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_state_directory_is_refused() {
    let api = world(1).await;
    let mut exporter = Exporter::following(&api, &keys()).await;
    exporter.polls(ACCOUNT, 1).await;
    for (right, wrong) in
        [("\"state\"", "\"elsewhere\""), ("state.directory", "poll.page_size = 10\n# state.directory")]
    {
        exporter.config.replace(right, wrong);
        assert!(!exporter.reload().await, "{wrong}");
        exporter.config.replace(wrong, right);
    }
    let log = exporter.process.stderr();
    assert!(log.contains("state.directory: ") && log.contains("cannot become \\\"none\\\""), "{log}");
    assert!(!exporter.config.path().join("elsewhere").exists());
    let written = |exporter: &Exporter| instant(&state(&exporter.config)?["last_success"]);
    let before = written(&exporter);
    add(&api, 10);
    exporter.until("it is counted", |page| page.get(CREATED) == Some(1.0)).await;
    assert!(written(&exporter) > before, "the old one stays in use");
    assert!(exporter.reload().await);
    exporter.stop().await;
}
