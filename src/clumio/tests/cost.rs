//! What a row costs in memory: these bounds are raised on purpose, or not at all.

use allocation_counter::{AllocationInfo, measure};
use serde_json::{Value, json};

use crate::clumio::wire;

/// One for each text that is kept (id, category and type; type, id and name of the entity) and one for the entity.
const ALLOCATIONS_A_ROW: u64 = 7;

/// What is held of a row when its page is read: the task, its entity, and those texts.
const BYTES_A_ROW: u64 = 392;

fn page(rows: u64) -> Vec<u8> {
    let row = |n: u64| {
        json!({
            "_etag": "575a3393fa39f6ff", "_links": {"_self": {"href": format!("/tasks/{n}"), "type": "get"}},
            "id": (40_000_000 + n).to_string(), "category": "backup", "genre": "operational",
            "type": "aws_ebs_volume_incremental_backup", "status": "completed", "is_abortable": false,
            "created_timestamp": "2026-11-01T00:00:00.140839Z", "start_timestamp": "2026-11-01T00:00:01.25Z",
            "end_timestamp": "2026-11-01T02:00:02.5Z", "progress_percentage": 100, "parent_entity": null,
            "primary_entity": {"id": "c4e77f0c-e2a3", "type": "aws_ebs_volume", "value": "vol-0b25358e876d766aa"},
        })
    };
    let items: Vec<Value> = (0..rows).map(row).collect();
    json!({"limit": rows, "total_count": rows, "_embedded": {"items": items}}).to_string().into_bytes()
}

/// What reading a page of so many rows takes while its rows are held.
fn cost(rows: u64) -> AllocationInfo {
    let (page, mut read) = (page(rows), None);
    let cost = measure(|| read = wire::read(&page).ok());
    let read = read.expect("the page must be read").into_rows();
    assert_eq!(read.tasks.len() as u64, rows);
    cost
}

#[test]
fn a_row_costs_few_allocations_and_bytes() {
    // As many as a vector that doubles has room for: what it grows by is not a row's.
    let (few, many) = (cost(256), cost(1024));
    let allocations = many.count_total - few.count_total;
    let bytes = many.bytes_current - few.bytes_current;
    let growths = 2;
    assert!(allocations <= 768 * ALLOCATIONS_A_ROW + growths, "{allocations} allocations for 768 rows");
    assert!(bytes.unsigned_abs() <= 768 * BYTES_A_ROW, "{bytes} bytes for 768 rows");
}
