//! `/hosts/{host_id}/activity`: everything that happened to a host, newest first.

use askama::Template;
use muster_ids::{HostId, Timestamp};
use muster_wire::audit::AuditEntry;
use muster_wire::event::Event;
use muster_wire::happening::Happening;
use muster_wire::page::Page;

use super::frame::{self, Frame, Tab};
use crate::markup::{self, Markup};
use crate::path::Named;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::shell::Shell;
use crate::telling::{Names, Told, family};
use crate::visit::{Answered, Visit};
use crate::words::{self, Tone};

#[derive(Template)]
#[template(path = "host_activity.html")]
pub(crate) struct ActivityPage {
    shell: Shell,
    frame: Frame,
    source: Source,
    entries: Vec<Entry>,
    next: Option<String>,
    first: Option<String>,
}

/// What is told: events, or the audit trail, which also says who was refused and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Events,
    Audit,
    /// Neither may be read.
    Nothing,
}

/// One thing that happened.
pub(crate) struct Entry {
    at: Timestamp,
    says: Markup,
    mark: Markup,
    by: Markup,
    source: String,
    outcome: Option<String>,
    particulars: Vec<(String, String)>,
    ways: Vec<(String, &'static str)>,
}

/// `GET /hosts/{host_id}/activity`
pub(crate) async fn get(visit: Visit, Named(id): Named<HostId>) -> Answered {
    let frame = Frame::load(&visit, id, Tab::Activity).await?;
    let source = Source::chosen(&visit, &frame);
    let of_host = Query::parse(&format!("host_id={}&order=desc", frame.host.id));
    let page = visit.query.get("cursor").map_or(of_host.clone(), |cursor| of_host.with("cursor", cursor));
    let found = match source {
        Source::Events => events(&visit, &page.on("/v1/events"), frame.may.read_audit).await,
        Source::Audit => audited(&visit, &page.on("/v1/audit")).await,
        Source::Nothing => Ok((Vec::new(), None)),
    };
    let (entries, cursor) = found?;
    let shell = frame::shell(&visit, &frame);
    visit.page(&ActivityPage::new(
        shell,
        frame,
        source,
        entries,
        (visit.query.get("cursor").is_some(), cursor),
    ))
}

type Found = (Vec<Entry>, Option<String>);

async fn events(visit: &Visit, path: &str, reads_audit: bool) -> Result<Found, Refusal> {
    let page: Page<Event> = visit.api.get(path).await?;
    let names = Names::of_events(visit, &page.items).await?;
    let entries = page.items.into_iter().map(|event| Entry::event(event, &names, reads_audit));
    Ok((entries.collect(), page.next_cursor))
}

async fn audited(visit: &Visit, path: &str) -> Result<Found, Refusal> {
    let page: Page<AuditEntry> = visit.api.get(path).await?;
    let ids = page.items.iter().flat_map(|row| [row.actor.clone(), row.target.clone()]);
    let names = Names::of(visit, &ids.collect()).await?;
    Ok((page.items.into_iter().map(|row| Entry::audited(row, &names)).collect(), page.next_cursor))
}

impl Source {
    fn chosen(visit: &Visit, frame: &Frame) -> Self {
        match (frame.may.read_events, frame.may.read_audit) {
            (_, true) if visit.query.is("show", "audit") => Self::Audit,
            (true, _) => Self::Events,
            (false, true) => Self::Audit,
            (false, false) => Self::Nothing,
        }
    }
}

impl Entry {
    fn event(event: Event, names: &Names, reads_audit: bool) -> Self {
        let told = Told::new(event, names);
        let event = &told.event;
        let mut ways: Vec<(String, &'static str)> = told.next.clone().into_iter().collect();
        ways.push((format!("/events/{}", event.position), "all of it"));
        if reads_audit && Happening::of_word(&event.kind).is_some_and(Happening::is_audited) {
            let action =
                Query::default().with("host_id", &event.host_id.map(|id| id.to_string()).unwrap_or_default());
            ways.push((action.with("action", &event.kind).on("/audit"), "in the audit"));
        }
        Self {
            at: event.at,
            by: by(&event.actor, names),
            source: String::new(),
            outcome: None,
            particulars: words::fleet::particulars(&event.payload),
            says: told.says,
            mark: told.pill,
            ways,
        }
    }

    fn audited(row: AuditEntry, names: &Names) -> Self {
        let mut particulars = words::fleet::particulars(&row.details);
        if !row.changed.is_empty() {
            particulars.push(("changed".to_owned(), row.changed.join(", ")));
        }
        let is_ok = row.outcome == "ok";
        Self {
            at: row.at,
            says: Markup::of_escaped(markup::escape(&words::fleet::happening(&row.action))),
            mark: markup::tinted(family(&row.action).word, if is_ok { Tone::Quiet } else { Tone::Bad }),
            by: by(&row.actor, names),
            source: row.source,
            outcome: Some(row.outcome).filter(|_| !is_ok),
            particulars,
            ways: Vec::new(),
        }
    }
}

/// Names who did something.
fn by(actor: &str, names: &Names) -> Markup {
    match actor.split_once(['_', ':']).map(|(kind, _)| kind) {
        Some("host") => Markup::of_escaped("the host itself".to_owned()),
        Some("jkt") => Markup::of_escaped("a machine by its key".to_owned()),
        _ => Markup::of_escaped(names.link("", actor)),
    }
}

impl ActivityPage {
    fn new(
        shell: Shell,
        frame: Frame,
        source: Source,
        entries: Vec<Entry>,
        (is_later, cursor): (bool, Option<String>),
    ) -> Self {
        let list = Self::path(&frame, source);
        let joint = if source == Source::Audit { '&' } else { '?' };
        let next = cursor.map(|cursor| format!("{list}{joint}cursor={cursor}"));
        Self { shell, frame, source, entries, next, first: is_later.then_some(list) }
    }

    fn path(frame: &Frame, source: Source) -> String {
        frame.path(if source == Source::Audit { "/activity?show=audit" } else { "/activity" })
    }

    fn is_audit(&self) -> bool {
        self.source == Source::Audit
    }

    fn is_hidden(&self) -> bool {
        self.source == Source::Nothing
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::samples::{self, HOSTILE, ago, of};

    fn events() -> Vec<Entry> {
        let event = |kind: &str, seconds, actor: &str, payload| -> Event {
            of(json!({
                "position": 7, "id": "event_01890a5dac96774bbcceb302099a8008", "kind": kind, "at": ago(seconds),
                "subject": samples::JOB, "host_id": samples::HOST, "actor": actor, "payload": payload,
            }))
        };
        let events = [
            event("job.failed", 90, samples::HOST, json!({ "failure": HOSTILE })),
            event(
                "host.resumed",
                400,
                "user_01890a5dac96774bbcceb302099a8009",
                json!({ "was": "suspended" }),
            ),
            event("host.unreachable", 90_000, "system", json!({})),
        ];
        events.into_iter().map(|event| Entry::event(event, &Names::sample(), true)).collect()
    }

    fn page(source: Source, entries: Vec<Entry>) -> ActivityPage {
        let frame = Frame::sample(Tab::Activity);
        let shell = Shell::sample("web-01", &frame.path("/activity"));
        ActivityPage::new(shell, frame, source, entries, (false, Some("next".to_owned())))
    }

    #[test]
    fn the_activity_of_a_host() {
        samples::check("host_activity", &page(Source::Events, events()));
    }

    #[test]
    fn the_audit_trail_of_a_host_says_from_where_and_how_it_ended() {
        let row: AuditEntry = of(json!({
            "id": "audit_01890a5dac96774bbcceb302099a8008", "team_id": samples::TEAM, "position": 9, "at": ago(60),
            "actor": "user_01890a5dac96774bbcceb302099a8009", "role": "owner", "source": "192.0.2.7", "action": "host.tags_set",
            "target": samples::HOST, "host_id": samples::HOST, "outcome": "forbidden", "changed": ["tags"], "details": {},
        }));
        let html = page(Source::Audit, vec![Entry::audited(row, &Names::sample())]).render().unwrap();
        for text in ["192.0.2.7", "forbidden", "changed", "cursor=next"] {
            assert!(html.contains(text), "{text}");
        }
    }

    #[test]
    fn nothing_and_nothing_to_be_seen_are_two_things() {
        assert!(page(Source::Events, Vec::new()).render().unwrap().contains("Nothing happened yet"));
        assert!(page(Source::Nothing, Vec::new()).render().unwrap().contains("Your role does not show"));
    }
}
