//! Faults on demand: each breaks what it says, and nothing else.

use super::*;

#[tokio::test]
async fn faults_that_answer_answer_as_they_should() {
    let served = Served::hundred(Options::scripted()).await;
    for (fault, statuses) in
        [(Fault::Throttle, vec![429]), (Fault::Server, vec![500, 503]), (Fault::Unauthorised, vec![401])]
    {
        served.simulator.set_faults(only(fault));
        for _ in 0..20 {
            let (status, body) = served.status(served.get("/tasks")).await;
            assert!(statuses.contains(&status));
            assert!(body["errors"][0]["error_code"].is_u64());
        }
    }
    served.simulator.set_faults(only(Fault::Html));
    let answer = served.get("/tasks").send().await.expect("there must be an answer");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (502, &"text/html".parse().expect("valid"))
    );
    assert!(text(answer).await.starts_with("<html>"));
    served.simulator.set_faults(only(Fault::Garbled));
    let answer = served.get("/tasks").send().await.expect("there must be an answer");
    assert_eq!(answer.status(), 200);
    assert!(serde_json::from_str::<Value>(&text(answer).await).is_err());
    served.simulator.set_faults(Faults::none());
    served.page("/tasks").await;
    served.stop().await;
}

#[tokio::test]
async fn half_of_the_throttled_are_told_when_to_come_back() {
    let served = Served::new(Options { faults: only(Fault::Throttle), ..Options::scripted() }).await;
    let (mut none, mut seconds, mut dates) = (0, 0, 0);
    for _ in 0..60 {
        let answer = served.get("/tasks").send().await.expect("there must be an answer");
        match answer.headers().get("retry-after").map(|value| value.to_str().expect("text")) {
            None => none += 1,
            Some("1" | "2") => seconds += 1,
            Some(date) if date.ends_with(" GMT") => dates += 1,
            Some(other) => panic!("{other} is neither seconds nor a date"),
        }
    }
    assert!((20..=40).contains(&none) && seconds > 5 && dates > 5, "{none} {seconds} {dates}");
    served.stop().await;
}

#[tokio::test]
async fn connections_break_where_they_should() {
    let served = Served::hundred(Options::scripted()).await;
    served.simulator.set_faults(only(Fault::Reset));
    let error = served.get("/tasks").send().await.expect_err("there must be no answer");
    assert!(error.is_request() && !error.is_connect(), "{error:?}");
    assert!(format!("{error:?}").contains("ConnectionReset"), "{error:?}");
    served.simulator.set_faults(only(Fault::Cut));
    let answer = served.get("/tasks").send().await.expect("the head must arrive");
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.is_err());
    let answer = served.get("/tasks").header("accept-encoding", "identity").send().await;
    let answer = answer.expect("the head must arrive");
    assert!(answer.content_length().is_some_and(|length| length > 1000));
    assert!(answer.text().await.is_err());
    served.simulator.set_faults(Faults::none());
    served.page("/tasks").await;
    let requests = served.simulator.requests();
    assert_eq!(requests.answers[&(Endpoint::List, None)], 1);
    assert_eq!(requests.recent[0].faults, [Fault::Reset]);
    served.stop().await;
}

#[tokio::test]
async fn a_slow_answer_comes_late_and_a_stalled_one_never() {
    let slow_for = Duration::from_millis(200);
    let served = Served::new(Options { slow_for, faults: only(Fault::Slow), ..Options::scripted() }).await;
    let impatient = || served.get("/tasks").timeout(slow_for / 4).send();
    assert!(impatient().await.expect_err("the answer must come late").is_timeout());
    served.page("/tasks").await;
    served.simulator.set_faults(only(Fault::Stall));
    assert!(impatient().await.expect_err("there must be no answer").is_timeout());
    let waiting = tokio::spawn(served.get("/tasks").send());
    while served.simulator.requests().total < 4 {
        tokio::task::yield_now().await;
    }
    served.stop().await;
    assert!(waiting.await.expect("the client must not panic").is_err());
}

#[tokio::test]
async fn faults_of_the_listing_show_in_it() {
    let served = Served::hundred(Options::scripted()).await;
    served.simulator.set_faults(only(Fault::Drift));
    assert_eq!(served.page("/tasks?limit=50").await["total_count"], 100);
    let second = served.page("/tasks?limit=50&start=2").await;
    let first = ids(&second)[0];
    assert!(first != 50 && (45..=55).contains(&first), "{first}");
    assert_eq!(second["total_count"], 50 + first);
    served.simulator.set_faults(only(Fault::Unstable));
    assert_ne!(ids(&served.page("/tasks?limit=100").await), ids(&served.page("/tasks?limit=100").await));
    served.simulator.set_faults(only(Fault::NullEmpty));
    let empty = served.page("/tasks?filter=%7B%22id%22%3A%7B%22%24in%22%3A%5B%22999%22%5D%7D%7D").await;
    assert_eq!(empty.get("_embedded"), Some(&Value::Null));
    served.simulator.set_faults(only(Fault::Stale));
    served.simulator.add(Task::new(101, served.simulator.now()));
    assert!(!ids(&served.page("/tasks?limit=100").await).contains(&101));
    served.simulator.set_faults(only(Fault::Date));
    let mut off = 0;
    for _ in 0..10 {
        served.page("/tasks?limit=1").await;
        let date = served.simulator.requests().recent.back().and_then(|exchange| exchange.date);
        let skew = served.simulator.now().duration_since(date.expect("an answer must have a date"));
        off += i32::from(skew.as_mins().abs() >= 5);
        assert!(skew.as_mins().abs() <= 181);
    }
    assert!(off >= 5);
    served.stop().await;
}
