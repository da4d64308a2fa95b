//! What a client cannot see: rows that are hidden for hours, rows outside the view, and rows that vanish.

use url::form_urlencoded::byte_serialize;

use super::*;

/// One for each way in which a listing is found, and for some of them together.
const FILTERS: [&str; 9] = [
    "",
    r#"{"status":{"$in":["queued","in_progress","aborting"]}}"#,
    r#"{"status":{"$in":["completed","failed"]}}"#,
    r#"{"category":{"$in":["backup"]}}"#,
    r#"{"genre":{"$in":["operational"]}}"#,
    r#"{"type":{"$in":["aws_ebs_volume_incremental_backup","aws_ebs_volume_backup_indexing"]}}"#,
    r#"{"primary_entity.value":{"$contains":"1"}}"#,
    r#"{"created_timestamp":{"$gte":"FROM","$lte":"TO"}}"#,
    r#"{"created_timestamp":{"$gte":"FROM"},"status":{"$in":["queued","in_progress"]}}"#,
];

/// The filters, with a range of creation that ends two hours before `now`.
fn filters(now: Timestamp) -> impl Iterator<Item = String> {
    let (from, to) = (earlier(now, HOUR * 9), earlier(now, HOUR * 2));
    FILTERS
        .into_iter()
        .map(move |text| text.replace("FROM", &from.to_string()).replace("TO", &to.to_string()))
}

/// An account with so many tasks that each filter has some.
fn busy() -> Options {
    Options { tasks_per_day: 10_000, ..Options::default() }
}

fn id_filter(ids: impl IntoIterator<Item = u64>) -> String {
    let ids = ids.into_iter().map(|id| id.to_string()).collect::<Vec<_>>();
    serde_json::json!({"id": {"$in": ids}}).to_string()
}

async fn listing(served: &Served, filter: &str) -> Value {
    let filter = byte_serialize(filter.as_bytes()).collect::<String>();
    served.page(&format!("/tasks?limit=100&filter={filter}")).await
}

/// The ids of a listing that fits one page, and that says so.
async fn listed(served: &Served, filter: &str) -> Vec<u64> {
    let page = listing(served, filter).await;
    let mut ids = ids(&page);
    assert_eq!((&page["total_count"], &page["current_count"]), (&ids.len().into(), &ids.len().into()));
    ids.sort_unstable();
    ids
}

async fn is_found(served: &Served, id: u64) -> bool {
    let (status, _) = served.status(served.get(&format!("/tasks/{id}"))).await;
    assert!([200, 404].contains(&status), "{status}");
    status == 200
}

#[test]
fn generated_rows_are_hidden_for_hours_from_every_filter_and_look_up() {
    let options = Options { history: HOUR * 12, faults: only(Fault::Late), late_by: HOUR * 6, ..busy() };
    let simulator = Simulator::new(options);
    let now = simulator.now();
    simulator.add(Task::new(1, earlier(now, HOUR * 8)).visible_from(later(now, HOUR)));
    let world = simulator.world_at(now);
    let everything = world.matching(&Filter::default(), later(now, HOUR * 24));
    let all_ids = id_filter(everything.iter().map(|slot| world.task(*slot).id));
    let mut hidden_for_hours = 0;
    for at in [now, earlier(now, HOUR * 3)] {
        for text in filters(at).chain([all_ids.clone()]) {
            let filter = Filter::parse(&text, now).expect("the filter must be valid");
            let meeting = everything.iter().copied().filter(|slot| {
                let task = world.task(*slot);
                task.created <= at && filter.matches(task, task.state(at))
            });
            let (shown, hidden) = meeting.partition::<Vec<_>, _>(|slot| world.task(*slot).visible_from <= at);
            assert_eq!(world.matching(&filter, at), shown, "{text}");
            let old = |slot: &&u32| world.task(**slot).created < earlier(at, HOUR * 2);
            hidden_for_hours += hidden.iter().filter(old).count();
            assert!(hidden.iter().any(|slot| old(&slot)), "{text}");
            assert!(hidden.iter().all(|slot| world.find(world.task(*slot).id, at).is_none()), "{text}");
            assert!(shown.iter().all(|slot| world.find(world.task(*slot).id, at) == Some(*slot)), "{text}");
        }
    }
    assert!(hidden_for_hours > 1_000, "{hidden_for_hours}");
}

#[tokio::test]
async fn scripted_rows_are_hidden_for_hours_from_every_listing_and_look_up() {
    let served = Served::new(Options::scripted()).await;
    let now = served.simulator.now();
    let (created, over) = (earlier(now, HOUR * 5), earlier(now, HOUR * 4));
    let entity = Entity { id: String::new(), entity_type: "x", value: "vol-1".to_owned() };
    let task = |id| {
        let subject = Subject { primary: Some(entity.clone()), parent: None };
        Task::new(id, created).subject(subject)
    };
    for id in [1, 11] {
        // The second one of each is hidden, and will be for three hours.
        let until = if id > 10 { later(now, HOUR * 3) } else { earlier(now, HOUR) };
        served.simulator.add(task(id).visible_from(until));
        let ended = |id, outcome| task(id).ended(over, outcome).visible_from(until);
        served.simulator.add(ended(id + 1, Outcome::Failed));
        served.simulator.add(ended(id + 2, Outcome::Completed));
    }
    let expected: [&[u64]; FILTERS.len()] =
        [&[1, 2, 3], &[1], &[2, 3], &[1, 2, 3], &[1, 2, 3], &[1, 2, 3], &[1, 2, 3], &[1, 2, 3], &[1]];
    for (filter, expected) in filters(now).zip(expected) {
        assert_eq!(listed(&served, &filter).await, expected, "{filter}");
    }
    assert_eq!(listed(&served, &id_filter(1..=20)).await, [1, 2, 3]);
    for id in 1..=3 {
        assert!(is_found(&served, id).await && !is_found(&served, id + 10).await);
    }
    let seen = |at| served.simulator.tasks(at).len();
    assert_eq!([seen(over), seen(now), seen(later(now, HOUR * 3))], [0, 3, 6]);
    served.stop().await;
}

#[tokio::test]
async fn what_is_outside_the_view_is_in_no_listing_and_no_look_up() {
    let served = Served::new(Options { history: HOUR * 12, ..busy() }).await;
    let now = served.simulator.now();
    served.simulator.stand_still(now);
    let truth = served.simulator.tasks(now);
    let restores = truth.iter().filter(|task| task.category == "restore").collect::<Vec<_>>();
    let other = truth.iter().find(|task| task.category == "backup").expect("there must be a backup");
    let id = |task: &Truth| task.id.parse::<u64>().expect("a simulated id must be a number");
    let total = async |filter| listing(&served, filter).await["total_count"].clone();
    let of_category = r#"{"category":{"$in":["restore"]}}"#;
    let both = id_filter([id(restores[0]), id(other)]);

    served.simulator.set_view(View::everything().without_category("restore"));
    assert_eq!(total("").await, truth.len() - restores.len());
    assert!(listed(&served, of_category).await.is_empty());
    assert_eq!(listed(&served, &both).await, [id(other)]);
    assert!(!is_found(&served, id(restores[0])).await && is_found(&served, id(other)).await);
    assert_eq!(served.simulator.tasks(now), truth);

    served.simulator.set_view(View::everything());
    assert_eq!(total("").await, truth.len());
    assert_eq!(total(of_category).await, restores.len());
    assert!(is_found(&served, id(restores[0])).await);
    served.stop().await;
}

#[tokio::test]
async fn a_view_can_leave_out_what_belongs_to_a_parent() {
    let served = Served::new(Options { history: HOUR * 12, ..busy() }).await;
    served.simulator.stand_still(served.simulator.now());
    let total = async |task_type: &str| {
        let filter = format!(r#"{{"type":{{"$in":["{task_type}"]}}}}"#);
        listing(&served, &filter).await["total_count"].as_u64()
    };
    let totals = async || [total("microsoft365_mailbox_backup").await, total("aws_ebs_volume_restore").await];
    let all = totals().await;
    assert!(all.iter().all(|total| *total > Some(0)), "{all:?}");
    served.simulator.set_view(View::everything().without_parent("example.com"));
    assert_eq!(totals().await, [Some(0), all[1]]);
    served.simulator.set_view(View::everything());
    assert_eq!(totals().await, all);
    served.stop().await;
}

#[tokio::test]
async fn a_task_can_vanish_and_come_back() {
    let served = Served::hundred(Options::scripted()).await;
    let task = Task::new(42, earlier(served.simulator.now(), HOUR));
    served.simulator.add(task.clone());
    let open = r#"{"status":{"$in":["queued"]}}"#;
    for _ in 0..2 {
        assert_eq!((listed(&served, "").await.len(), listed(&served, open).await), (100, vec![42]));
        assert!(is_found(&served, 42).await);
        served.simulator.remove(42);
        assert_eq!((listed(&served, "").await.len(), listed(&served, open).await), (99, vec![]));
        assert!(!is_found(&served, 42).await);
        assert_eq!(listed(&served, &id_filter([41, 42])).await, [41]);
        served.simulator.add(task.clone());
    }
    // It has gone on meanwhile.
    served.simulator.remove(42);
    served.simulator.add(task.ended(served.simulator.now(), Outcome::Failed));
    assert_eq!(listed(&served, r#"{"status":{"$in":["failed"]}}"#).await, [42]);
    served.stop().await;
}

#[tokio::test]
async fn a_token_is_right_from_its_issue_until_it_is_revoked() {
    let served = Served::new(Options::scripted()).await;
    let status = async |token: &str| {
        let request = served.client.get(format!("{}/tasks", served.base)).bearer_auth(token);
        served.status(request).await.0
    };
    assert_eq!([status("demo-token").await, status("next").await], [200, 401]);
    served.simulator.issue_token("next");
    assert_eq!([status("demo-token").await, status("next").await], [200, 200]);
    served.simulator.revoke_token("demo-token");
    assert_eq!([status("demo-token").await, status("next").await], [401, 200]);
    served.stop().await;
}
