//! The real binary over real sockets, against the simulated API.
//!
//! Each module is one promise of the exporter; the harness starts processes and reads pages, and the truth is what
//! the numbers must be.

mod alerts;
mod attacks;
mod audit;
mod breakdown;
mod browser;
mod certificates;
mod commands;
mod cost;
mod dashboard;
mod exact;
mod exposition;
mod external_url;
mod files;
mod flips;
mod harness;
mod heads;
mod lifecycle;
mod outage;
mod page;
mod pages;
mod process;
mod protocol;
#[path = "../shared/queries.rs"]
mod queries;
mod recorded_alerts;
mod recording;
mod reload;
mod reload_state;
mod service;
mod single_failures;
mod stack;
mod state;
mod status_page;
mod tokens;
mod truth;
mod web_config;
mod web_config_changes;
mod web_config_tools;
