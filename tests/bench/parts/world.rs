//! Simulated accounts that no option of `simulate` makes: one with many series, and one with many assets.

use std::future::pending;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use clumio_exporter::simulator::{Entity, Options, Outcome, Simulator, Subject, Task};
use clumio_exporter::time::{Timestamp, earlier};
use tokio::net::TcpListener;

/// Completed backups of each asset, one a day.
const BACKUPS: u64 = 5;
/// Assets whose next backups complete in every [`PERIOD`].
const CHANGED_ASSETS: u64 = 200;
const PERIOD: Duration = Duration::from_secs(10);

/// Serves the account of the demo, with `kinds` of tasks added to it, until the process is killed.
pub fn run(kinds: u64) -> io::Result<()> {
    let simulator = Simulator::new(Options::default());
    for id in 1..=kinds {
        let kind = format!("kind_{id}_of_a_backup");
        let ended = earlier(simulator.now(), Duration::from_hours(1));
        simulator.add(completed(id, ended).kind("backup", kind));
    }
    serve(&simulator, async |_| pending().await)
}

/// Serves an account with so many volumes that are backed up daily, until the process is killed.
pub fn assets(number: u32) -> io::Result<()> {
    let simulator = Simulator::new(Options { plain: true, ..Options::scripted() });
    let parent = Arc::new(entity("aws_environment", 0));
    let backup = |simulator: &Simulator, task: u64, ended: Timestamp| {
        let primary = Some(entity("aws_ebs_volume", task % u64::from(number)));
        let subject = Subject { primary, parent: Some(Arc::clone(&parent)) };
        simulator.add(completed(task, ended).subject(subject));
    };
    let (history, now) = (BACKUPS * u64::from(number), simulator.now());
    for task in 1..=history {
        let ago = Duration::from_hours(24).mul_f64((history - task) as f64 / f64::from(number));
        backup(&simulator, task, earlier(now, ago));
    }
    serve(&simulator, async |simulator| {
        let mut next = history + 1;
        loop {
            tokio::time::sleep(PERIOD).await;
            (next..next + CHANGED_ASSETS).for_each(|task| backup(simulator, task, simulator.now()));
            next += CHANGED_ASSETS;
        }
    })
}

fn entity(entity_type: &'static str, number: u64) -> Entity {
    // Ids of assets do not follow the order of their tasks.
    let id = format!("{:016x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    Entity { value: format!("{entity_type}-{id}"), id, entity_type }
}

fn completed(id: u64, ended: Timestamp) -> Task {
    let [created, started] = [2, 1].map(|minutes| earlier(ended, Duration::from_mins(minutes)));
    Task::new(id, created).started(started).ended(ended, Outcome::Completed)
}

/// Serves the account while the script changes it.
fn serve(simulator: &Simulator, script: impl AsyncFnOnce(&Simulator)) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(io::stderr(), "simulated Clumio API: http://{}/tasks", listener.local_addr()?)?;
        let served = tokio::spawn(simulator.clone().serve(listener, pending()));
        script(simulator).await;
        served.await?
    })
}
