//! Queries that run in every poll use their indexes: without one, a poll would read the whole replica.

use rusqlite::Connection;

const QUERIES: [(&str, &str); 6] = [
    (
        "SELECT count(*) FROM task WHERE kind = 1 AND status = 3 AND ended > 0",
        "USING COVERING INDEX task_ended",
    ),
    (
        "SELECT max(ended) FROM task WHERE kind = 1 AND status = 3 AND ended IS NOT NULL",
        "USING COVERING INDEX task_ended",
    ),
    (
        "SELECT kind, status, count(*), min(created) FROM task WHERE account = 1 AND phase <> 2 AND phase = 0
         GROUP BY kind, status",
        "USING COVERING INDEX task_followed",
    ),
    (
        "SELECT id FROM task WHERE account = 1 AND phase <> 2 AND phase IN (0, 1)",
        "USING COVERING INDEX task_followed",
    ),
    (
        "SELECT count(*) FROM task WHERE account = 1 AND created >= 0 AND created < 9",
        "USING COVERING INDEX task_created",
    ),
    (
        "SELECT created, id FROM task WHERE account = 1 AND phase <> 3 ORDER BY created DESC LIMIT 1",
        "USING INDEX task_created",
    ),
];

#[test]
fn every_query_of_a_poll_uses_its_index() {
    let db = Connection::open_in_memory().expect("a database must open");
    db.execute_batch(include_str!("../schema.sql")).expect("the schema must be valid");
    for (query, index) in QUERIES {
        let mut explain =
            db.prepare(&format!("EXPLAIN QUERY PLAN {query}")).expect("the query must be valid");
        let steps = explain.query_map([], |row| row.get::<_, String>(3)).expect("it must be explained");
        let plan: Vec<_> = steps.map(|step| step.expect("a step must be text")).collect();
        assert!(plan.join("; ").contains(index), "{query}: {plan:?}");
        assert!(!plan.join("; ").contains("TEMP B-TREE"), "{query}: {plan:?}");
    }
}
