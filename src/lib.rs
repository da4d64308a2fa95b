//! A Prometheus exporter for Clumio: it polls the list of tasks (backups, restores, snapshots),
//! follows each task from creation to its end, and serves exact counts.
//!
//! It is not a client library: of the API it calls `GET /tasks` alone, and it changes nothing.
//!
//! A module imports only from those above it in this list, and a test (`tests/layers.rs`) keeps it so:
//!
//! 1. [`files`], [`time`], [`task`], [`config`]: bounded reading of files, two clocks, what a task is, what the user
//!    configured.
//! 2. [`store`]: the replica: a local copy of the task list in SQLite, and the queries behind every number.
//! 3. [`clumio`]: the client: wire types, pages, retries, the rate limit.
//! 4. [`poll`]: one pass over the API, and why it loses no task and counts none twice.
//! 5. [`metrics`]: metric families from snapshots, self-metrics, the rendered exposition.
//! 6. [`report`]: the state of accounts and assets for people, in words, as JSON and as CSV.
//! 7. [`scheduler`]: runs one poller per account on its own timer, and publishes.
//! 8. [`http`]: HTTP: the exposition, pages for people and the health of the process.
//! 9. [`cli`]: commands, flags, logs.
//!
//! Beside them stands [`simulator`], a model of the API that shares no type with the client.

pub mod cli;
pub mod clumio;
pub mod config;
pub mod files;
pub mod http;
pub mod metrics;
pub mod poll;
pub mod report;
pub mod scheduler;
pub mod simulator;
pub mod store;
pub mod task;
pub mod time;
