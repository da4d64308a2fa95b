//! A state file, and what the daemon does with the ledger in it: what is not believed is a fault, what is goes on.

#![no_main]

use clumio_exporter::state::fuzzing;
use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// How much may be allocated at once, in bytes: so much, and so many times the input. The most have ids that a poll must
/// show: each becomes a task with a text, a tree and a place in the ledgers of a heal.
const FIXED: usize = 256 << 10;
const TIMES: usize = 256;

fuzz_target!(|input: &[u8]| {
    ALLOCATED.reset_peak_usage();
    let before = ALLOCATED.current_usage();
    fuzzing::read(input);
    let _ = fuzzing::restore(input);
    let peak = ALLOCATED.peak_usage().saturating_sub(before);
    assert!(peak <= FIXED + TIMES * input.len(), "{peak} bytes for a state of {}", input.len());
});
