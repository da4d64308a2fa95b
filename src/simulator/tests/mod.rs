//! The whole simulator, over real sockets.

mod faults;
mod visibility;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::time::later;

const HOUR: Duration = Duration::from_hours(1);

/// A simulator that is being served, and a client of it.
struct Served {
    simulator: Simulator,
    base: String,
    client: reqwest::Client,
    stop: CancellationToken,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Served {
    async fn new(options: Options) -> Self {
        // It is the first of the tests that installs it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let simulator = Simulator::new(options);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port must be free");
        let base = format!("http://{}", listener.local_addr().expect("the listener must be bound"));
        let stop = CancellationToken::new();
        let server = tokio::spawn(simulator.clone().serve(listener, stop.clone().cancelled_owned()));
        let client = reqwest::Client::builder().no_proxy().build().expect("a client must be built");
        Self { simulator, base, client, stop, server }
    }

    /// One hundred tasks, each created a second after the one before: 1..=100.
    async fn hundred(options: Options) -> Self {
        let served = Self::new(options).await;
        let first = earlier(served.simulator.now(), HOUR);
        for id in 1..=100 {
            let created = later(first, Duration::from_secs(id));
            served.simulator.add(Task::new(id, created).started(created).ended(created, Outcome::Completed));
        }
        served
    }

    fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(format!("{}{path}", self.base)).bearer_auth("demo-token")
    }

    async fn status(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let answer = request.send().await.expect("there must be an answer");
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&text(answer).await).expect("the answer must be JSON"))
    }

    async fn page(&self, path: &str) -> Value {
        let (status, body) = self.status(self.get(path)).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    async fn stop(self) {
        self.stop.cancel();
        self.server.await.expect("the server must not panic").expect("the server must stop well");
    }
}

async fn text(answer: reqwest::Response) -> String {
    answer.text().await.expect("the body must be whole")
}

fn ids(page: &Value) -> Vec<u64> {
    let items = page["_embedded"]["items"].as_array().cloned().unwrap_or_default();
    let id = |item: &Value| item["id"].as_str().and_then(|id| id.parse().ok());
    items.iter().map(|item| id(item).expect("every row must have an id")).collect()
}

fn only(fault: Fault) -> Faults {
    Faults::none().with(fault, 1.0)
}

#[tokio::test]
async fn pages_are_clamped_and_the_last_one_is_short() {
    let served = Served::hundred(Options { max_limit: 40, ..Options::scripted() }).await;
    let last = served.page("/tasks?limit=1000&start=3").await;
    assert_eq!((&last["limit"], &last["start"]), (&Value::from(40), &Value::from("3")));
    assert_eq!((&last["total_count"], &last["total_pages_count"]), (&Value::from(100), &Value::from(3)));
    assert_eq!(last["current_count"], 20);
    assert_eq!(ids(&last), (1..=20).rev().collect::<Vec<_>>());
    assert_eq!(last["_links"]["_next"], Value::Null);
    assert_eq!(last["_links"]["_prev"]["href"], "/tasks?start=2");
    let default = served.page("/tasks").await;
    assert_eq!(
        (&default["limit"], default["_links"]["_next"]["href"].as_str()),
        (&Value::from(20), Some("/tasks?start=2"))
    );
    assert!(ids(&served.page("/tasks?start=9").await).is_empty());
    served.stop().await;
}

#[tokio::test]
async fn a_limit_above_the_largest_is_rejected_if_asked_for() {
    let options = Options { reject_limit_above: Some(50), ..Options::scripted() };
    let served = Served::hundred(options).await;
    assert_eq!(ids(&served.page("/tasks?limit=50").await).len(), 50);
    let (status, body) = served.status(served.get("/tasks?limit=51")).await;
    assert_eq!(
        (status, &body["errors"][0]["error_message"]),
        (400, &Value::from("limit must be at most 50"))
    );
    served.stop().await;
}

#[tokio::test]
async fn a_filter_may_have_its_spaces_in_either_way() {
    let served = Served::hundred(Options::scripted()).await;
    let encoded = "%7B%22id%22%3A+%7B%22%24in%22%3A%20%5B%227%22%2C%22114%22%5D%7D%7D";
    let page = served.page(&format!("/tasks?filter={encoded}")).await;
    assert_eq!(ids(&page), [7]);
    let applied = page["filter_applied"].as_str().expect("the filter must be told");
    assert!(applied.contains(r#""id":{"$in":["7","114"]}"#) && applied.contains("organizational_unit_id"));
    let empty =
        served.page("/tasks?filter=%7B%22status%22%3A%7B%22%24in%22%3A%5B%22queued%22%5D%7D%7D").await;
    assert_eq!((ids(&empty).len(), &empty["total_count"]), (0, &Value::from(0)));
    served.stop().await;
}

#[tokio::test]
async fn one_task_is_had_by_its_id() {
    let served = Served::hundred(Options::scripted()).await;
    assert_eq!(served.page("/tasks/42").await["id"], "42");
    for path in ["/tasks/4242", "/tasks/042", "/tasks/x"] {
        let (status, body) = served.status(served.get(path)).await;
        assert_eq!((status, &body["errors"][0]["error_code"]), (404, &Value::from(205)));
    }
    served.stop().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let served = Served::new(Options::scripted()).await;
    let anonymous = served.client.get(format!("{}/tasks", served.base));
    let version = served.get("/tasks").header("Accept", "application/api.clumio.tasks=v2+json");
    let unit = served.get("/tasks").header("X-Clumio-OrganizationalUnit-Context", "mine");
    for (request, expected) in [
        (anonymous.try_clone().expect("a request without a body must be cloned"), 401),
        (anonymous.bearer_auth("other"), 401),
        (served.get("/"), 404),
        (served.get("/tasks/1/2"), 404),
        (served.client.post(format!("{}/tasks", served.base)).bearer_auth("demo-token"), 405),
        (version, 406),
        (unit, 400),
        (served.get("/tasks?limit=0"), 400),
        (served.get("/tasks?start=one"), 400),
        (served.get("/tasks?filter=%7B"), 400),
    ] {
        let (status, body) = served.status(request).await;
        assert_eq!(status, expected, "{body}");
        assert_eq!(body["errors"][0]["error_code"] == 402, expected == 401);
        assert!(body["errors"][0]["error_message"].is_string());
    }
    let unit = "c8011712-9e16-11eb-bb8f-0a06889d7896";
    for (accept, unit) in [("application/api.clumio.tasks=v1+json", unit), ("*/*", "")] {
        let request = served.get("/tasks").header("Accept", accept);
        let answer = request.header("X-Clumio-OrganizationalUnit-Context", unit).send().await;
        let answer = answer.expect("there must be an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/api.clumio.tasks=v1+json");
    }
    served.stop().await;
}

#[tokio::test]
async fn every_order_has_every_task_once_but_the_unstable_one() {
    for order in [Order::Newest, Order::Oldest, Order::Scattered, Order::Unstable] {
        let served = Served::hundred(Options { order, ..Options::scripted() }).await;
        let whole = ids(&served.page("/tasks?limit=100").await);
        assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), 100);
        let again = ids(&served.page("/tasks?limit=100").await);
        assert_eq!(whole == again, order != Order::Unstable);
        served.stop().await;
    }
}

#[tokio::test]
async fn the_clock_is_off_by_as_much_as_asked_for() {
    let offset = jiff::SignedDuration::from_hours(-2);
    let served = Served::new(Options {
        clock_offset: offset,
        history: HOUR,
        tasks_per_day: 10_000,
        ..Options::default()
    })
    .await;
    let answer = served.get("/tasks?limit=1").send().await.expect("there must be an answer");
    let date = answer.headers()["date"].to_str().expect("a date must be text").to_owned();
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(&date).expect("a date must parse");
    assert_eq!(served.simulator.requests().first_listing, Some(date));
    let now = served.simulator.now();
    assert!(Timestamp::now().duration_since(now) >= jiff::SignedDuration::from_mins(119));
    assert!(elapsed_seconds(date, now) < 60);
    let tasks = served.simulator.tasks(now);
    let newest = tasks.last().expect("there must be tasks").created;
    assert!(newest <= now && elapsed_seconds(newest, now) < 600);
    served.stop().await;
}

#[tokio::test]
async fn a_clock_that_was_set_stands_until_it_is_set_again() {
    let served = Served::new(Options::scripted()).await;
    let start: Timestamp = "2026-01-01T12:00:00Z".parse().expect("it must be an instant");
    let end = crate::time::later(start, HOUR);
    served.simulator.set_clock(start);
    served.simulator.add(Task::new(1, start).started(start).ended(end, Outcome::Failed));
    let open = served.page("/tasks?limit=1").await;
    assert_eq!(open["_embedded"]["items"][0]["status"], "in_progress");
    served.simulator.set_clock(end);
    let ended = served.page("/tasks?limit=1").await;
    assert_eq!(ended["_embedded"]["items"][0]["status"], "failed");
    assert_eq!(served.simulator.now(), end);
    let dates: Vec<_> = served.simulator.requests().recent.iter().map(|exchange| exchange.date).collect();
    assert_eq!(dates, [Some(start), Some(end)]);
    served.stop().await;
}

fn elapsed_seconds(since: Timestamp, at: Timestamp) -> u64 {
    crate::time::elapsed(since, at).as_secs()
}

#[tokio::test]
async fn what_is_listed_is_what_is_true() {
    let served = Served::new(Options { history: HOUR * 48, ..Options::default() }).await;
    served.simulator.stand_still(served.simulator.now());
    let now = served.simulator.now();
    let truth = served.simulator.tasks(now);
    let mut rows = Vec::new();
    for number in 1..=truth.len().div_ceil(100) {
        let page = served.page(&format!("/tasks?limit=100&start={number}")).await;
        assert_eq!(page["total_count"], truth.len());
        rows.extend(page["_embedded"]["items"].as_array().cloned().unwrap_or_default());
    }
    rows.reverse();
    let instant =
        |value: &Value| value.as_str().map(|text| text.parse::<Timestamp>().expect("it must parse"));
    let read = rows.iter().map(|row| {
        (
            row["id"].as_str().unwrap_or_default().to_owned(),
            row["status"].as_str().unwrap_or_default().to_owned(),
            instant(&row["created_timestamp"]),
            instant(&row["start_timestamp"]),
            instant(&row["end_timestamp"]),
        )
    });
    let expected = truth
        .iter()
        .map(|task| (task.id.clone(), task.status.clone(), Some(task.created), task.started, task.ended));
    assert_eq!(read.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    assert_eq!(served.simulator.tasks(later(now, HOUR * 500)), truth);
    served.stop().await;
}

#[tokio::test]
async fn late_tasks_are_listed_in_the_end() {
    let options = Options {
        history: HOUR * 10,
        tasks_per_day: 10_000,
        faults: only(Fault::Late),
        ..Options::default()
    };
    let simulator = Simulator::new(options);
    let then = earlier(simulator.now(), HOUR);
    let created_by = |tasks: Vec<Truth>| tasks.iter().filter(|task| task.created <= then).count();
    let (seen, later_seen) =
        (created_by(simulator.tasks(then)), created_by(simulator.tasks(simulator.now())));
    assert!(seen < later_seen, "{seen} {later_seen}");
    assert_eq!(created_by(simulator.tasks(later(then, Duration::from_mins(8)))), later_seen);
}

#[tokio::test]
async fn requests_are_counted_and_can_be_taken() {
    let served = Served::hundred(Options::scripted()).await;
    served.page("/tasks?limit=5").await;
    served.page("/tasks/1").await;
    served.status(served.get("/nothing")).await;
    let requests = served.simulator.take_requests();
    assert_eq!(requests.total, 3);
    assert_eq!(requests.answered(Endpoint::List, 200), 1);
    assert_eq!(requests.answered(Endpoint::Task, 200), 1);
    assert_eq!(requests.answered(Endpoint::Other, 404), 1);
    assert_eq!(requests.recent[0].target, "/tasks?limit=5");
    assert_eq!(served.simulator.requests().total, 0);
    served.stop().await;
}

#[tokio::test]
async fn the_world_moves_on_by_itself() {
    let options = Options { tasks_per_day: 200_000, history: HOUR / 60, ..Options::default() };
    let served = Served::new(options).await;
    let before = served.page("/tasks").await["total_count"].as_u64();
    let moved = async {
        while served.page("/tasks").await["total_count"].as_u64() <= before {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), moved).await.expect("tasks must be created");
    served.stop().await;
}
