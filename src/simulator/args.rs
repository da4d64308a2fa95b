//! The command line of the simulator.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::SignedDuration;

use super::faults::{Faults, Rate};
use super::listing::Order;
use super::options::Options;

const DAY: Duration = Duration::from_hours(24);

/// What a simulated Clumio API is like, and where it listens.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The address and port to listen on. Anyone who can reach it can read the simulated tasks
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:10318")]
    pub listen_address: SocketAddr,

    /// The bearer token that requests must carry; any other one is answered 401
    #[arg(long, value_name = "TOKEN", default_value = Options::TOKEN)]
    token: String,

    /// What the world and its faults are drawn from. The same seed gives the same assets and the same luck
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,

    /// The order of the rows of a listing
    #[arg(long, value_enum, default_value_t = Order::Newest)]
    order: Order,

    /// Something that goes wrong with this probability (0 to 1) for each request; can be repeated
    ///
    ///   throttle      429, half of them with Retry-After
    ///   server        500 or 503, with an error body
    ///   html          502 with an HTML page
    ///   reset         the connection is reset without an answer
    ///   cut           the body breaks off in the middle
    ///   slow          the answer takes --slow-for
    ///   stall         there is never an answer
    ///   garbled       200, but not JSON
    ///   late          a new task (not a request) is listed up to --late-by after its creation
    ///   drift         rows have entered or left the listing between two pages of it
    ///   unstable      the rows are in an order of their own
    ///   date          the Date header is wrong by up to three hours
    ///   null-empty    an empty page has null for _embedded
    ///   unauthorised  401, with the right token
    ///   stale         the answer is up to five minutes old
    #[arg(long = "fault", value_name = "NAME=PROBABILITY", verbatim_doc_comment)]
    faults: Vec<Rate>,

    /// About how many tasks are created each day; 0 for none
    #[arg(long, value_name = "NUMBER", default_value_t = Options::TASKS_PER_DAY,
          value_parser = clap::value_parser!(u32).range(..=5_000_000))]
    tasks_per_day: u32,

    /// How many days of history there are when the simulator starts
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(..=366))]
    history_days: u32,

    /// How far the simulated clock is from this machine's, such as 1h or -90m: in Date headers and in tasks
    #[arg(long, value_name = "DURATION", default_value = "0s", allow_hyphen_values = true, value_parser = clock_offset)]
    clock_offset: SignedDuration,

    /// The most rows that a page has, whatever `limit` asks for
    #[arg(long, value_name = "ROWS", default_value_t = Options::MAX_LIMIT,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max_limit: u32,

    /// Rejects a larger `limit` with 400 instead of clamping it
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    reject_limit_above: Option<u32>,

    /// Never compresses an answer, whatever the client takes
    #[arg(long)]
    plain: bool,

    /// How long a slow answer takes
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration)]
    slow_for: Duration,

    /// How long after its creation a late task is listed, at most
    #[arg(long, value_name = "DURATION", default_value = "8m", value_parser = humantime::parse_duration)]
    late_by: Duration,
}

// === impl Args ===

impl Args {
    /// The simulator that they describe.
    #[must_use]
    pub fn options(&self) -> Options {
        Options {
            seed: self.seed,
            token: self.token.clone(),
            history: DAY * self.history_days,
            tasks_per_day: self.tasks_per_day,
            clock_offset: self.clock_offset,
            order: self.order,
            max_limit: self.max_limit,
            reject_limit_above: self.reject_limit_above,
            plain: self.plain,
            faults: self.faults.iter().copied().collect::<Faults>(),
            slow_for: self.slow_for,
            late_by: self.late_by,
        }
    }
}

fn clock_offset(text: &str) -> Result<SignedDuration, String> {
    let offset: SignedDuration = text.parse().map_err(|error| format!("{error}"))?;
    // Beyond a century the calendar is not the thing that is being tried out.
    if offset.as_hours().abs() > 100 * 366 * 24 {
        return Err("the clock cannot be more than a hundred years off".to_owned());
    }
    Ok(offset)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::super::faults::Fault;
    use super::*;

    /// A simulated API
    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn parse(args: &[&str]) -> Result<Args, String> {
        let command = Command::try_parse_from(["simulate"].iter().chain(args));
        command.map(|command| command.args).map_err(|error| error.to_string())
    }

    #[test]
    fn without_arguments_it_is_the_demo() {
        let args = parse(&[]).expect("the defaults must be valid");
        assert_eq!(args.listen_address.to_string(), "127.0.0.1:10318");
        assert_eq!(args.options(), Options::default());
    }

    #[test]
    fn the_help_tells_of_every_argument_and_fault() {
        let command = Command::command();
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{argument}");
        }
        assert_eq!(command.get_about().map(ToString::to_string).as_deref(), Some("A simulated API"));
        let faults = command.get_arguments().find(|argument| argument.get_id() == "faults");
        let help = faults.and_then(clap::Arg::get_long_help).map(ToString::to_string).unwrap_or_default();
        for fault in Fault::ALL {
            assert!(help.contains(&format!("\n  {fault} ")), "{fault}");
        }
    }

    #[test]
    fn every_argument_reaches_the_options() {
        let args = parse(&[
            "--token=t",
            "--seed=9",
            "--order=scattered",
            "--fault=throttle=0.5",
            "--fault",
            "cut=1",
            "--tasks-per-day=10",
            "--history-days=2",
            "--clock-offset",
            "-2h",
            "--max-limit=7",
            "--reject-limit-above=50",
            "--plain",
            "--slow-for=1s",
            "--late-by=1m",
        ]);
        let expected = Options {
            seed: 9,
            token: "t".to_owned(),
            history: DAY * 2,
            tasks_per_day: 10,
            clock_offset: SignedDuration::from_hours(-2),
            order: Order::Scattered,
            max_limit: 7,
            reject_limit_above: Some(50),
            plain: true,
            faults: Faults::none().with(Fault::Throttle, 0.5).with(Fault::Cut, 1.0),
            slow_for: Duration::from_secs(1),
            late_by: Duration::from_mins(1),
        };
        assert_eq!(args.expect("the arguments must be valid").options(), expected);
    }

    #[test]
    fn a_wrong_value_is_named() {
        let error = |args: &[&str]| parse(args).expect_err("the argument must be refused");
        assert!(error(&["--fault=trottle=1"]).contains("unknown fault `trottle`"));
        assert!(error(&["--max-limit=0"]).contains("0 is not in 1..=100000"));
        assert!(error(&["--clock-offset=soon"]).contains("--clock-offset"));
        assert!(error(&["--order=best"]).contains("[possible values: newest, oldest, scattered, unstable]"));
    }
}
