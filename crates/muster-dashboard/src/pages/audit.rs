//! `/audit`: who did what, newest first, every filter in the address; the download of it; whether the chain holds.

mod verify;

use std::collections::BTreeSet;

use askama::Template;
use http::StatusCode;
use muster_wire::audit::AuditEntry;
use muster_wire::happening::Happening;
use muster_wire::page::Page;
use muster_wire::people::Person;
use muster_wire::permission::Permission;

pub(crate) use self::verify::get as verify;
use crate::markup::{self, Markup};
use crate::query::Query;
use crate::refusal::Refusal;
use crate::shell::Shell;
use crate::telling::{KindGroup, Names, label};
use crate::visit::{Answered, Visit};
use crate::words::Tone;

const NARROWING: &[&str] = &["action", "actor", "target", "host_id", "outcome", "since", "until"];
const LIST: &[&str] =
    &["action", "actor", "target", "host_id", "outcome", "since", "until", "order", "limit", "cursor"];
const EXPORT: &[&str] = &["action", "actor", "target", "host_id", "outcome", "since", "until", "all_teams"];
/// Most actions one filter names.
const MOST_ACTIONS: usize = 8;

#[derive(Template)]
#[template(path = "audit.html")]
pub(crate) struct AuditPage {
    shell: Shell,
    query: Query,
    rows: Vec<Row>,
    groups: Vec<KindGroup>,
    people: Vec<Person>,
    refusal: Option<Refusal>,
    next: Option<String>,
    first: Option<String>,
    is_narrowed: bool,
    /// Whether this person verifies the chain and sees all teams.
    manages: bool,
}

/// An entry as people read it.
pub(crate) struct Row {
    entry: AuditEntry,
    what: String,
    means: &'static str,
    actor: Markup,
    target: Markup,
    outcome: Markup,
    details: String,
}

/// `GET /audit`
pub(crate) async fn list(visit: Visit) -> Answered {
    let order = if visit.query.is("order", "asc") { "asc" } else { "desc" };
    let path = asked(&visit.query).only(LIST).and("order", order).on("/v1/audit");
    let (entries, people) = tokio::join!(visit.api.get::<Page<AuditEntry>>(&path), people(&visit));
    let people = people?;
    let (entries, refusal) = match entries {
        Ok(entries) => (entries, None),
        Err(refusal) if refusal.status == StatusCode::BAD_REQUEST => {
            (Page { items: Vec::new(), next_cursor: None }, Some(refusal))
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let ids = entries.items.iter().flat_map(|entry| [entry.actor.clone(), entry.target.clone()]);
    let ids: BTreeSet<String> = ids.collect();
    let names = Names::of(&visit, &ids).await?;
    let page = AuditPage {
        refusal,
        people,
        manages: visit.may(Permission::ManageAudit),
        ..AuditPage::new(visit.shell("Audit"), visit.query.clone(), entries, &names)
    };
    visit.page(&page)
}

/// `GET /audit/export`
pub(crate) async fn export(visit: Visit) -> Answered {
    let path = asked(&visit.query).only(EXPORT).on("/v1/audit/export");
    Ok(visit.api.download(&path).await?)
}

async fn people(visit: &Visit) -> Result<Vec<Person>, Refusal> {
    if !visit.may(Permission::SeePeople) {
        return Ok(Vec::new());
    }
    let people: Page<Person> = visit.api.get("/v1/people?limit=200").await?;
    Ok(people.items)
}

/// Returns the query as the API asks it: a browser's moments are without a zone, and mean UTC here.
fn asked(query: &Query) -> Query {
    let mut asked = query.clone();
    for name in ["since", "until"] {
        let moment = match query.text(name) {
            text if text.len() == 10 => format!("{text}T00:00:00Z"),
            text if text.len() == 16 => format!("{text}:00Z"),
            text if text.len() == 19 => format!("{text}Z"),
            _ => continue,
        };
        asked = asked.and(name, &moment);
    }
    asked
}

impl AuditPage {
    fn new(shell: Shell, query: Query, entries: Page<AuditEntry>, names: &Names) -> Self {
        let audited = Happening::ALL.iter().filter(|kind| kind.is_audited());
        let kinds = audited.map(|kind| (kind.as_str().to_owned(), kind.says().to_owned()));
        Self {
            rows: entries.items.into_iter().map(|entry| Row::new(entry, names)).collect(),
            groups: KindGroup::of(kinds, MOST_ACTIONS),
            people: Vec::new(),
            refusal: None,
            next: entries.next_cursor.map(|cursor| query.and("cursor", &cursor).on("/audit")),
            first: query.get("cursor").map(|_| query.without("cursor").on("/audit")),
            is_narrowed: query.has_any(NARROWING),
            manages: false,
            shell,
            query,
        }
    }

    /// Whether one of the filters is said that stand below the first ones.
    fn has_more_filters(&self) -> bool {
        self.query.has_any(&["target", "host_id", "outcome", "since", "until", "order"])
    }

    fn error(&self, name: &str) -> Option<String> {
        self.refusal.as_ref()?.of_field(name)
    }

    /// The filters that the download has too.
    fn carried(&self) -> Vec<(&'static str, String)> {
        let carried = NARROWING.iter().filter_map(|name| Some((*name, self.query.get(name)?.to_owned())));
        carried.collect()
    }

    /// Whether the actor that is asked for is in the list of people.
    fn knows_actor(&self) -> bool {
        let actor = self.query.text("actor");
        actor.is_empty()
            || actor == "system"
            || self.people.iter().any(|person| person.id.to_string() == actor)
    }
}

impl Row {
    fn new(entry: AuditEntry, names: &Names) -> Self {
        let what = Happening::of_word(&entry.action);
        let tone = if entry.outcome == "ok" { Tone::Good } else { Tone::Bad };
        let outcome = if entry.outcome == "ok" { "done".to_owned() } else { label(&entry.outcome) };
        Self {
            what: label(&entry.action),
            means: what.map_or("", Happening::says),
            actor: Markup::of_escaped(names.link("", &entry.actor)),
            target: Markup::of_escaped(names.link(&entry.action, &entry.target)),
            outcome: markup::tinted(&outcome, tone),
            details: serde_json::to_string_pretty(&entry.details).unwrap_or_default(),
            entry,
        }
    }

    fn has_details(&self) -> bool {
        !self.entry.details.is_null() && self.details != "{}"
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::samples::{self, HOST, HOSTILE, SITE, TEAM, ago};

    fn entries() -> Vec<AuditEntry> {
        let entry = |position: u64, action: &str, actor: &str, target: &str, outcome: &str, details| {
            samples::of(json!({
                "id": "audit_01890a5dac96774bbcceb302099a8020", "team_id": TEAM, "position": position,
                "at": ago((500 - position) * 60), "actor": actor, "role": if actor.starts_with("user") { Some("owner") } else { None },
                "source": "192.0.2.4", "action": action, "target": target,
                "host_id": if target == HOST { Some(HOST) } else { None }, "outcome": outcome,
                "changed": ["policy"], "details": details,
            }))
        };
        vec![
            entry(
                499,
                "site.policy_set",
                "user_01890a5dac96774bbcceb302099a8006",
                SITE,
                "ok",
                json!({ "policy": {} }),
            ),
            entry(
                498,
                "login.failed",
                "system",
                HOSTILE,
                "refused",
                json!({ "count": 4, "source": HOSTILE }),
            ),
            entry(490, "host.enrolled", "jkt:abcdefghijklmnop", HOST, "ok", json!({ "disposition": "new" })),
        ]
    }

    fn page(query: &str, items: Vec<AuditEntry>) -> AuditPage {
        let entries = Page { items, next_cursor: Some("older".to_owned()) };
        AuditPage::new(Shell::sample("Audit", "/audit"), Query::parse(query), entries, &Names::sample())
    }

    impl AuditPage {
        pub(crate) fn sample() -> Self {
            let person = samples::of(json!({
                "id": "user_01890a5dac96774bbcceb302099a8006", "team_id": TEAM, "name": HOSTILE, "role": "owner",
                "login": "ada", "has_second_factor": true, "created_at": ago(900_000), "signed_in_at": ago(60), "removed_at": null,
            }));
            let query = "outcome=ok&since=2026-11-01T08:00&action=login.failed";
            Self { people: vec![person], manages: true, ..page(query, entries()) }
        }
    }

    #[test]
    fn who_did_what() {
        samples::check("audit", &AuditPage::sample());
    }

    #[test]
    fn a_moment_without_a_zone_is_utc() {
        let query = Query::parse("since=2026-11-01T08:00&until=2026-11-02&cursor=x");
        let asked = asked(&query).only(LIST).on("/v1/audit");
        assert_eq!(asked, "/v1/audit?cursor=x&since=2026-11-01T08%3A00%3A00Z&until=2026-11-02T00%3A00%3A00Z");
    }

    #[test]
    fn an_empty_list_says_what_to_do_and_only_who_manages_it_verifies() {
        let html = page("actor=system", Vec::new()).render().unwrap();
        assert!(html.contains("Show everything") && !html.contains("/audit/verify"));
        assert!(html.contains("role=\"note\"") || html.contains("admin"));
        assert!(page("actor=host_1", Vec::new()).render().unwrap().contains("value=\"host_1\""));
    }
}
