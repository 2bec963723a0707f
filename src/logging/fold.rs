//! Repeats of one log line, folded: the first is written, those within a minute are counted and summed up in one line.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use log::Level;

/// How long repeats of a line are held back.
pub const WINDOW: Duration = Duration::from_secs(60);

/// How many different lines are remembered. More at a time are written unfolded rather than held in memory.
const LINES_MAX: usize = 1024;

/// A line as it is compared and written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    /// How serious it is.
    pub level: Level,
    /// The module that says it.
    pub target: String,
    /// The message.
    pub text: String,
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is written.
    Write,
    /// It is counted; a summary will follow.
    Folded,
}

/// The lines of the last minute.
#[derive(Debug, Default)]
pub struct Folds {
    seen: HashMap<Line, Window>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    repeats: u64,
}

impl Folds {
    /// Judges one line.
    pub fn see(&mut self, line: &Line, now: Instant) -> Verdict {
        if let Some(window) = self.seen.get_mut(line) {
            window.repeats += 1;
            return Verdict::Folded;
        }
        if self.seen.len() < LINES_MAX {
            self.seen.insert(line.clone(), Window { since: now, repeats: 0 });
        }
        Verdict::Write
    }

    /// Summaries of the windows that are over. A line that was repeated gets a new window, so that a flood costs one
    /// line a minute; one that was not is forgotten.
    pub fn due(&mut self, now: Instant) -> Vec<Line> {
        let mut summaries = Vec::new();
        self.seen.retain(|line, window| {
            if now.duration_since(window.since) < WINDOW {
                return true;
            }
            match window.repeats {
                0 => false,
                repeats => {
                    summaries.push(summary(line, repeats));
                    *window = Window { since: now, repeats: 0 };
                    true
                }
            }
        });
        summaries
    }

    /// Summaries of all windows; everything is forgotten.
    pub fn all(&mut self) -> Vec<Line> {
        let seen = self.seen.drain();
        seen.filter(|(_, window)| window.repeats > 0).map(|(line, window)| summary(&line, window.repeats)).collect()
    }
}

fn summary(line: &Line, repeats: u64) -> Line {
    Line { text: format!("{} (repeated {repeats} times)", line.text), ..line.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line { level: Level::Warn, target: "t".to_string(), text: text.to_string() }
    }

    fn texts(lines: Vec<Line>) -> Vec<String> {
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn a_flood_costs_one_line_a_minute() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut folds = Folds::default();
        assert_eq!(folds.see(&line("bad"), at(0)), Verdict::Write);
        assert_eq!(folds.see(&line("other"), at(1)), Verdict::Write);
        assert_eq!(folds.see(&line("bad"), at(2)), Verdict::Folded);
        assert_eq!(folds.see(&line("bad"), at(59)), Verdict::Folded);
        assert!(folds.due(at(59)).is_empty());
        assert_eq!(texts(folds.due(at(60))), ["bad (repeated 2 times)"]);
        assert_eq!(folds.see(&line("bad"), at(61)), Verdict::Folded);
        assert_eq!(texts(folds.due(at(120))), ["bad (repeated 1 times)"]);
        assert!(folds.due(at(180)).is_empty());
        assert_eq!(folds.see(&line("bad"), at(181)), Verdict::Write);
    }

    #[test]
    fn level_and_target_tell_lines_apart() {
        let mut folds = Folds::default();
        let now = Instant::now();
        assert_eq!(folds.see(&line("x"), now), Verdict::Write);
        assert_eq!(folds.see(&Line { level: Level::Error, ..line("x") }, now), Verdict::Write);
        assert_eq!(folds.see(&Line { target: "u".to_string(), ..line("x") }, now), Verdict::Write);
    }

    #[test]
    fn the_end_reports_what_was_held_back_and_memory_is_bounded() {
        let mut folds = Folds::default();
        let now = Instant::now();
        for i in 0..2 * LINES_MAX {
            folds.see(&line(&i.to_string()), now);
        }
        assert_eq!(folds.seen.len(), LINES_MAX);
        assert_eq!(folds.see(&line("0"), now), Verdict::Folded);
        assert_eq!(folds.see(&line("unfolded"), now), Verdict::Write);
        assert_eq!(folds.see(&line("unfolded"), now), Verdict::Write);
        assert_eq!(texts(folds.all()), ["0 (repeated 1 times)"]);
        assert!(folds.all().is_empty());
    }
}
