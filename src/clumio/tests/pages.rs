//! What is sent, and what a page that is answered well becomes.

use super::*;
use crate::task::{Status, TaskId};

fn header<'a>(seen: &'a Seen, name: &str) -> Option<&'a str> {
    seen.headers.get(name).map(|value| value.to_str().expect("the header must be text"))
}

#[tokio::test(start_paused = true)]
async fn a_request_carries_the_query_the_version_and_the_token() {
    let api = Api::start([empty_page()]).await;
    ask(&api).await.0.expect("the page must be read");
    let seen = &api.seen()[0];
    assert_eq!(
        seen.target,
        "/tasks?limit=100&start=1&filter=%7B%22status%22%3A%7B%22%24in%22%3A%5B%22queued%22%2C%22in_progress%22\
         %2C%22aborting%22%5D%7D%7D"
    );
    assert_eq!(header(seen, "accept"), Some("application/api.clumio.tasks=v1+json"));
    assert_eq!(header(seen, "authorization"), Some("Bearer clumio-exporter"));
    assert_eq!(header(seen, "user-agent"), Some(concat!("clumio-exporter/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(header(seen, "accept-encoding"), Some("gzip"));
    assert_eq!(header(seen, "x-clumio-organizationalunit-context"), None);
}

#[tokio::test(start_paused = true)]
async fn a_unit_is_sent_where_there_is_one_and_a_path_is_a_prefix() {
    let api = Api::start([empty_page(), empty_page()]).await;
    let mut options = options(&api);
    options.base_url.set_path("/clumio/v1/");
    options.organizational_unit = Some("00000000-0000-0000-0000-000000000001".into());
    ask_with(&options).await.0.expect("the page must be read");
    options.organizational_unit = Some(String::new());
    ask_with(&options).await.0.expect("the page must be read");
    let seen = api.seen();
    assert!(seen[0].target.starts_with("/clumio/v1/tasks?limit=100&"), "{}", seen[0].target);
    let unit = "x-clumio-organizationalunit-context";
    assert_eq!(header(&seen[0], unit), Some("00000000-0000-0000-0000-000000000001"));
    assert_eq!(header(&seen[1], unit), None);
}

#[tokio::test]
async fn a_unit_that_fits_no_header_is_refused() {
    let api = Api::start([]).await;
    let options = Options { organizational_unit: Some("a\nb".into()), ..options(&api) };
    let http = Transports::new();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = { http }.client(None, &options.base_url, options.request_timeout).expect("it must be made");
    let error = Client::new(&options, http, Arc::new(Noon), Arc::<Recorder>::default());
    let error = error.err().expect("it must be refused").to_string();
    assert_eq!(error, r#"organizational_unit "a\nb" cannot be sent in a header; use the unit's UUID"#);
}

#[tokio::test(start_paused = true)]
async fn ids_and_ranges_are_percent_encoded() {
    let api = Api::start([empty_page(), empty_page()]).await;
    let client = client(&options(&api), &Arc::default());
    let ids = ["101", "a\"b&c d+%"].map(|id| TaskId::new(id).expect("the id must be valid"));
    client.page(&Filter::Ids(ids.to_vec()), 3, 50).await.expect("the page must be read");
    let range = Filter::Created { from: at("2026-11-01T00:00:00.5Z"), to: Some(at("2026-11-02T00:00:00Z")) };
    client.page(&range, 2, 7).await.expect("the page must be read");
    let seen = api.seen();
    assert_eq!(
        seen[0].target,
        "/tasks?limit=50&start=3&filter=%7B%22id%22%3A%7B%22%24in%22%3A%5B%22101%22%2C%22a%5C%22b%26c+d%2B%25\
         %22%5D%7D%7D"
    );
    assert_eq!(
        seen[1].target,
        "/tasks?limit=7&start=2&filter=%7B%22created_timestamp%22%3A%7B%22%24gte%22%3A%222026-11-01T00%3A00\
         %3A00Z%22%2C%22%24lte%22%3A%222026-11-02T00%3A00%3A00Z%22%7D%7D"
    );
}

#[tokio::test(start_paused = true)]
async fn a_page_has_its_rows_the_servers_limit_and_both_times() {
    let page = json!({
        "_links": {"_next": {"href": "https://elsewhere.example/tasks?start=2"}},
        "limit": 2, "total_count": 5, "start": "1", "filter_applied": "{\"x\":1}",
        "_embedded": {"items": [
            {"id": "1", "status": "queued", "created_timestamp": "2026-11-01T00:00:00Z"},
            {"id": "2", "status": "completed", "created_timestamp": "never"},
            {"id": "3"},
            null,
        ]},
    });
    let mut reply = ok(&page);
    let date = "Sun, 01 Nov 2026 11:59:30 GMT".parse().expect("the header must be valid");
    reply.headers_mut().insert("date", date);
    let (page, events) = ask(&Api::start([reply]).await).await;
    let page = page.expect("the page must be read");
    assert_eq!((page.total, page.limit, page.without_id, page.has_next), (5, 2, 1, true));
    assert_eq!(page.date, Some(at("2026-11-01T11:59:30Z")));
    assert_eq!(page.received, noon());
    assert_eq!(page.without_status, [TaskId::new("3").expect("the id must be valid")]);
    let tasks: Vec<_> =
        page.tasks.iter().map(|task| (task.id.as_str(), &task.status, task.created)).collect();
    let created = Some(at("2026-11-01T00:00:00Z"));
    assert_eq!(tasks, [("1", &Status::Queued, created), ("2", &Status::Completed, None)]);
    assert_eq!(
        events,
        [
            Event::Request(Some(200)),
            Event::Rows(4),
            Event::Defect(Defect::NoId),
            Event::Defect(Defect::NoStatus),
            Event::Defect(Defect::BadTimestamp),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_invalid_task_is_counted_once_however_often_it_is_read() {
    let page = json!({"total_count": 5, "_embedded": {"items": [
        {"id": "1", "status": "failed", "created_timestamp": "never"},
        {"id": "1", "status": "failed", "created_timestamp": "never"},
        {"id": "2"},
        {"status": "failed", "created_timestamp": "2026-11-01T00:00:00Z"},
        {"status": "failed", "created_timestamp": "2026-11-01T00:00:01Z"},
    ]}});
    let api = Api::start((0..5).map(|_| ok(&page))).await;
    let observer = Arc::default();
    let client = client(&options(&api), &observer);
    for _ in 0..5 {
        client.page(&Filter::Open, 1, 100).await.expect("the page must be read");
    }
    let mut events = observer.events();
    events.retain(|event| matches!(event, Event::Defect(_)));
    let expected = [Defect::NoId, Defect::NoId, Defect::NoStatus, Defect::BadTimestamp];
    assert_eq!(events, expected.map(Event::Defect));
}

#[tokio::test(start_paused = true)]
async fn missing_links_and_a_null_list_are_no_trouble() {
    for page in [
        json!({"total_count": 0}),
        json!({"total_count": 0, "_embedded": null, "_links": null, "limit": null}),
        json!({"total_count": 0, "_embedded": {"items": null}, "_links": {"_next": null}}),
    ] {
        let (page, _) = ask(&Api::start([ok(&page)]).await).await;
        let page = page.expect("the page must be read");
        assert_eq!((page.tasks.len(), page.total, page.limit, page.has_next), (0, 0, 100, false));
    }
}

#[tokio::test(start_paused = true)]
async fn more_rows_than_the_limit_are_kept() {
    let items: Vec<_> = (0..5).map(|id| json!({"id": id, "status": "failed"})).collect();
    let page = json!({"limit": 2, "total_count": 5, "_embedded": {"items": items}});
    let (page, _) = ask(&Api::start([ok(&page)]).await).await;
    assert_eq!(page.expect("the page must be read").tasks.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_compressed_answer_is_read() {
    let page =
        json!({"limit": 100, "total_count": 1, "_embedded": {"items": [{"id": "1", "status": "failed"}]}});
    let body = gzip(page.to_string().as_bytes());
    let (page, _) = ask(&Api::start([reply(200, &[("content-encoding", "gzip")], body)]).await).await;
    assert_eq!(page.expect("the page must be read").tasks.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_waits_its_turn() {
    let api = Api::start([empty_page(), reply(503, &[], ""), empty_page(), empty_page()]).await;
    let options = Options { requests_per_second: 0.1, ..options(&api) };
    let client = client(&options, &Arc::default());
    let pages = (1..=3).map(|number| client.page(&Filter::Open, number, 100));
    futures::future::try_join_all(pages).await.expect("the pages must be read");
    // The retry came after the page that had waited longer.
    assert_eq!(api.pauses(), [10, 10, 10]);
    let starts: Vec<_> = api.seen().iter().map(|seen| seen.target[17..24].to_owned()).collect();
    assert_eq!(starts, ["start=1", "start=2", "start=3", "start=2"].map(|start| start[..7].to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_nobody_waits_for_any_more_is_told() {
    let api = Api::start([hanging()]).await;
    let observer = Arc::default();
    let client = client(&options(&api), &observer);
    let patience = Duration::from_secs(1);
    assert!(tokio::time::timeout(patience, client.page(&Filter::Open, 1, 100)).await.is_err());
    assert_eq!(observer.events(), [Event::Request(Some(200))]);
}
