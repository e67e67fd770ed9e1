//! `/events`: what happened, newest first, every filter in the address; and one event with everything it tells.

use askama::Template;
use http::StatusCode;
use muster_wire::event::{Event, EventKind};
use muster_wire::happening::Happening;
use muster_wire::page::Page;
use muster_wire::permission::Permission;

use crate::markup::Markup;
use crate::path::Named;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::shell::Shell;
use crate::telling::{KindGroup, Names, Told, label};
use crate::visit::{Answered, Visit};

const FILTERS: &[&str] = &["kind", "host_id", "subject", "cursor", "limit"];
const NARROWING: &[&str] = &["kind", "host_id", "subject"];
/// Most kinds one filter names.
const MOST_KINDS: usize = 64;

#[derive(Template)]
#[template(path = "events.html")]
pub(crate) struct EventsPage {
    shell: Shell,
    query: Query,
    path: String,
    rows: Vec<Told>,
    groups: Vec<KindGroup>,
    /// The host the list is about.
    host: Option<Markup>,
    refusal: Option<Refusal>,
    next: Option<String>,
    first: Option<String>,
    is_narrowed: bool,
    shows_webhooks: bool,
}

#[derive(Template)]
#[template(path = "event.html")]
pub(crate) struct EventPage {
    shell: Shell,
    kind: String,
    means: &'static str,
    actor: Markup,
    subject: Markup,
    host: String,
    payload: String,
    told: Told,
}

/// `GET /events`
pub(crate) async fn list(visit: Visit) -> Answered {
    let path = visit.query.only(FILTERS).and("order", "desc").on("/v1/events");
    let (events, kinds) = tokio::join!(
        visit.api.get::<Page<Event>>(&path),
        visit.api.get::<Page<EventKind>>("/v1/event-kinds"),
    );
    let kinds = kinds?;
    let (events, refusal) = match events {
        Ok(events) => (events, None),
        Err(refusal) if refusal.status == StatusCode::BAD_REQUEST => {
            (Page { items: Vec::new(), next_cursor: None }, Some(refusal))
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let names = Names::of_events(&visit, &events.items).await?;
    let page = EventsPage {
        refusal,
        shows_webhooks: visit.may(Permission::ManageEndpoints),
        ..EventsPage::new(visit.shell("Events"), visit.query.clone(), events, &names, kinds.items)
    };
    visit.page(&page)
}

/// `GET /events/{position}`
pub(crate) async fn get(visit: Visit, Named(position): Named<u64>) -> Answered {
    let not_found = || Refusal::of(StatusCode::NOT_FOUND);
    let after = position.checked_sub(1).ok_or_else(not_found)?;
    let path = format!("/v1/events?after={after}&limit=1");
    let found: Page<Event> = visit.api.get(&path).await?;
    let event = found.items.into_iter().find(|event| event.position == position).ok_or_else(not_found)?;
    let names = Names::of_events(&visit, std::slice::from_ref(&event)).await?;
    visit.page(&EventPage::new(visit.shell("Event"), event, &names))
}

impl EventsPage {
    fn new(shell: Shell, query: Query, events: Page<Event>, names: &Names, kinds: Vec<EventKind>) -> Self {
        let kinds = kinds.into_iter().map(|kind| (kind.kind, kind.says));
        Self {
            rows: events.items.into_iter().map(|event| Told::new(event, names)).collect(),
            groups: KindGroup::of(kinds, MOST_KINDS),
            host: query.get("host_id").map(|id| Markup::of_escaped(names.link("host.", id))),
            refusal: None,
            next: events.next_cursor.map(|cursor| query.with("cursor", &cursor).on("/events")),
            first: query.get("cursor").map(|_| query.without("cursor").on("/events")),
            is_narrowed: query.has_any(NARROWING),
            shows_webhooks: false,
            path: query.on("/events"),
            shell,
            query,
        }
    }
}

impl EventPage {
    fn new(shell: Shell, event: Event, names: &Names) -> Self {
        let link = |kind: &str, id: &str| Markup::of_escaped(names.link(kind, id));
        Self {
            shell,
            kind: label(&event.kind),
            means: Happening::of_word(&event.kind).map_or("", Happening::says),
            actor: link("", &event.actor),
            subject: link(&event.kind, &event.subject),
            host: event.host_id.map(|id| names.name("host.", &id.to_string())).unwrap_or_default(),
            payload: serde_json::to_string_pretty(&event.payload).unwrap_or_default(),
            told: Told::new(event, names),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, HOST};
    use crate::telling;

    fn kinds() -> Vec<EventKind> {
        let told = Happening::ALL.iter().filter(|kind| kind.is_told());
        told.map(|kind| EventKind { kind: kind.as_str().to_owned(), says: kind.says().to_owned() }).collect()
    }

    fn page(query: &str, items: Vec<Event>) -> EventsPage {
        let events = Page { items, next_cursor: Some("older".to_owned()) };
        EventsPage::new(
            Shell::sample("Events", "/events"),
            Query::parse(query),
            events,
            &Names::sample(),
            kinds(),
        )
    }

    impl EventsPage {
        pub(crate) fn sample() -> Self {
            Self {
                shows_webhooks: true,
                ..page(&format!("kind=host.back&host_id={HOST}"), telling::tests::events())
            }
        }
    }

    impl EventPage {
        pub(crate) fn sample() -> Self {
            let event = telling::tests::events().pop().expect("there are samples");
            Self::new(Shell::sample("Event", "/events/600"), event, &Names::sample())
        }
    }

    #[test]
    fn what_happened() {
        samples::check("events", &EventsPage::sample());
        samples::check("event", &EventPage::sample());
    }

    #[test]
    fn only_the_newest_events_are_live() {
        assert!(page("", telling::tests::events()).render().unwrap().contains("data-live=\""));
        let older = page("cursor=x", telling::tests::events()).render().unwrap();
        assert!(!older.contains("data-live=\"") && older.contains("href=\"/events\">First page"));
    }

    #[test]
    fn an_empty_list_says_what_to_do() {
        assert!(page("", Vec::new()).render().unwrap().contains("/hosts/add"));
        assert!(page("kind=host.back", Vec::new()).render().unwrap().contains("No event is like this"));
        let refused = EventsPage {
            refusal: Some(Refusal::of(StatusCode::BAD_REQUEST)),
            ..page("host_id=x", Vec::new())
        };
        assert!(refused.render().unwrap().contains("role=\"alert\""));
    }
}
