//! Small charts of one host: when it could be reached, and how it was. SVG without scripts and styles.

use std::fmt::Write as _;
use std::time::Duration;

use muster_ids::Timestamp;
use muster_wire::host::Presence;
use muster_wire::overview::{HostHistory, PresenceSpan};

use crate::chart::class;
use crate::markup::{self, Markup, escape};
use crate::words::Worded;

const WIDTH: u64 = 1000;
const STRIP_HEIGHT: u64 = 28;
const LINE_HEIGHT: u64 = 100;
/// Samples are of hours: what is further apart is not joined by a line.
const JOINED: Duration = Duration::from_secs(2 * 3600);

/// When a host could be reached, in the time that is shown.
#[derive(Debug, Clone)]
pub(crate) struct Strip {
    from: Timestamp,
    to: Timestamp,
    spans: Vec<PresenceSpan>,
}

impl Strip {
    pub(crate) fn new(history: &HostHistory) -> Self {
        let (from, to) = (history.from, history.to);
        let seen = history.spans.iter().filter(|span| span.from < to && span.to.unwrap_or(to) > from);
        let spans = seen.map(|span| PresenceSpan { from: span.from.max(from), ..*span }).collect();
        Self { from, to, spans }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Returns the times it could not be reached, newest first: since when, none if it began before what is shown; and
    /// how long, none while it lasts.
    pub(crate) fn outages(&self) -> Vec<(Option<Timestamp>, Option<String>, Presence)> {
        let gone = self.spans.iter().rev().filter(|span| is_gone(span.status));
        let outage = |span: &PresenceSpan| {
            // What is drawn is clipped: there, where it begins is not known.
            let since = (span.from > self.from).then_some(span.from);
            let at_least = if since.is_none() { "more than " } else { "" };
            let long = span.to.map(|to| format!("{at_least}{}", markup::span(to.since(span.from))));
            (since, long, span.status)
        };
        gone.map(outage).collect()
    }

    /// Says the same in a sentence.
    pub(crate) fn says(&self) -> String {
        let Some(first) = self.spans.first() else { return "Nothing was seen of this time yet.".to_owned() };
        let known = self.to.since(first.from);
        let online = self.spans.iter().filter(|span| span.status == Presence::Online);
        let online: Duration = online.map(|span| self.length(span)).sum();
        let share = share(online, known);
        match self.outages().len() {
            0 if online == known => format!("online all of the last {}", markup::span(known)),
            0 => format!("online {share} of the last {}", markup::span(known)),
            1 => format!("online {share} of the last {}, gone once", markup::span(known)),
            many => format!("online {share} of the last {}, gone {many} times", markup::span(known)),
        }
    }

    pub(crate) fn svg(&self) -> Markup {
        let mut svg = format!(
            "<svg class=\"strip\" viewBox=\"0 0 {WIDTH} {STRIP_HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
             aria-label=\"Presence: {}\">",
            escape(&self.says())
        );
        for span in &self.spans {
            let left = place(span.from, self.from, self.to);
            let right = place(span.to.unwrap_or(self.to), self.from, self.to);
            // A short silence is seen, too.
            let width = (right - left).max(if is_gone(span.status) { 2 } else { 0 });
            let height = height(span.status);
            let _ = write!(
                svg,
                "<rect class=\"{}\" x=\"{left}\" width=\"{width}\" y=\"{}\" height=\"{height}\"><title>{} for {}</title></rect>",
                class(span.status),
                STRIP_HEIGHT - height,
                span.status.word(),
                markup::span(self.length(span)),
            );
        }
        svg.push_str("</svg>");
        Markup::of_escaped(svg)
    }

    /// Says what the heights mean.
    pub(crate) fn legend(&self) -> Markup {
        let mut list = "<ul class=\"legend\">".to_owned();
        for presence in [Presence::Online, Presence::Unreachable, Presence::Offline] {
            let (height, class) = (height(presence), class(presence));
            let _ = write!(
                list,
                "<li><svg class=\"chart swatch tall\" viewBox=\"0 0 {STRIP_HEIGHT} {STRIP_HEIGHT}\" aria-hidden=\"true\">\
                 <rect class=\"{class}\" width=\"{STRIP_HEIGHT}\" y=\"{}\" height=\"{height}\"/></svg>{}</li>",
                STRIP_HEIGHT - height,
                presence.word(),
            );
        }
        list.push_str("<li>empty: not seen</li></ul>");
        Markup::of_escaped(list)
    }

    fn length(&self, span: &PresenceSpan) -> Duration {
        span.to.unwrap_or(self.to).since(span.from)
    }
}

/// Returns the height that says the same as the colour.
fn height(presence: Presence) -> u64 {
    match presence {
        Presence::Online => STRIP_HEIGHT,
        Presence::Unreachable => STRIP_HEIGHT / 2,
        Presence::Offline => STRIP_HEIGHT / 6,
        Presence::NeverSeen => 0,
    }
}

fn is_gone(presence: Presence) -> bool {
    matches!(presence, Presence::Unreachable | Presence::Offline)
}

/// Says a part of the whole; what is not all is never rounded up to it.
fn share(part: Duration, whole: Duration) -> String {
    let permille = part.as_millis() * 1000 / whole.as_millis().max(1);
    format!("{}.{} %", permille / 10, permille % 10)
}

/// A number over the same time.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    from: Timestamp,
    to: Timestamp,
    points: Vec<(Timestamp, u64)>,
    top: u64,
}

impl Line {
    /// Draws `points` between zero and `top`, or their greatest when that is more.
    pub(crate) fn new(history: &HostHistory, points: Vec<(Timestamp, u64)>, top: u64) -> Self {
        let most = points.iter().map(|(_, value)| *value).max().unwrap_or_default();
        Self { from: history.from, to: history.to, points, top: most.max(top).max(1) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Returns the least and the greatest.
    pub(crate) fn range(&self) -> Option<(u64, u64)> {
        let values = || self.points.iter().map(|(_, value)| *value);
        values().min().zip(values().max())
    }

    pub(crate) fn svg(&self, says: &str) -> Markup {
        let mut path = String::new();
        let mut before: Option<Timestamp> = None;
        for (index, (at, value)) in self.points.iter().enumerate() {
            let (x, y) = (place(*at, self.from, self.to), LINE_HEIGHT - value * LINE_HEIGHT / self.top);
            let joined = before.is_some_and(|before| at.since(before) <= JOINED);
            let _ = write!(path, "{}{x} {y}", if joined { 'L' } else { 'M' });
            let next = self.points.get(index + 1);
            if !joined && next.is_none_or(|(next, _)| next.since(*at) > JOINED) {
                path.push_str("h4");
            }
            before = Some(*at);
        }
        Markup::of_escaped(format!(
            "<svg class=\"chart spark\" viewBox=\"0 0 {WIDTH} {LINE_HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
             aria-label=\"{}\"><path class=\"grid-line\" vector-effect=\"non-scaling-stroke\" d=\"M0 {LINE_HEIGHT}h{WIDTH}\"/>\
             <path class=\"line\" vector-effect=\"non-scaling-stroke\" d=\"{path}\"/></svg>",
            escape(says)
        ))
    }
}

fn place(at: Timestamp, from: Timestamp, to: Timestamp) -> u64 {
    let all = to.since(from).as_millis().max(1);
    u64::try_from(at.since(from).as_millis() * u128::from(WIDTH) / all).unwrap_or(WIDTH).min(WIDTH)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::samples::{HOST, ago, of};

    #[expect(clippy::needless_pass_by_value, reason = "tests write the JSON in place")]
    fn history(spans: serde_json::Value) -> HostHistory {
        of(
            json!({ "host_id": HOST, "from": ago(1000), "to": ago(0), "spans": spans, "vitals": [], "facts": [] }),
        )
    }

    #[test]
    fn a_silence_is_said_and_seen_and_never_rounded_away() {
        let strip = Strip::new(&history(json!([
            { "from": ago(5000), "to": ago(500), "status": "online" },
            { "from": ago(500), "to": ago(499), "status": "unreachable" },
            { "from": ago(499), "to": null, "status": "online" },
        ])));
        assert_eq!(strip.says(), "online 99.9 % of the last 16 min, gone once");
        let svg = strip.svg().to_string();
        assert!(svg.contains("class=\"unreachable\" x=\"500\" width=\"2\" y=\"14\" height=\"14\""), "{svg}");
        assert_eq!(strip.outages(), [(Some(ago(500)), Some("1 s".to_owned()), Presence::Unreachable)]);
    }

    #[test]
    fn a_silence_that_began_before_what_is_shown_has_no_made_up_beginning() {
        let strip = Strip::new(&history(json!([
            { "from": ago(90_000), "to": ago(800), "status": "unreachable" },
            { "from": ago(800), "to": null, "status": "online" },
        ])));
        assert_eq!(strip.outages(), [(None, Some("more than 3 min".to_owned()), Presence::Unreachable)]);
    }

    #[test]
    fn what_nobody_saw_is_not_called_online() {
        let strip = Strip::new(&history(json!([{ "from": ago(100), "to": null, "status": "online" }])));
        assert_eq!(strip.says(), "online all of the last 1 min");
        assert!(strip.svg().to_string().contains("x=\"900\" width=\"100\""));
        let unseen = Strip::new(&history(json!([])));
        assert!(unseen.is_empty() && unseen.says().starts_with("Nothing"));
    }

    #[test]
    fn hours_of_silence_are_a_gap_of_the_line_and_one_hour_alone_is_a_dot() {
        let mut week = history(json!([]));
        week.from = ago(7 * 86_400);
        let points = vec![(ago(90_000), 5), (ago(86_400), 10), (ago(0), 20)];
        let svg = Line::new(&week, points, 1).svg("Load").to_string();
        assert!(svg.contains("d=\"M851 75L857 50M1000 0h4\""), "{svg}");
    }
}
