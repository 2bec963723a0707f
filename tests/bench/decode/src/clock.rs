//! CPU time, and what many measurements of it come to.

use std::time::Duration;

use cpu_time::ThreadTime;

/// The CPU time that `work` takes on this thread, with its result: other work on the machine counts less this way.
pub fn time<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begin = ThreadTime::now();
    let result = std::hint::black_box(work());
    (begin.elapsed(), result)
}

/// Minimum and median of some measurements, nanoseconds.
pub fn summary(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort();
    let nanos = |time: Duration| time.as_secs_f64() * 1e9;
    (times.first().copied().map_or(0.0, nanos), times.get(times.len() / 2).copied().map_or(0.0, nanos))
}
