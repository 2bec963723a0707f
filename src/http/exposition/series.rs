//! Metric families as they are filled, and the numbers in them.

use prometheus::proto::{self, LabelPair, MetricFamily};

pub(super) use prometheus::proto::MetricType;
pub(super) use prometheus::proto::MetricType::{COUNTER, GAUGE, HISTOGRAM};

use crate::metrics::{Gauge, LAG_BUCKETS, Lag};

/// The labels of one series.
pub(super) type Labels<'a> = &'a [(&'static str, &'a str)];

/// The metric families that are being filled.
#[derive(Default)]
pub(super) struct Exposition {
    pub(super) families: Vec<MetricFamily>,
}

/// One metric family that is being filled.
pub(super) struct Series {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    metrics: Vec<proto::Metric>,
}

impl Exposition {
    pub(super) fn one(&mut self, name: &'static str, kind: MetricType, help: &'static str, value: f64) {
        self.all(name, kind, help, |series| series.add(&[], value));
    }

    pub(super) fn some(&mut self, name: &'static str, kind: MetricType, help: &'static str, value: Option<u64>) {
        if let Some(value) = value {
            self.one(name, kind, help, count(value));
        }
    }

    /// Adds a family, unless it has no series.
    pub(super) fn all(
        &mut self,
        name: &'static str,
        kind: MetricType,
        help: &'static str,
        fill: impl FnOnce(&mut Series),
    ) {
        let mut series = Series { name, help, kind, metrics: Vec::new() };
        fill(&mut series);
        if series.metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(series.name.to_owned());
        family.set_help(series.help.to_owned());
        family.set_field_type(series.kind);
        family.set_metric(series.metrics);
        self.families.push(family);
    }
}

impl Series {
    pub(super) fn add(&mut self, labels: Labels<'_>, value: f64) {
        let mut metric = proto::Metric::from_label(pairs(labels));
        if self.kind == MetricType::COUNTER {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.metrics.push(metric);
    }

    pub(super) fn histogram(&mut self, labels: Labels<'_>, lag: &Lag) {
        let counts = lag.counts();
        let mut histogram = proto::Histogram::default();
        histogram.set_sample_count(counts.count);
        histogram.set_sample_sum(counts.sum.as_secs_f64());
        let buckets = LAG_BUCKETS.iter().zip(counts.buckets).map(|(bound, below)| {
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(below);
            bucket
        });
        histogram.set_bucket(buckets.collect());
        let mut metric = proto::Metric::from_label(pairs(labels));
        metric.set_histogram(histogram);
        self.metrics.push(metric);
    }
}

fn pairs(labels: Labels<'_>) -> Vec<LabelPair> {
    let pair = |(name, value): &(&'static str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    labels.iter().map(pair).collect()
}

/// Returns a gauge's value unless it is 0: not known yet.
pub(super) fn when_known(number: &Gauge) -> Option<u64> {
    Some(number.get()).filter(|value| *value > 0)
}

/// Adds `kind` with 0 if it is absent: alerts on it need a series that starts at 0, because one that begins with 1 has
/// no increase.
pub(super) fn with_zero(mut kinds: Vec<(&'static str, u64)>, kind: &'static str) -> Vec<(&'static str, u64)> {
    if kinds.iter().all(|(of, _)| *of != kind) {
        kinds.push((kind, 0));
    }
    kinds
}

/// Converts a count to floating point, as Prometheus counts: exact up to 2^53.
pub(super) fn count<N: TryInto<u64>>(number: N) -> f64 {
    let number = number.try_into().unwrap_or(u64::MAX);
    #[allow(clippy::cast_precision_loss, reason = "counters beyond 2^53 may be off by one")]
    let number = number as f64;
    number
}

pub(super) fn seconds(micros: u64) -> f64 {
    count(micros) / 1e6
}
