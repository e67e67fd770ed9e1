//! Pieces of HTML that many pages show. Everything that is not a word of this program is escaped here.

use std::fmt::{self, Display, Write as _};
use std::time::Duration;

use muster_ids::Timestamp;

use crate::words::{Tone, Worded};

/// HTML that is escaped already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Markup(String);

impl Markup {
    /// Takes HTML that was made of escaped parts alone.
    pub(crate) fn of_escaped(html: String) -> Self {
        Self(html)
    }
}

impl Display for Markup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::filters::HtmlSafe for Markup {}

/// Escapes text for HTML, between tags and in quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// Says how long ago, or how far ahead, a moment is.
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    if at > now { format!("in {}", span(at.since(now))) } else { past(now.since(at)) }
}

fn past(ago: Duration) -> String {
    if ago < Duration::from_secs(5) { "just now".to_owned() } else { format!("{} ago", span(ago)) }
}

/// Says a span in its greatest unit: `40 s`, `12 min`, `3 h`, `9 d`.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Shows a moment. The script puts the viewer's own time zone into the title and keeps the words true.
pub(crate) fn time(at: Timestamp, now: Timestamp) -> Markup {
    Markup(format!("<time datetime=\"{at}\" title=\"{at}\">{}</time>", relative(at, now)))
}

/// Shows text as it is.
pub(crate) fn text(text: &str) -> Markup {
    Markup(escape(text))
}

/// Shows a word for what is not there.
pub(crate) fn quiet(text: &str) -> Markup {
    Markup(format!("<span class=\"quiet\">{}</span>", escape(text)))
}

/// Shows a state: a word, a shape and a colour.
pub(crate) fn pill<W: Worded + ?Sized>(state: &W) -> Markup {
    tinted(state.word(), state.tone())
}

/// Shows a word with the shape and colour of a tone.
pub(crate) fn tinted(word: &str, tone: Tone) -> Markup {
    let shape = match tone {
        Tone::Good => "<circle cx=\"5\" cy=\"5\" r=\"4\"/>",
        Tone::Warn => "<path d=\"M5 .8 9.6 9H.4z\"/>",
        Tone::Bad => "<path d=\"M3 .5h4L9.5 3v4L7 9.5H3L.5 7V3z\"/>",
        Tone::Busy => "<path d=\"M5 1a4 4 0 1 1-4 4\" fill=\"none\" stroke-width=\"2\"/>",
        Tone::Quiet => "<circle cx=\"5\" cy=\"5\" r=\"3.2\" fill=\"none\" stroke-width=\"1.6\"/>",
    };
    let class = tone.class();
    Markup(format!(
        "<span class=\"pill {class}\"><svg viewBox=\"0 0 10 10\" aria-hidden=\"true\">{shape}</svg>{}</span>",
        escape(word)
    ))
}

/// Shows text that a click copies; without JavaScript it can be marked as a whole.
pub(crate) fn copy(text: &str, label: &str) -> Markup {
    let (text, label) = (escape(text), escape(label));
    Markup(format!(
        "<span class=\"copy\"><code tabindex=\"0\">{text}</code>\
         <button type=\"button\" class=\"copy-button\" data-copy=\"{text}\" aria-label=\"{label}\" title=\"{label}\">\
         {}<span class=\"copy-word\">Copy</span></button></span>",
        icon("copy")
    ))
}

/// Shows an id that a click copies, by its end: the beginning is the time it was made.
pub(crate) fn id(id: &str) -> Markup {
    let text = escape(id);
    let short: String = id.chars().rev().take(8).collect::<Vec<_>>().into_iter().rev().collect();
    let short = escape(&short);
    Markup(format!(
        "<button type=\"button\" class=\"id\" data-copy=\"{text}\" title=\"{text}\" \
         aria-label=\"Copy the id that ends in {short}\"><span aria-hidden=\"true\">…</span>{short}</button>"
    ))
}

/// Shows a number of bytes in its greatest unit.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let mut text = String::new();
    let _ = if unit == 0 { write!(text, "{count} B") } else { write!(text, "{value:.1} {}", UNITS[unit]) };
    text
}

/// Shows text as a QR code, black on white whatever the colours of the page are, for cameras. `None`: too long for one.
pub(crate) fn qr(text: &str, label: &str) -> Option<Markup> {
    let code = qrcodegen::QrCode::encode_text(text, qrcodegen::QrCodeEcc::Medium).ok()?;
    let (size, quiet) = (code.size(), 4);
    let mut path = String::new();
    for y in 0..size {
        for x in (0..size).filter(|x| code.get_module(*x, y)) {
            let _ = write!(path, "M{} {}h1v1h-1z", x + quiet, y + quiet);
        }
    }
    let (side, label) = (size + 2 * quiet, escape(label));
    Some(Markup(format!(
        "<svg class=\"qr\" viewBox=\"0 0 {side} {side}\" role=\"img\" aria-label=\"{label}\" \
         shape-rendering=\"crispEdges\"><rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/>\
         <path fill=\"#000\" d=\"{path}\"/></svg>"
    )))
}

/// Shows an icon of 16 × 16; what it means stands beside it in words.
pub(crate) fn icon(name: &str) -> Markup {
    let path = match name {
        "overview" => "M2 9h5V2H2zm0 5h5v-3H2zm7 0h5V7H9zm0-12v3h5V2z",
        "host" => "M2 3h12v4H2zm0 6h12v4H2zM4.5 5h.01M4.5 11h.01",
        "approve" => "M2.5 8.5 6 12l7.5-8",
        "site" => "M8 14s5-4.4 5-8A5 5 0 0 0 3 6c0 3.6 5 8 5 8zM8 7.5A1.5 1.5 0 1 0 8 4.5a1.5 1.5 0 0 0 0 3z",
        "ticket" => "M2 4h12v3a1.2 1.2 0 0 0 0 2.4V12H2V9.4A1.2 1.2 0 0 0 2 7zM9.5 4v8",
        "job" => "M5 3.5v9l7.5-4.5z",
        "event" => "M2 8h3l2-5 3 10 2-5h2",
        "webhook" => "M2 8h8M7 5l3 3-3 3M13 3v10",
        "audit" => "M4 2h6l3 3v9H4zM6.5 7.5h4M6.5 10.5h4",
        "team" => {
            "M6 8a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zm-4 5.5c0-2.5 1.8-4 4-4s4 1.5 4 4M11 8a2 2 0 0 0 0-4M12 9.7c1.3.5 2 1.7 2 3.8"
        }
        "settings" => "M2 4.5h7M12 4.5h2M2 11.5h2M7 11.5h7M10.5 6.5v-4M5.5 13.5v-4",
        "copy" => "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
        "plus" => "M8 2.5v11M2.5 8h11",
        "search" => "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zm3.6-1.4L14 14",
        "key" => "M5.5 11a3 3 0 1 1 2.6-4.5H14v2.5h-1.5V11H10V9H8.2A3 3 0 0 1 5.5 11z",
        "alert" => "M8 2 14.5 13.5h-13zM8 6.5v3M8 11.6h.01",
        "menu" => "M2 4h12M2 8h12M2 12h12",
        _ => "M8 3v6M8 12.5h.01",
    };
    Markup(format!(
        "<svg class=\"icon\" viewBox=\"0 0 16 16\" aria-hidden=\"true\"><path d=\"{path}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_said_in_their_greatest_unit() {
        let now = Timestamp::from_millis(1_000_000_000_000);
        let ago = |seconds| relative(now.minus(Duration::from_secs(seconds)), now);
        assert_eq!(
            [ago(0), ago(5), ago(59), ago(60), ago(3_599), ago(3_600), ago(172_799), ago(172_800)],
            ["just now", "5 s ago", "59 s ago", "1 min ago", "59 min ago", "1 h ago", "47 h ago", "2 d ago"]
        );
        assert_eq!(relative(now.plus(Duration::from_secs(90)), now), "in 1 min");
    }

    #[test]
    fn what_a_stranger_chose_is_text_wherever_it_stands() {
        let hostile = "\"><script>alert(1)</script>'&";
        for markup in [copy(hostile, hostile), id(hostile), quiet(hostile), tinted(hostile, Tone::Bad)] {
            let html = markup.to_string();
            assert!(!html.contains("<script"), "{html}");
            assert!(!html.contains(hostile), "{html}");
        }
        assert_eq!(escape(hostile), "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&#39;&amp;");
    }

    #[test]
    fn bytes_are_said_in_their_greatest_unit() {
        assert_eq!(
            [bytes(0), bytes(1023), bytes(1024), bytes(1536 * 1024)],
            ["0 B", "1023 B", "1.0 KiB", "1.5 MiB"]
        );
    }
}
