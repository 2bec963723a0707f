//! Small plots, drawn as inline SVG.

use maud::{Markup, html};

use super::churn::{MINUTES_MAX, MinuteChanges};
use super::words;

/// Plots announced routes upwards and withdrawn ones downwards, one bar per minute, the current one at the right. A
/// small `height` leaves no room for text.
pub(super) fn minutes(minutes: &[MinuteChanges], width: usize, height: usize, label: &str) -> Markup {
    // Both directions share one scale; withdrawals, which are fewer, have a third of the height.
    let middle = height * 2 / 3;
    let highest = minutes.iter().map(|minute| minute.announced.max(minute.withdrawn.saturating_mul(2))).max();
    let highest = highest.unwrap_or(0).max(1);
    let slots = MINUTES_MAX + 1;
    let bars = |value: fn(&MinuteChanges) -> u64, up: bool| {
        let mut path = String::new();
        for (back, minute) in minutes.iter().rev().take(slots).enumerate() {
            if value(minute) == 0 {
                continue;
            }
            let x = (2 * (slots - back) - 1) * width * 5 / slots;
            // A value above zero gets at least one pixel.
            let length = (u128::from(value(minute)) * (middle * 10 - 10) as u128 / u128::from(highest)).max(10);
            let sign = if up { "-" } else { "" };
            path.push_str(&format!("M{}.{} {}v{sign}{}.{}", x / 10, x % 10, middle, length / 10, length % 10));
        }
        path
    };
    html! {
        svg.plot viewBox={ "0 0 " (width) " " (height) } preserveAspectRatio="none" role="img" aria-label=(label) {
            title { (label) }
            path.axis d={ "M0 " (middle) "H" (width) } {}
            path.up d=(bars(|minute| minute.announced, true)) {}
            path.down d=(bars(|minute| minute.withdrawn, false)) {}
        }
    }
}

/// Describes a plot of minutes in words, for screen readers.
pub(super) fn in_words(minutes: &[MinuteChanges]) -> String {
    let (announced, withdrawn) =
        minutes.iter().fold((0, 0), |(up, down), minute| (up + minute.announced, down + minute.withdrawn));
    let most = minutes.iter().map(|minute| minute.announced.max(minute.withdrawn)).max().unwrap_or(0);
    format!(
        "last hour: {} announced, {} withdrawn; at most {} in a minute",
        words::grouped(announced),
        words::grouped(withdrawn),
        words::grouped(most)
    )
}

/// Plots one bar per value, the last at the right.
pub(super) fn columns(values: &[u64], width: usize, height: usize, label: &str) -> Markup {
    let highest = values.iter().copied().max().unwrap_or(0).max(1);
    let slot = width / values.len().max(1);
    html! {
        svg.plot viewBox={ "0 0 " (width) " " (height) } preserveAspectRatio="none" role="img" aria-label=(label) {
            title { (label) }
            @for (i, value) in values.iter().enumerate() {
                @let length = (u128::from(*value) * height as u128 / u128::from(highest)).max(1);
                rect.bar x=(i * slot) y=(height as u128 - length) width=(slot.saturating_sub(2).max(1)) height=(length) {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stay_inside_their_plot() {
        let changes: Vec<MinuteChanges> = (0..100)
            .map(|i| MinuteChanges { announced: i * 1_000_000_007, withdrawn: u64::MAX / 2 / (i + 1) })
            .collect();
        let svg = minutes(&changes, 120, 24, "a<b").into_string();
        assert!(svg.contains("<title>a&lt;b</title>"), "{svg}");
        let is_bar = |piece: &&str| piece.starts_with(|c: char| c.is_ascii_digit()) && piece.contains('v');
        let bars: Vec<&str> = svg.split(['M', '"']).filter(is_bar).collect();
        assert_eq!(bars.len(), 2 * (MINUTES_MAX + 1));
        for bar in bars {
            let (x, rest) = bar.split_once(' ').unwrap();
            let (y, length) = rest.split_once('v').unwrap();
            let (x, y, length): (f64, f64, f64) = (x.parse().unwrap(), y.parse().unwrap(), length.parse().unwrap());
            assert!((0.0..=120.0).contains(&x) && (0.0..=24.0).contains(&(y + length)), "{bar}");
        }
    }
}
