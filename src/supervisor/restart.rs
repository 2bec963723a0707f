//! Threads that the collector can do without for a while: started again with growing pauses when they panic or end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use log::error;

use crate::metrics::{Heartbeat, Meters};
use crate::stop::{Backoff, Stop};

/// The first pause before a thread starts again.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The longest pause; a run that lasts this long resets it.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Runs `work`, the thread `name`, until the collector stops. Meanwhile `/readyz` reports a pause as degraded.
pub(super) fn run(name: &'static str, meters: &Meters, heartbeat: &Heartbeat, stop: &Stop, mut work: impl FnMut()) {
    let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
    while !stop.is_stopping() {
        let began = Instant::now();
        let is_panic = catch_unwind(AssertUnwindSafe(&mut work)).is_err();
        heartbeat.idle();
        if stop.is_stopping() {
            return;
        }
        if began.elapsed() >= PAUSE_MAX {
            backoff.reset();
        }
        let pause = backoff.take();
        meters.restarts.count(name);
        let why = if is_panic { "panicked" } else { "ended by itself" };
        error!("collector: thread {name} {why}, starting it again in {} s", pause.as_secs());
        meters.set_degraded(name, Some(format!("the thread {why} and starts again in {} s", pause.as_secs())));
        stop.wait(Instant::now() + pause, || false);
        meters.set_degraded(name, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_starts_again() {
        let (meters, stop) = (Meters::default(), Stop::new());
        let heartbeat = meters.heartbeat("deliveries", PAUSE_MAX);
        let mut runs = 0;
        run("deliveries", &meters, &heartbeat, &stop, || {
            runs += 1;
            heartbeat.progress();
            if runs == 2 {
                stop.begin();
                return;
            }
            panic!("on purpose");
        });
        assert_eq!((runs, meters.restarts.all()), (2, vec![("deliveries", 1)]));
        assert!(meters.degraded().is_empty() && !heartbeat.is_stuck());
    }
}
