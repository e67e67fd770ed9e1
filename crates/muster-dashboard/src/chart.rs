//! Charts of the fleet: SVG without scripts and styles, the words around it as text of the page.

use std::fmt::Write as _;
use std::time::Duration;

use muster_ids::Timestamp;
use muster_wire::host::Presence;
use muster_wire::overview::PresenceSample;

use crate::markup::Markup;
use crate::words::Worded;

const WIDTH: u64 = 1000;
const HEIGHT: u64 = 200;
/// Least height of what is there at all: one host of a hundred thousand is seen, too.
const LEAST: u64 = 3;
/// What is drawn, from the bottom up.
const BANDS: [Presence; 4] =
    [Presence::Online, Presence::NeverSeen, Presence::Offline, Presence::Unreachable];

/// The presence of a fleet over time.
#[derive(Debug, Clone)]
pub(crate) struct PresenceChart {
    samples: Vec<PresenceSample>,
    from: Timestamp,
    to: Timestamp,
    /// How long one sample stands for; beyond it nothing is known.
    step: Duration,
}

impl PresenceChart {
    pub(crate) fn new(samples: &[PresenceSample], hours: u64, now: Timestamp) -> Self {
        let step = Duration::from_secs(if hours > 24 { 3600 } else { 300 });
        let from = now.minus(Duration::from_secs(hours * 3600));
        let samples = samples.iter().filter(|sample| sample.at.plus(step) > from && sample.at <= now);
        Self { samples: samples.copied().collect(), from, to: now, step }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Returns the number at the top: a round one that nothing exceeds.
    pub(crate) fn top(&self) -> u64 {
        round_up(self.samples.iter().map(total).max().unwrap_or_default())
    }

    /// Returns the number halfway up, if it is a whole one.
    pub(crate) fn half(&self) -> Option<u64> {
        self.top().is_multiple_of(2).then(|| self.top() / 2)
    }

    /// Returns the same in a sentence.
    pub(crate) fn says(&self) -> String {
        let online = || self.samples.iter().map(|sample| sample.online);
        let (Some(least), Some(most), Some(last)) = (online().min(), online().max(), self.samples.last())
        else {
            return "Nothing was seen of this time yet.".to_owned();
        };
        let range = if least == most { format!("{least}") } else { format!("between {least} and {most}") };
        let mut text = format!("{range} online; most recently {} of {} online", last.online, total(last));
        for band in [Presence::Unreachable, Presence::Offline, Presence::NeverSeen] {
            if of(last, band) > 0 {
                let _ = write!(text, ", {} {}", of(last, band), band.word());
            }
        }
        text.push('.');
        text
    }

    /// Draws it. A time of which nothing is known stays empty.
    pub(crate) fn svg(&self, label: &str) -> Markup {
        let mut svg = format!(
            "<svg class=\"chart plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
             aria-label=\"{}\">",
            crate::markup::escape(&format!("{label}: {}", self.says()))
        );
        svg.push_str("<defs>");
        for (band, lines) in BANDS.into_iter().filter_map(|band| Some((band, hatch(band)?))) {
            let class = class(band);
            let _ = write!(
                svg,
                "<pattern id=\"hatch-{class}\" width=\"10\" height=\"10\" patternUnits=\"userSpaceOnUse\">\
                 <path class=\"hatch {class}\" d=\"{lines}\"/></pattern>"
            );
        }
        svg.push_str("</defs>");
        for y in [0, HEIGHT / 2, HEIGHT] {
            let _ = write!(svg, "<path class=\"grid-line\" d=\"M0 {y}h{WIDTH}\"/>");
        }
        let mut paths: [String; 4] = Default::default();
        for (at, run) in self.runs() {
            let mut bottom = HEIGHT;
            let mut heights = self.heights(run).into_iter();
            for path in &mut paths {
                let height = heights.next().unwrap_or_default();
                bottom = bottom.saturating_sub(height);
                if height > 0 {
                    let width = at.1 - at.0;
                    let _ = write!(path, "M{} {bottom}h{width}v{height}h-{width}z", at.0);
                }
            }
        }
        for (band, path) in BANDS.into_iter().zip(&paths).filter(|(_, path)| !path.is_empty()) {
            let _ = write!(svg, "<path class=\"{}\" d=\"{path}\"/>", class(band));
            if hatch(band).is_some() {
                let _ = write!(svg, "<path fill=\"url(#hatch-{})\" d=\"{path}\"/>", class(band));
            }
        }
        svg.push_str("</svg>");
        Markup::of_escaped(svg)
    }

    /// Returns the numbers, newest first, one for each `every`th part of the time.
    pub(crate) fn rows(&self, every: Duration) -> Vec<&PresenceSample> {
        let part = |sample: &&PresenceSample| sample.at.as_secs().div_euclid(every.as_secs() as i64);
        let mut rows: Vec<&PresenceSample> = self.samples.iter().rev().collect();
        rows.dedup_by_key(|sample| part(sample));
        rows
    }

    /// Returns the heights of the bands: what is there at all has the least, which the greatest gives up.
    fn heights(&self, sample: &PresenceSample) -> [u64; 4] {
        let top = self.top().max(1);
        let mut heights = BANDS.map(|band| match of(sample, band) {
            0 => 0,
            count => (count.saturating_mul(HEIGHT) / top).max(LEAST),
        });
        let excess = heights.iter().sum::<u64>().saturating_sub(HEIGHT);
        if let Some(greatest) = heights.iter_mut().max() {
            *greatest = greatest.saturating_sub(excess);
        }
        heights
    }

    /// Returns what is drawn as one: neighbours of equal numbers without a gap between them.
    fn runs(&self) -> Vec<((u64, u64), &PresenceSample)> {
        let mut runs: Vec<((u64, u64), &PresenceSample)> = Vec::new();
        for (index, sample) in self.samples.iter().enumerate() {
            let next = self.samples.get(index + 1).map(|next| next.at);
            // A sample comes a moment late now and then; that is no gap.
            let end = match next {
                Some(next) if next.since(sample.at) <= self.step + self.step / 2 => next,
                Some(next) => sample.at.plus(self.step).min(next),
                None => sample.at.plus(self.step).min(self.to),
            };
            let span = (self.x(sample.at), self.x(end));
            match runs.last_mut() {
                Some((last, of)) if last.1 == span.0 && same(of, sample) => last.1 = span.1,
                _ => runs.push((span, sample)),
            }
        }
        runs
    }

    fn x(&self, at: Timestamp) -> u64 {
        let all = self.to.since(self.from).as_millis().max(1);
        u64::try_from(at.since(self.from).as_millis() * u128::from(WIDTH) / all).unwrap_or(WIDTH).min(WIDTH)
    }
}

/// The class a presence is coloured by.
pub(crate) const fn class(presence: Presence) -> &'static str {
    match presence {
        Presence::Online => "online",
        Presence::Unreachable => "unreachable",
        Presence::Offline => "offline",
        Presence::NeverSeen => "never_seen",
    }
}

/// Returns the lines that say the same as the colour, in a square of 10 × 10; what is online has none.
const fn hatch(presence: Presence) -> Option<&'static str> {
    match presence {
        Presence::Online => None,
        Presence::Unreachable => Some("M-2 2 2-2M-2 12 12-2M8 12 12 8"),
        Presence::Offline => Some("M0 5h10"),
        Presence::NeverSeen => Some("M2 2h2M7 7h2"),
    }
}

/// Shows the colour and the lines of a presence, for a legend.
pub(crate) fn swatch(presence: Presence) -> Markup {
    let class = class(presence);
    Markup::of_escaped(format!(
        "<svg class=\"chart swatch\" viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect class=\"{class}\" width=\"10\" height=\"10\" rx=\"2\"/>{}</svg>",
        hatch(presence)
            .map_or_else(String::new, |lines| format!("<path class=\"hatch {class}\" d=\"{lines}\"/>"))
    ))
}

fn of(sample: &PresenceSample, presence: Presence) -> u64 {
    match presence {
        Presence::Online => sample.online,
        Presence::Unreachable => sample.unreachable,
        Presence::Offline => sample.offline,
        Presence::NeverSeen => sample.never_seen,
    }
}

fn total(sample: &PresenceSample) -> u64 {
    BANDS.into_iter().map(|band| of(sample, band)).sum()
}

fn same(one: &PresenceSample, other: &PresenceSample) -> bool {
    BANDS.into_iter().all(|band| of(one, band) == of(other, band))
}

/// Returns the next 1, 2, 4, 5, 6, 8 or 10 with zeros.
fn round_up(count: u64) -> u64 {
    let mut unit: u64 = 1;
    while count > unit.saturating_mul(10) {
        unit = unit.saturating_mul(10);
    }
    let steps = [1, 2, 4, 5, 6, 8, 10].map(|step| unit.saturating_mul(step));
    steps.into_iter().find(|step| *step >= count).unwrap_or(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{NOW, ago};

    fn sample(minutes: u64, online: u64, unreachable: u64) -> PresenceSample {
        PresenceSample { at: ago(minutes * 60), online, unreachable, offline: 0, never_seen: 0 }
    }

    #[test]
    fn a_time_nobody_counted_in_stays_empty_and_equal_neighbours_are_one() {
        let samples =
            [sample(60, 10, 0), sample(55, 10, 0), sample(50, 9, 1), sample(10, 10, 0), sample(5, 10, 0)];
        let chart = PresenceChart::new(&samples, 1, NOW);
        let spans: Vec<(u64, u64)> = chart.runs().into_iter().map(|(span, _)| span).collect();
        assert_eq!(spans, [(0, 166), (166, 250), (833, 1000)]);
        assert_eq!(chart.says(), "between 9 and 10 online; most recently 10 of 10 online.");
        assert_eq!(chart.rows(Duration::from_secs(3600)).len(), 2);
    }

    #[test]
    fn one_of_a_hundred_thousand_is_seen() {
        let samples = [sample(5, 99_999, 1)];
        let svg = PresenceChart::new(&samples, 24, NOW).svg("Presence").to_string();
        assert!(svg.contains("class=\"unreachable\" d=\"M"), "{svg}");
        assert!(!svg.contains("class=\"offline\""), "{svg}");
    }

    #[test]
    fn the_top_is_round() {
        assert_eq!(
            [0, 1, 3, 7, 10, 11, 99, 101, 100_000].map(round_up),
            [1, 1, 4, 8, 10, 20, 100, 200, 100_000]
        );
    }

    #[test]
    fn nothing_is_said_of_what_was_not_seen() {
        let chart = PresenceChart::new(&[], 24, NOW);
        assert!(chart.is_empty() && chart.says().starts_with("Nothing"));
    }
}
