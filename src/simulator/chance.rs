//! Chance, repeatable: the few distributions that make a world believable, all drawn from a seeded generator.

use std::time::Duration;

use fastrand::Rng;

/// The longest time that is ever drawn: the tail of a log-normal distribution has no end of its own.
const LONGEST: f64 = 30.0 * 86_400.0;

/// Scrambles `value` so that neighbours end up far from one another, and always in the same place.
pub(super) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Whether something of this probability happens.
pub(super) fn happens(rng: &mut Rng, probability: f64) -> bool {
    rng.f64() < probability
}

/// A time in `0..longest`, all equally likely.
pub(super) fn up_to(rng: &mut Rng, longest: Duration) -> Duration {
    longest.mul_f64(rng.f64())
}

/// A time of log-normal distribution: half are longer than `median` seconds, and with a `spread` of 1 one in
/// forty is longer than seven times that. This is how the durations of jobs are distributed.
pub(super) fn log_normal(rng: &mut Rng, median: f64, spread: f64) -> Duration {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    let normal = radius * (std::f64::consts::TAU * rng.f64()).cos();
    Duration::from_secs_f64((median * (spread * normal).exp()).min(LONGEST))
}

/// The time to the next of events that know nothing of one another and are `mean` apart on average.
pub(super) fn next_event(rng: &mut Rng, mean: Duration) -> Duration {
    Duration::from_secs_f64((-mean.as_secs_f64() * (1.0 - rng.f64()).ln()).min(LONGEST))
}

/// A UUID of this many.
pub(super) fn uuid(rng: &mut Rng) -> String {
    let (high, low) = (rng.u64(..), rng.u64(..));
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}
