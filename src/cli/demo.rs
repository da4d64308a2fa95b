//! The demo: the daemon against a simulated API in the same process, so that a newcomer sees it work.

use std::error::Error;
use std::future::pending;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use url::Url;

use super::daemon::Daemon;
use crate::config::{self, Account, Environment, Flags, Settings, TokenSource};
use crate::simulator::{Options, Simulator};

/// How often the demo polls, so that the numbers are seen to move.
const INTERVAL: Duration = Duration::from_secs(10);

/// How much history the simulated account has, which is kept: `max_age = "auto"` needs 15 days of it.
const HISTORY: Duration = Duration::from_hours(21 * 24);

/// How long new counters are held at 0: one poll, so that they soon increase.
const COUNTER_HOLD: Duration = Duration::from_secs(10);

/// The listen address unless one is given: any client that reaches a demo can read it.
const LOOPBACK: &str = "127.0.0.1:10317";

/// The variable that gives an address.
const LISTEN_ADDRESS: &str = "CLUMIO_EXPORTER__WEB__LISTEN_ADDRESS";

/// Runs the demo until a signal.
pub(super) async fn run(flags: &Flags) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let base_url = Url::parse(&format!("http://{}/", listener.local_addr()?))?;
    let load = {
        let (flags, base_url) = (flags.clone(), base_url.clone());
        Arc::new(move || settings(&flags, base_url.clone()))
    };
    let daemon = Daemon::bind(load)?;
    let simulator = Simulator::new(Options { history: HISTORY, ..Options::default() });
    tokio::spawn(simulator.serve(listener, pending()));
    writeln!(
        io::stderr(),
        "{}",
        guide(daemon.scheme(), daemon.address()?, daemon.telemetry_path(), &base_url)
    )?;
    daemon.run().await
}

/// The user's settings, but for the accounts and their state: the simulated one is polled instead, as fast as it answers.
fn settings(flags: &Flags, base_url: Url) -> Result<Settings, config::Error> {
    let environment = Environment::of_process()
        .with("CLUMIO_API_BASE_URL", base_url.as_str())
        .with("CLUMIO_API_TOKEN", Options::TOKEN)
        .with("CLUMIO_ORGANIZATIONAL_UNIT_CONTEXT", "");
    let mut settings = config::load(flags, &environment)?;
    let is_given = flags.listen_address.is_some() || environment.get(LISTEN_ADDRESS).is_some();
    if !is_given && settings.web.listen_address == ":10317" {
        LOOPBACK.clone_into(&mut settings.web.listen_address);
    }
    settings.poll.counter_hold = COUNTER_HOLD;
    settings.state.retention = settings.state.retention.max(HISTORY);
    // Each demo is another world, on another port: its state is of no use to the next one.
    if settings.state.directory.take().is_some() {
        // The log is not set up yet.
        let _ =
            writeln!(io::stderr(), "clumio-exporter: the demo keeps no state; state.directory is not used");
    }
    settings.accounts = vec![Account {
        name: "demo".to_owned(),
        base_url,
        token: TokenSource::Given(Options::TOKEN),
        organizational_unit: None,
        ca_file: None,
        interval: INTERVAL,
        page_size: settings.poll.page_size,
        requests_per_second: 0.0,
    }];
    Ok(settings)
}

/// What a newcomer is told: addresses that a browser takes, whatever was listened on.
fn guide(scheme: &str, address: SocketAddr, path: &str, base_url: &Url) -> String {
    let port = address.port();
    let host = match address.ip() {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        IpAddr::V6(ip) => format!("[{ip}]"),
        IpAddr::V4(ip) => ip.to_string(),
    };
    format!(
        "\n  metrics        {scheme}://{host}:{port}{path}\n  \
           status page    {scheme}://{host}:{port}/\n  \
           simulated API  {base_url}tasks (bearer token {})\n\n  \
         Every {} seconds it polls a simulated Clumio account with three weeks of history. Ctrl-C stops it.\n\n  \
         Make the backups of a volume fail, see it named on the status page within two polls, and let it recover:\n\n  \
           curl -X POST '{base_url}simulator/fail?asset_type=aws_ebs_volume'\n  \
           curl -X POST {base_url}simulator/recover\n",
        Options::TOKEN,
        INTERVAL.as_secs(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_listens_on_loopback_unless_another_address_is_given() {
        let address = |listen_address: Option<&str>| {
            let flags = Flags { listen_address: listen_address.map(str::to_owned), ..Flags::default() };
            let base_url = Url::parse("http://127.0.0.1:1/").expect("the address must be valid");
            settings(&flags, base_url).expect("the settings must be valid").web.listen_address
        };
        assert_eq!(address(None), "127.0.0.1:10317");
        assert_eq!(address(Some(":10317")), ":10317");
    }
}
