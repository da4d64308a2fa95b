//! The command line: reads the settings, runs what was asked for, and turns errors into messages and exit codes.

mod check;
mod daemon;
mod demo;
mod flags;
mod logs;
mod probe;
mod reload;
mod service;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use daemon::{Daemon, Signals};
use flags::{Cli, Command};
use logs::Logs;

use crate::config::{self, Environment, Flags, Settings};
use crate::metrics::Exposition;
use crate::scheduler::Accounts;
use crate::simulator::{self, Simulator};
use crate::time::Timestamp;

/// Polls and scrapes wait most of the time: more threads would cost memory on large machines and gain nothing.
const THREADS: usize = 2;

/// Runs the program: 0 if all went well, 1 if not, 2 if the command line is wrong.
#[must_use]
pub fn main() -> ExitCode {
    // The TLS of both sides; only the first call in a process can succeed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::parse();
    match run(&cli) {
        Ok(code) => code,
        Err(error) => {
            let message = format!("clumio-exporter: {error}");
            // It fails where there is no standard error.
            logs::within_exit_time(move || _ = writeln!(io::stderr(), "{message}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode, Box<dyn Error>> {
    let runtime = runtime()?;
    let outcome = runtime.block_on(command(cli));
    // A look-up of a name goes on in a thread that nothing can stop, for as long as the resolver waits.
    runtime.shutdown_background();
    outcome
}

async fn command(cli: &Cli) -> Result<ExitCode, Box<dyn Error>> {
    let flags = cli.common.flags();
    match &cli.command {
        None => {
            let load = Arc::new(move || config::load(&flags, &Environment::of_process()));
            Daemon::bind(load)?.run().await?;
        }
        Some(Command::Demo) => demo::run(&flags).await?,
        Some(Command::Check) => {
            let (settings, _logs) = load(&flags)?;
            return unless_stopped(check::run(&settings, flags.config_file.as_deref())).await;
        }
        Some(Command::Once) => {
            let (settings, _logs) = load(&flags)?;
            return unless_stopped(once(&settings)).await;
        }
        Some(Command::Probe { ready }) => return probe::run(&flags, *ready).await,
        Some(Command::Simulate(args)) => match cli.common.given() {
            Some(flag) => return Err(format!("simulate has no use for {flag}; see simulate --help").into()),
            None => simulate(args).await?,
        },
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends a command at the first signal: as process 1 of a container it would not end otherwise.
async fn unless_stopped(
    command: impl Future<Output = Result<ExitCode, Box<dyn Error>>>,
) -> Result<ExitCode, Box<dyn Error>> {
    let mut signals = Signals::new()?;
    tokio::select! {
        outcome = command => outcome,
        () = signals.next() => Err("stopped by a signal".into()),
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()
}

/// The settings, with the log that they ask for.
fn load(flags: &Flags) -> Result<(Settings, Logs), config::Error> {
    let settings = config::load(flags, &Environment::of_process())?;
    let logs = logs::init(settings.log);
    Ok((settings, logs))
}

/// Polls every account once and prints the page; fails if one of them did.
async fn once(settings: &Settings) -> Result<ExitCode, Box<dyn Error>> {
    let exposition = Arc::new(Exposition::new());
    exposition.config_read(Some(Timestamp::now()));
    let all_succeeded = Accounts::open(Arc::clone(&exposition), None)?.poll_once(settings).await?;
    io::stdout().write_all(&exposition.page().plain())?;
    Ok(if all_succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Serves the simulated API until a signal.
async fn simulate(args: &simulator::Args) -> Result<(), Box<dyn Error>> {
    let signals = Signals::new()?;
    let listener = TcpListener::bind(args.listen_address).await.map_err(|error| {
        format!("cannot listen on {}: {error}; choose another --listen-address", args.listen_address)
    })?;
    let address = listener.local_addr()?;
    let simulator = Simulator::new(args.options());
    let token = &simulator.options().token;
    writeln!(
        io::stderr(),
        "simulated Clumio API: http://{address}/tasks, bearer token {token}\n\
         curl -X POST 'http://{address}/simulator/fail?asset_type=aws_ebs_volume' makes the backups of a volume fail, and \
         curl -X POST http://{address}/simulator/recover lets it recover"
    )?;
    simulator.clone().serve(listener, signals.stop()).await?;
    Ok(())
}
