//! Folding of repeated log lines: the first one is written; repeats within a minute are counted and summed up in one
//! line.
//!
//! Two lines are alike when they are identical; they are also alike when they come from the same place in the program
//! and have the same subject (the text before the first `: `), and that place has already logged [`ALIKE_MAX`]
//! different lines about it within the minute. So a router that keeps sending different invalid data costs a few lines
//! and then one a minute. When too many subjects are remembered, only the place counts.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use log::Level;

/// The time for which repeats of a line are held back.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);

/// The maximum number of different lines, and of subjects, that are remembered.
const LINES_MAX: usize = 8192;

/// The maximum number of different lines that one place in the program logs about one subject within a minute. It is
/// more than a session has kinds of warnings from one place.
const ALIKE_MAX: u32 = 32;

/// The module whose lines report that an outage of the database begins, changes or ends. Two that read alike are two
/// events, so none counts as a repeat; [`ALIKE_MAX`] bounds them as it bounds all others.
const CHANGES: &str = "rib_ingester::pipeline::outage";

/// A line as it is compared and written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LogLine {
    /// Its severity.
    pub level: Level,
    /// The module that logs it.
    pub target: String,
    /// The line in the module's source.
    pub site: u32,
    /// The message.
    pub text: String,
}

/// The origin and the subject of a line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct LineOrigin {
    target: String,
    site: u32,
    subject: String,
}

/// The decision on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FoldDecision {
    /// The line is written.
    Write,
    /// The line is counted; a summary follows.
    Folded,
}

/// The lines of the last minute.
#[derive(Debug, Default)]
pub(crate) struct Folds {
    seen: HashMap<LogLine, Window>,
    origins: HashMap<LineOrigin, OriginWindow>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    repeats: u64,
}

#[derive(Debug)]
struct OriginWindow {
    since: Instant,
    written: u32,
    folded: u64,
    /// The last line that was held back.
    last: Option<LogLine>,
}

impl Folds {
    /// Decides on one line.
    pub fn see(&mut self, line: &LogLine, now: Instant) -> FoldDecision {
        let is_change = line.target == CHANGES;
        if let Some(window) = self.seen.get_mut(line).filter(|_| !is_change) {
            window.repeats += 1;
            return FoldDecision::Folded;
        }
        let origin = self.origin_of(line);
        let window =
            self.origins.entry(origin).or_insert(OriginWindow { since: now, written: 0, folded: 0, last: None });
        if window.written >= ALIKE_MAX {
            window.folded += 1;
            window.last = Some(line.clone());
            return FoldDecision::Folded;
        }
        window.written += 1;
        if !is_change && self.seen.len() < LINES_MAX {
            self.seen.insert(line.clone(), Window { since: now, repeats: 0 });
        }
        FoldDecision::Write
    }

    fn origin_of(&self, line: &LogLine) -> LineOrigin {
        let subject = line.text.split_once(": ").map_or("", |(subject, _)| subject);
        let origin = LineOrigin { target: line.target.clone(), site: line.site, subject: subject.to_owned() };
        if self.origins.len() < LINES_MAX || self.origins.contains_key(&origin) {
            return origin;
        }
        // The number of places in the program is fixed.
        LineOrigin { subject: String::new(), ..origin }
    }

    /// Returns summaries of the windows that are over. A repeated line gets a new window, so that a flood costs one
    /// line a minute; any other line is forgotten.
    pub fn due(&mut self, now: Instant) -> Vec<LogLine> {
        let mut summaries = Vec::new();
        self.seen.retain(|line, window| {
            if now.duration_since(window.since) < WINDOW {
                return true;
            }
            let repeats = std::mem::take(&mut window.repeats);
            window.since = now;
            if repeats > 0 {
                summaries.push(summary(line, repeats));
            }
            repeats > 0
        });
        self.origins.retain(|_, window| {
            if now.duration_since(window.since) < WINDOW {
                return true;
            }
            let folded = std::mem::take(&mut window.folded);
            window.since = now;
            if let Some(line) = window.last.take() {
                summaries.push(summary_of_alike(&line, folded));
            }
            folded > 0
        });
        summaries
    }

    /// Returns summaries of all windows and forgets everything.
    pub fn all(&mut self) -> Vec<LogLine> {
        let seen = self.seen.drain().filter(|(_, window)| window.repeats > 0);
        let mut summaries: Vec<LogLine> = seen.map(|(line, window)| summary(&line, window.repeats)).collect();
        let origins = self.origins.drain();
        summaries.extend(origins.filter_map(|(_, window)| Some(summary_of_alike(&window.last?, window.folded))));
        summaries
    }
}

fn summary(line: &LogLine, repeats: u64) -> LogLine {
    let times = if repeats == 1 { "once".to_owned() } else { format!("{repeats} times") };
    LogLine { text: format!("{} (repeated {times})", line.text), ..line.clone() }
}

/// Returns the summary of `folded` lines that were held back, of which this is the last.
fn summary_of_alike(line: &LogLine, folded: u64) -> LogLine {
    match folded {
        0 | 1 => line.clone(),
        2 => LogLine { text: format!("{} (and one more line like this)", line.text), ..line.clone() },
        _ => LogLine { text: format!("{} (and {} more lines like this)", line.text, folded - 1), ..line.clone() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> LogLine {
        LogLine { level: Level::Warn, target: "t".to_string(), site: 1, text: text.to_string() }
    }

    fn texts(lines: Vec<LogLine>) -> Vec<String> {
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn a_flood_costs_one_line_a_minute() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut folds = Folds::default();
        assert_eq!(folds.see(&line("bad"), at(0)), FoldDecision::Write);
        assert_eq!(folds.see(&line("other"), at(1)), FoldDecision::Write);
        assert_eq!(folds.see(&line("bad"), at(2)), FoldDecision::Folded);
        assert_eq!(folds.see(&line("bad"), at(59)), FoldDecision::Folded);
        assert!(folds.due(at(59)).is_empty());
        assert_eq!(texts(folds.due(at(60))), ["bad (repeated 2 times)"]);
        assert_eq!(folds.see(&line("bad"), at(61)), FoldDecision::Folded);
        assert_eq!(texts(folds.due(at(120))), ["bad (repeated once)"]);
        assert!(folds.due(at(180)).is_empty());
        assert_eq!(folds.see(&line("bad"), at(181)), FoldDecision::Write);
    }

    #[test]
    fn varying_lines_of_a_router_fold_to_one_per_minute() {
        let start = Instant::now();
        let mut folds = Folds::default();
        let mut written = 0;
        let mut summaries = Vec::new();
        for second in 0..300 {
            let now = start + Duration::from_secs(second);
            summaries.extend(texts(folds.due(now)));
            for i in 0..100 {
                let line = line(&format!("router at 192.0.2.1: not BMP: version {second} {i}"));
                written += u32::from(folds.see(&line, now) == FoldDecision::Write);
            }
            // Another router's lines are still written.
            let other = folds.see(&line(&format!("router at 192.0.2.2: hello {}", second / 120)), now);
            assert_eq!(other == FoldDecision::Write, second % 120 == 0, "{second}");
        }
        assert_eq!(written, ALIKE_MAX);
        let mine: Vec<&String> = summaries.iter().filter(|text| text.contains("192.0.2.1")).collect();
        assert_eq!(mine.len(), 4);
        assert_eq!(mine[0], "router at 192.0.2.1: not BMP: version 59 99 (and 5967 more lines like this)");
    }

    #[test]
    fn the_second_outage_of_a_minute_is_no_repeat() {
        let now = Instant::now();
        let mut folds = Folds::default();
        let begins = LogLine { target: CHANGES.to_owned(), ..line("database: not reached") };
        let written = (0..ALIKE_MAX + 1).filter(|_| folds.see(&begins, now) == FoldDecision::Write).count();
        assert_eq!(written, usize::try_from(ALIKE_MAX).unwrap());
        assert_eq!(folds.due(now + WINDOW).len(), 1);
    }

    #[test]
    fn level_target_and_place_tell_lines_apart() {
        let mut folds = Folds::default();
        let now = Instant::now();
        assert_eq!(folds.see(&line("x"), now), FoldDecision::Write);
        assert_eq!(folds.see(&LogLine { level: Level::Error, ..line("x") }, now), FoldDecision::Write);
        assert_eq!(folds.see(&LogLine { target: "u".to_string(), ..line("x") }, now), FoldDecision::Write);
        assert_eq!(folds.see(&LogLine { site: 2, ..line("x") }, now), FoldDecision::Write);
    }

    #[test]
    fn the_end_reports_folded_lines_and_memory_is_bounded() {
        let mut folds = Folds::default();
        let now = Instant::now();
        let mut written = 0;
        for i in 0..4 * LINES_MAX {
            written += usize::from(folds.see(&line(&format!("router {i}: lost")), now) == FoldDecision::Write);
        }
        assert_eq!(folds.seen.len(), LINES_MAX);
        assert_eq!(folds.origins.len(), LINES_MAX + 1);
        assert_eq!(written, LINES_MAX + usize::try_from(ALIKE_MAX).unwrap());
        assert_eq!(folds.see(&line("router 0: lost"), now), FoldDecision::Folded);
        let mut all = texts(folds.all());
        all.sort();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0], "router 0: lost (repeated once)");
        let held_back = 3 * LINES_MAX - usize::try_from(ALIKE_MAX).unwrap();
        assert!(all[1].ends_with(&format!("(and {} more lines like this)", held_back - 1)), "{}", all[1]);
        assert!(folds.all().is_empty());
    }
}
