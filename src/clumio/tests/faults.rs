//! Every way in which a page fails: its reason, its message, whether it is tried again.

use futures::FutureExt;

use super::*;

const HTML: &str = "<html><head><title>502 Bad Gateway</title></head></html>";

/// A body that starts like a page and breaks off, once its start was sent.
fn cut() -> Reply {
    let start = stream::once(async { Ok(Bytes::from_static(b"{\"limit\":100,")) });
    let end = stream::once(async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Err(io::Error::other("cut"))
    });
    reply(200, &[], Body::from_stream(start.chain(end)))
}

fn times(count: usize, reply: impl Fn() -> Reply) -> Vec<Reply> {
    (0..count).map(|_| reply()).collect()
}

/// What the observer is told when the attempts end like this, each but the last followed by a retry.
fn retried(statuses: &[Option<u16>], reason: Reason) -> Vec<Event> {
    let mut events: Vec<_> =
        statuses.iter().flat_map(|status| [Event::Request(*status), Event::Retry(reason)]).collect();
    events.pop();
    events
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again_three_times_with_growing_waits() {
    for (make, reason, status) in [
        ((|| reply(500, &[], HTML)) as fn() -> Reply, Reason::Server, 500),
        (|| reply(502, &[("content-type", "text/html")], HTML), Reason::Server, 502),
        (|| reply(429, &[], ""), Reason::Throttled, 429),
        (cut, Reason::Protocol, 200),
        (|| reply(200, &[("content-encoding", "gzip")], "not gzip"), Reason::Protocol, 200),
        (|| reply(200, &[], HTML), Reason::Protocol, 200),
        (|| reply(200, &[], "{\"limit\":100,\"total_"), Reason::Protocol, 200),
        (hanging, Reason::Timeout, 200),
    ] {
        let mut replies = times(3, make);
        replies.push(empty_page());
        let api = Api::start(replies).await;
        let (page, events) = ask(&api).await;
        page.expect("the fourth attempt must bring a page");
        let mut expected = retried(&[Some(status); 4], reason);
        expected.pop();
        expected.extend([Event::Request(Some(200)), Event::Rows(0)]);
        assert_eq!(events, expected);

        let api = Api::start(times(5, make)).await;
        let (page, events) = ask(&api).await;
        let error = page.expect_err("four attempts must be all");
        assert_eq!(error.reason(), reason);
        assert!(error.to_string().contains(", tried 4 times"), "{error}");
        assert!(!error.to_string().contains("Gateway"), "{error}");
        assert_eq!(events, retried(&[Some(status); 4], reason));
        if reason != Reason::Timeout {
            let pauses = api.pauses();
            let bounds =
                pauses.iter().zip([1, 2, 4]).all(|(pause, least)| (least..=least * 2).contains(pause));
            assert!(bounds, "{pauses:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_400_and_422_reject_a_limit() {
    for (status, rejects) in
        [(400, true), (422, true), (401, false), (404, false), (429, false), (500, false)]
    {
        let replies = (0..4).map(|_| reply(status, &[], ""));
        let (page, _) = ask(&Api::start(replies).await).await;
        let error = page.expect_err("the page must fail");
        assert_eq!(error.rejects_limit(), rejects, "{status}");
        assert_eq!(error.reason() == Reason::Rejected, rejects || status == 404, "{status}");
    }
    let (page, _) = ask(&Api::start([ok(&json!({"limit": 0, "total_count": 0}))]).await).await;
    assert!(!page.expect_err("the page must fail").rejects_limit());
}

#[tokio::test(start_paused = true)]
async fn what_does_not_pass_fails_at_once() {
    let with = |page: Value| ok(&page);
    for (reply, expected, words) in [
        (reply(400, &[], ""), Reason::Rejected, "answered with status 400"),
        (reply(404, &[], HTML), Reason::Rejected, "answered with status 404; check base_url"),
        (
            reply(302, &[("location", "/x")], ""),
            Reason::Protocol,
            "answered with a redirect, which is never followed",
        ),
        (reply(204, &[], ""), Reason::Protocol, "answered with status 204"),
        (with(json!({"limit": 0, "total_count": 0})), Reason::Protocol, "its limit is 0"),
        (with(json!({"limit": -1, "total_count": 0})), Reason::Protocol, "its limit is -1"),
        (with(json!({"limit": 1_u64 << 32, "total_count": 0})), Reason::Protocol, "its limit is 4294967296"),
        (with(json!({"limit": 1, "total_count": -3})), Reason::Protocol, "its total_count is -3"),
        (with(json!({"limit": 1})), Reason::Protocol, "its total_count is missing or null"),
        (with(json!([1, 2])), Reason::Protocol, "expected an object"),
        (
            with(json!({"total_count": 1, "_embedded": {"items": {}}})),
            Reason::Protocol,
            "expected a list of tasks",
        ),
    ] {
        let status = reply.status().as_u16();
        let api = Api::start([reply]).await;
        let (page, events) = ask(&api).await;
        let error = page.expect_err("the page must fail");
        assert_eq!(error.reason(), expected, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        let asked = format!("listing open tasks, page 1, of http://{}: ", api.address);
        assert!(error.to_string().starts_with(&asked), "{error}");
        assert_eq!(events, [Event::Request(Some(status))]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_vendors_words_are_told_and_cleaned() {
    let said = |message: &str| json!({"errors": [{"error_code": 105, "error_message": message}]}).to_string();
    let (_, text) = error([reply(400, &[], said("bad\u{1b}[31m filter"))]).await;
    assert!(text.contains(r#"status 400 (error 105, "bad [31m filter")"#), "{text}");
    let (_, text) = error([reply(400, &[], said(&format!("no {TOKEN} here")))]).await;
    assert!(text.contains(r#""no [token] here""#), "{text}");
    let (_, text) = error([reply(400, &[], said(&"x".repeat(5000)))]).await;
    assert!(text.contains(&format!("{}...", "x".repeat(200))) && text.len() < 500, "{text}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_json_is_described_and_not_dumped() {
    let html = || reply(200, &[("content-type", "text/html")], HTML);
    let (_, text) = error(times(4, html)).await;
    assert!(
        text.contains(r#"not JSON: an HTML page, of content type "text/html": expected value at line 1"#),
        "{text}"
    );
    let (_, text) = error(times(4, || reply(200, &[], format!("token {TOKEN}\n{}", "y".repeat(5000))))).await;
    assert!(text.contains("\"token [token] yyyy") && text.len() < 500, "{text}");
    let (_, text) =
        error([ok(&json!({"total_count": 1, "_embedded": format!("{TOKEN}{}", "z".repeat(5000))}))]).await;
    assert!(text.contains("[token]") && text.len() < 600, "{text}");
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_for_up_to_the_interval() {
    let date = ("date", "Sun, 01 Nov 2026 00:00:00 GMT");
    for headers in [&[("retry-after", "60")][..], &[date, ("retry-after", "Sun, 01 Nov 2026 00:01:00 GMT")]] {
        for status in [429, 503] {
            let api = Api::start([reply(status, headers, ""), empty_page()]).await;
            ask(&api).await.0.expect("the second attempt must bring a page");
            assert_eq!(api.pauses(), [60]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_date_that_has_passed_asks_for_no_wait() {
    let past = [("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")];
    let api = Api::start([reply(429, &past, ""), empty_page()]).await;
    ask(&api).await.0.expect("the second attempt must bring a page");
    assert!((1..=2).contains(&api.pauses()[0]));
}

#[tokio::test(start_paused = true)]
async fn a_date_without_the_answers_own_is_compared_with_this_machines_clock() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port must be free");
    let options = options_at(&listener);
    let server = tokio::spawn(async move {
        let mut answered = Vec::new();
        while answered.len() < 2 {
            let (stream, _) = listener.accept().await.expect("the client must come");
            // Readiness can be announced before there is something to read.
            while stream.try_read(&mut [0; 4096]).is_err() {
                stream.readable().await.expect("the client must ask");
            }
            let head = "HTTP/1.1 429 Slow\r\nretry-after: Sun, 01 Nov 2026 12:00:30 GMT\r\n";
            let answer = format!("{head}connection: close\r\ncontent-length: 0\r\n\r\n");
            stream.try_write(answer.as_bytes()).expect("the client must listen");
            answered.push(Instant::now());
        }
        answered[1] - answered[0]
    });
    let client = client(&options, &Arc::default());
    let page = tokio::spawn(async move { client.page(&Filter::Open, 1, 100).await });
    assert_eq!(server.await.expect("no test panics here").as_secs(), 30);
    page.abort();
}

#[tokio::test(start_paused = true)]
async fn a_longer_retry_after_fails_at_once_and_is_told() {
    let (reason, text) = error([reply(429, &[("retry-after", "3600")], "")]).await;
    assert_eq!(reason, Reason::Throttled);
    assert!(text.contains("status 429, asking to wait 3600 s, longer than the interval of 60s"), "{text}");
    let (reason, text) = error([reply(503, &[("retry-after", "61")], "")]).await;
    assert_eq!(reason, Reason::Server);
    assert!(text.contains("asking to wait 61 s"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_not_followed_and_the_token_goes_nowhere_else() {
    let elsewhere = Api::start([empty_page()]).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("http://{}/tasks", elsewhere.address);
        let api = Api::start([reply(status, &[("location", &location)], "")]).await;
        let (page, _) = ask(&api).await;
        let error = page.expect_err("the page must fail");
        assert_eq!(error.reason(), Reason::Protocol);
        assert!(error.to_string().contains("check base_url"), "{error}");
    }
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_body_is_bounded_as_it_is_after_decompression() {
    let padded = |bytes: usize| {
        let page = r#"{"total_count":0}"#;
        format!("{page}{}", " ".repeat(bytes - page.len()))
    };
    for (bytes, compressed) in [(1000, false), (1001, false), (1000, true), (10_000_000, true)] {
        let body = padded(bytes).into_bytes();
        let reply = if compressed {
            reply(200, &[("content-encoding", "gzip")], gzip(&body))
        } else {
            reply(200, &[], body)
        };
        let api = Api::start([reply]).await;
        let (page, events) = ask_with(&Options { max_response_bytes: 1000, ..options(&api) }).await;
        if bytes == 1000 {
            page.expect("the page must be read");
            continue;
        }
        let error = page.expect_err("the page must fail");
        assert_eq!(error.reason(), Reason::Protocol);
        let words =
            "larger than limits.max_response_bytes, which is 1000 bytes; raise it or lower poll.page_size";
        assert!(error.to_string().ends_with(words), "{error}");
        assert_eq!(events, [Event::Request(Some(200))]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_there_is_a_connect_error() {
    let gone = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port must be free");
    let options = options_at(&gone);
    drop(gone);
    let (page, events) = ask_with(&options).await;
    let error = page.expect_err("the page must fail");
    assert_eq!(error.reason(), Reason::Connect);
    assert!(error.to_string().contains("Connection refused"), "{error}");
    assert!(!error.to_string().contains("filter"), "{error}");
    assert_eq!(events, retried(&[None; 4], Reason::Connect));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_closes_without_an_answer_is_a_connect_error() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port must be free");
    let options = options_at(&listener);
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let (page, events) = ask_with(&options).await;
    assert_eq!(page.expect_err("the page must fail").reason(), Reason::Connect);
    assert_eq!(events, retried(&[None; 4], Reason::Connect));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_a_timeout() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port must be free");
    let options = options_at(&listener);
    let (page, events) = ask_with(&options).await;
    let error = page.expect_err("the page must fail");
    assert_eq!(error.reason(), Reason::Timeout);
    assert!(error.to_string().contains("no whole answer within 30s"), "{error}");
    assert_eq!(events, retried(&[None; 4], Reason::Timeout));
    for _ in 0..4 {
        let accepted = listener.accept().now_or_never();
        accepted.expect("each attempt must use a new connection").expect("it must be accepted");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_reused_only_after_a_complete_response() {
    for (make, is_reused) in [
        ((|| reply(500, &[], HTML)) as fn() -> Reply, true),
        (|| reply(500, &[], "x".repeat(1 << 20)), false),
        (cut, false),
        (hanging, false),
    ] {
        let api = Api::start([make(), empty_page()]).await;
        ask(&api).await.0.expect("the second attempt must bring a page");
        let seen = api.seen();
        assert_eq!(seen[0].client == seen[1].client, is_reused, "{:?}", make());
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_drop_by_drop_has_no_more_time_than_another() {
    let drops = || {
        let drops = stream::repeat(()).then(async |()| {
            tokio::time::sleep(Duration::from_secs(10)).await;
            io::Result::Ok(Bytes::from_static(b" "))
        });
        reply(200, &[], Body::from_stream(drops))
    };
    let (reason, _) = error(times(4, drops)).await;
    assert_eq!(reason, Reason::Timeout);
}

#[tokio::test(start_paused = true)]
async fn an_error_whose_words_do_not_come_is_still_that_error() {
    let silent = || {
        let mut silent = hanging();
        *silent.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        silent
    };
    let (reason, _) = error(times(4, silent)).await;
    assert_eq!(reason, Reason::Throttled);
}
