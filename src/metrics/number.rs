//! The numbers that meters consist of.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::Timestamp;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `by`.
    pub fn add(&self, by: usize) {
        self.0.fetch_add(u64::try_from(by).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Raises it to what another counter of the same has reached.
    pub(crate) fn raise_to(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }

    /// Returns the value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that is set, and may rise and fall.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Sets the value to a time, in microseconds since 1970.
    pub(crate) fn set_time(&self, time: Timestamp) {
        self.set(u64::try_from(time.unix_micros()).unwrap_or(0));
    }

    /// Adds one.
    pub(crate) fn raise(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Subtracts one, not below zero.
    pub(crate) fn lower(&self) {
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |value| value.checked_sub(1));
    }

    /// Returns the value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts by kind. Kinds are words of this program, so there are few.
#[derive(Debug, Default)]
pub struct CounterByLabel(Mutex<BTreeMap<&'static str, u64>>);

impl CounterByLabel {
    /// Adds one to a kind.
    pub fn count(&self, kind: &'static str) {
        self.add(kind, 1);
    }

    /// Adds `by` to a kind.
    pub fn add(&self, kind: &'static str, by: u64) {
        *lock(&self.0).entry(kind).or_default() += by;
    }

    /// Returns the counts of all kinds that occurred.
    pub fn all(&self) -> Vec<(&'static str, u64)> {
        lock(&self.0).iter().map(|(kind, count)| (*kind, *count)).collect()
    }
}

/// Locks a map. A panic elsewhere leaves these maps consistent: every change is a single insert.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
