//! The simulated API with more kinds of tasks than the vendor names: an account with many series.

use std::future::pending;
use std::io::{self, Write};
use std::time::Duration;

use clumio_exporter::simulator::{Options, Outcome, Simulator, Task};
use clumio_exporter::time::earlier;
use tokio::net::TcpListener;

/// Serves the demo's world, with `kinds` of tasks added to it, until the process is killed.
pub fn run(kinds: u64) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let simulator = Simulator::new(Options::default());
        for id in 1..=kinds {
            let [created, started, ended] =
                [3, 2, 1].map(|hours| earlier(simulator.now(), Duration::from_hours(hours)));
            let kind = format!("kind_{id}_of_a_backup");
            simulator.add(
                Task::new(id, created).kind("backup", kind).started(started).ended(ended, Outcome::Completed),
            );
        }
        writeln!(io::stderr(), "simulated Clumio API: http://{address}/tasks")?;
        simulator.serve(listener, pending()).await
    })
}
