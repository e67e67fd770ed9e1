//! `/tickets/{ticket_id}/leak`: what a leaked ticket admitted, shown before it is suspended.

use std::time::Duration;

use askama::Template;
use muster_ids::{TicketId, Timestamp};
use muster_wire::leak::{LeakPreview, LeakReported};
use muster_wire::ticket::Ticket;
use serde_json::{Value, json};

use super::title;
use crate::form::Form;
use crate::path::Named;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

/// Since when, as a person says it: the word in the address, seconds, what is read.
const SPANS: &[(&str, u64, &str)] = &[
    ("1h", 3_600, "an hour ago"),
    ("1d", 86_400, "a day ago"),
    ("7d", 604_800, "7 days ago"),
    ("30d", 2_592_000, "30 days ago"),
];

#[derive(Template)]
#[template(path = "tickets_leak.html")]
pub(crate) struct LeakPage {
    shell: Shell,
    ticket: Ticket,
    preview: LeakPreview,
    /// The word of the span that was chosen; empty for everything.
    since: String,
    refusal: Option<String>,
    next: Option<String>,
    first: Option<String>,
}

#[derive(Template)]
#[template(path = "tickets_leaked.html")]
pub(crate) struct LeakedPage {
    shell: Shell,
    reported: LeakReported,
}

/// `GET /tickets/{ticket_id}/leak`
pub(crate) async fn get(visit: Visit, Named(id): Named<TicketId>) -> Answered {
    let since = visit.query.text("since").to_owned();
    // A page of the list goes on from the very moment its first page began.
    let from = visit.query.get("from").and_then(|at| at.parse().ok());
    let from = from.or_else(|| begin(&since, visit.now));
    let cursor = visit.query.get("cursor").map(str::to_owned);
    page(&visit, id, Asked { since, from, cursor }, None).await
}

/// `POST /tickets/{ticket_id}/leak`
pub(crate) async fn create(visit: Visit, Named(id): Named<TicketId>, form: Form) -> Answered {
    match visit.api.post(&format!("/v1/tickets/{id}/leak"), &request(&form)).await {
        Ok(reported) => visit.page(&LeakedPage { shell: visit.shell("A ticket leaked"), reported }),
        Err(refusal) if refusal.is_of_form() => {
            let from = form.text("from").and_then(|at| at.parse().ok());
            page(&visit, id, Asked { since: form.raw("since").to_owned(), from, cursor: None }, Some(refusal))
                .await
        }
        Err(refusal) => Err(refusal.into()),
    }
}

fn request(form: &Form) -> Value {
    let mut request = json!({ "preview": form.raw("preview"), "suspend": form.raw("suspend") == "yes" });
    if let Some(since) = form.text("from") {
        request["since"] = since.into();
    }
    request
}

fn begin(word: &str, now: Timestamp) -> Option<Timestamp> {
    let (_, seconds, _) = SPANS.iter().find(|(known, _, _)| *known == word)?;
    Some(now.minus(Duration::from_secs(*seconds)))
}

/// Which part of what the ticket admitted is looked at.
struct Asked {
    since: String,
    from: Option<Timestamp>,
    cursor: Option<String>,
}

async fn page(visit: &Visit, id: TicketId, asked: Asked, refusal: Option<Refusal>) -> Answered {
    let mut wanted = json!({ "limit": 50 });
    if let Some(from) = asked.from {
        wanted["since"] = json!(from);
    }
    if let Some(cursor) = &asked.cursor {
        wanted["cursor"] = cursor.as_str().into();
    }
    let paths = [format!("/v1/tickets/{id}"), format!("/v1/tickets/{id}/leak/preview")];
    let (ticket, preview) =
        tokio::join!(visit.api.get::<Ticket>(&paths[0]), visit.api.post::<LeakPreview>(&paths[1], &wanted));
    let ticket = ticket?;
    let preview = preview?;
    let says = refusal.as_ref().map(says);
    visit.page(&LeakPage::new(
        visit.shell("A ticket leaked"),
        ticket,
        preview,
        (asked.since, asked.cursor),
        says,
    ))
}

fn says(refusal: &Refusal) -> String {
    if refusal.code() == "preview_stale" {
        "Something changed since you looked, so no host was suspended. The ticket is revoked nevertheless. Look \
         again, then suspend."
            .to_owned()
    } else {
        refusal.says()
    }
}

impl LeakPage {
    fn new(
        shell: Shell,
        ticket: Ticket,
        preview: LeakPreview,
        (since, cursor): (String, Option<String>),
        refusal: Option<String>,
    ) -> Self {
        let query = Query::default().with("since", &since);
        let query = preview.since.iter().fold(query, |query, from| query.with("from", &from.to_string()));
        let query = cursor.iter().fold(query, |query, cursor| query.with("cursor", cursor));
        let path = format!("/tickets/{}/leak", ticket.id);
        let (next, first) = query.ways(&path, preview.hosts.next_cursor.as_deref());
        Self { shell, ticket, preview, since, refusal, next, first }
    }

    fn title(&self) -> String {
        title(&self.ticket)
    }

    fn spans(&self) -> &'static [(&'static str, u64, &'static str)] {
        SPANS
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{KEY, ticket};
    use super::*;
    use crate::samples;

    fn page(admitted: u64) -> LeakPage {
        let hosts = json!([{
            "host_id": samples::HOST, "name": samples::HOSTILE, "state": "active", "key": null,
            "admitted_at": samples::ago(4_000), "last_seen_at": samples::ago(30), "secrets": ["repo"],
        }]);
        let preview = samples::of(json!({
            "ticket_id": KEY, "since": samples::ago(86_400), "admitted": admitted, "active": admitted,
            "waiting_claims": 1, "preview": "p1",
            "hosts": { "items": if admitted == 0 { json!([]) } else { hosts }, "next_cursor": if admitted > 1 { json!("next") } else { json!(null) } },
        }));
        let shell = Shell::sample("A ticket leaked", "/tickets/8mBQFVraP1gr/leak");
        LeakPage::new(shell, ticket("site_key", "open"), preview, ("1d".to_owned(), None), None)
    }

    #[test]
    fn what_a_leaked_ticket_admitted() {
        samples::check("tickets_leak", &page(3));
    }

    #[test]
    fn what_was_done_about_it() {
        let reported = LeakReported { ticket: ticket("site_key", "revoked"), suspended: 2, remaining: 1 };
        samples::check(
            "tickets_leaked",
            &LeakedPage { shell: Shell::sample("A ticket leaked", "/tickets"), reported },
        );
    }

    #[test]
    fn a_ticket_that_admitted_nobody_is_only_revoked() {
        let html = page(0).render().unwrap();
        assert!(html.contains("admitted nobody"));
        assert!(!html.contains("value=\"yes\""));
    }

    #[test]
    fn what_was_seen_is_what_is_done() {
        let form = Form::of(&[("preview", "p1"), ("from", "2026-01-31T12:00:00Z"), ("suspend", "yes")]);
        assert_eq!(
            request(&form),
            json!({ "preview": "p1", "suspend": true, "since": "2026-01-31T12:00:00Z" })
        );
        assert_eq!(request(&Form::of(&[("preview", "p1")])), json!({ "preview": "p1", "suspend": false }));
        assert_eq!(begin("1d", samples::NOW), Some(samples::ago(86_400)));
        assert_eq!(begin("", samples::NOW), None);
    }
}
