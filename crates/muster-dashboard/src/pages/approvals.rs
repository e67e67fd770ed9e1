//! `/approvals`: machines that wait for a person, each with what the decision rests on.

pub(crate) mod card;
pub(crate) mod decide;
mod news;
pub(crate) mod one;
mod versus;

use askama::Template;
use muster_ids::ClaimId;
use muster_wire::claim::{Claim, ClaimReason, ClaimState, Verdict};
use muster_wire::page::Page;
use muster_wire::permission::Permission;

use crate::pages::tickets::{Names, Tab};
use crate::query::Query;
use crate::refusal::Refusal;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};
use crate::words;
use card::{Card, Deciders};
use news::News;

/// Parameters of the page that the list of the API takes.
const FILTERS: &[&str] = &["state", "site_id", "reason", "host_id", "cursor"];
/// Filters without which every waiting claim is shown.
const NARROWING: &[&str] = &["site_id", "reason", "host_id"];
/// Cards of one page: each holds a table.
const LIMIT: &str = "20";
/// In the address: every claim, whatever its state.
const ANY: &str = "any";

/// What each tab shows: the state of the API, and its word.
const TABS: &[(&str, &str)] = &[
    ("waiting", "Waiting"),
    ("new", "New hosts"),
    ("replaced", "Replaced"),
    ("moved", "Moved"),
    ("rejected", "Rejected"),
    ("expired", "Expired"),
    ("closed", "Closed"),
    (ANY, "All"),
];

const REASONS: &[(&str, ClaimReason)] = &[
    ("collision", ClaimReason::Collision),
    ("reimage", ClaimReason::Reimage),
    ("uid_taken", ClaimReason::UidTaken),
    ("retired", ClaimReason::Retired),
    ("approval", ClaimReason::Approval),
    ("surge", ClaimReason::Surge),
    ("site_conflict", ClaimReason::SiteConflict),
    ("clone", ClaimReason::Clone),
];

#[derive(Template)]
#[template(path = "approvals.html")]
pub(crate) struct ApprovalsPage {
    shell: Shell,
    query: Query,
    cards: Vec<Card>,
    tabs: Vec<Tab>,
    sites: Vec<(String, String)>,
    /// What was decided just now.
    done: Option<Card>,
    /// What changed since the page was made.
    news: News,
    may_decide: bool,
    may_give_secrets: bool,
    next: Option<String>,
    first: Option<String>,
}

/// `GET /approvals`
pub(crate) async fn list(visit: Visit) -> Answered {
    let page = ApprovalsPage::load(&visit).await?;
    visit.page(&page)
}

/// Returns the list of the API that a query of the page asks for.
fn path(query: &Query) -> String {
    let asked = query.only(FILTERS);
    let asked = match query.text("state") {
        "" => asked.with("state", "waiting"),
        ANY => asked.without("state"),
        _ => asked,
    };
    let cursor = query.get("cursor").map(str::to_owned);
    let asked = asked.with("limit", LIMIT);
    cursor.iter().fold(asked, |asked, cursor| asked.with("cursor", cursor)).on("/v1/claims")
}

impl ApprovalsPage {
    async fn load(visit: &Visit) -> Result<Self, Refusal> {
        let list: Page<Claim> = visit.api.get(&path(&visit.query)).await?;
        let claims = list.items;
        let news = News::of(visit, &claims).await?;
        let done = match visit.query.get("done").and_then(|id| id.parse::<ClaimId>().ok()) {
            Some(id) => visit.api.get_if_shown::<Claim>(&format!("/v1/claims/{id}")).await?,
            None => None,
        };
        let hosts = claims.iter().chain(&done).chain(&news.gone).filter_map(|claim| claim.result_host_id);
        let names = Names::of(visit, hosts).await?;
        let deciders = Deciders::of(visit, &claims).await?;
        let card = |claim| Card::new(claim, &names, &deciders, visit);
        let cards = claims.into_iter().map(card).collect();
        let done = done.map(card);
        let mut page = Self::new(visit.shell("Approvals"), visit.query.clone(), cards, &names);
        page.done = done;
        page.news = news;
        page.may_decide = visit.may(Permission::DecideClaims);
        page.may_give_secrets = visit.may(Permission::ManageSecrets);
        (page.next, page.first) = page.query_here().ways("/approvals", list.next_cursor.as_deref());
        Ok(page)
    }

    fn new(shell: Shell, query: Query, cards: Vec<Card>, names: &Names) -> Self {
        let chosen = if query.text("state").is_empty() { "waiting" } else { query.text("state") };
        let here = query.without("seen").without("done").without("cursor");
        let tab = |(value, label): &(&str, &'static str)| Tab {
            label,
            href: here.with("state", value).on("/approvals"),
            is_current: chosen == *value,
        };
        let tabs = TABS.iter().map(tab).collect();
        let mut sites: Vec<_> = names.sites.iter().map(|(id, name)| (name.clone(), id.to_string())).collect();
        sites.sort();
        Self {
            tabs,
            sites,
            cards,
            query,
            shell,
            done: None,
            news: News::default(),
            may_decide: true,
            may_give_secrets: true,
            next: None,
            first: None,
        }
    }

    fn query_here(&self) -> Query {
        self.query.without("seen").without("done")
    }

    /// Where a decision comes back to.
    fn back(&self) -> String {
        self.query_here().on("/approvals")
    }

    /// Where the live part is fetched from: it names what is on the page, and is told what is not so any more.
    fn live_path(&self) -> String {
        let cursor = self.query.get("cursor").map(str::to_owned);
        let seen = match self.query.get("seen") {
            Some(seen) => seen.to_owned(),
            None => news::seen(self.cards.iter().map(|card| &card.claim)),
        };
        let query = self.query_here().with("seen", &seen);
        cursor.iter().fold(query, |query, cursor| query.with("cursor", cursor)).on("/approvals")
    }

    /// Whether this shows everything there is, and there is nothing.
    fn is_empty(&self) -> bool {
        self.cards.is_empty() && self.news.is_none()
    }

    fn is_of_waiting(&self) -> bool {
        matches!(self.query.text("state"), "" | "waiting")
    }

    fn is_narrowed(&self) -> bool {
        self.query.has_any(NARROWING)
    }

    fn reasons(&self) -> Vec<(&'static str, &'static str)> {
        REASONS.iter().map(|(value, reason)| (*value, words::claim_reason(*reason))).collect()
    }

    /// What may be decided of at least one claim on this page.
    fn verdicts(&self) -> Vec<Verdict> {
        let all = [Verdict::New, Verdict::Replace, Verdict::Move, Verdict::Reject];
        all.into_iter().filter(|verdict| self.cards.iter().any(|card| card.offers(*verdict))).collect()
    }

    /// Whether a machine that takes over a host may receive its secrets.
    fn may_hand_over(&self) -> bool {
        self.may_give_secrets && self.cards.iter().any(|card| card.secrets().is_some())
    }

    fn is_deciding(&self) -> bool {
        self.may_decide && self.cards.iter().filter(|card| card.is_waiting()).count() > 1
    }
}

/// Says what came of a claim, as the end of a sentence about its machine.
pub(crate) fn outcome(state: ClaimState) -> &'static str {
    match state {
        ClaimState::Waiting => "waits for a decision",
        ClaimState::Replaced => "took over the host",
        ClaimState::Moved => "took over the host, which moved here",
        ClaimState::New => "became a host of its own",
        ClaimState::Rejected => "was rejected",
        ClaimState::Expired => "waited too long: nobody decided in time",
        ClaimState::Closed => {
            "waits no more: its rejection was cleared, its ticket was revoked, or its ground fell away"
        }
    }
}

/// The word of a verdict on the wire.
pub(crate) const fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Replace => "replace",
        Verdict::Move => "move",
        Verdict::New => "new",
        Verdict::Reject => "reject",
    }
}

/// Names a verdict for several claims.
pub(crate) const fn verdict_for_many(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Replace => "Replace their hosts",
        Verdict::Move => "Replace and move here",
        Verdict::New => "Admit as new hosts",
        Verdict::Reject => "Reject",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::pages::tickets;
    use crate::samples;

    #[expect(clippy::needless_pass_by_value, reason = "tests write the JSON in place")]
    fn claim(id: &str, reason: &str, verdicts: Value) -> Value {
        json!({
            "id": id, "site_id": samples::SITE, "reason": reason, "state": "waiting", "verdicts": verdicts,
            "machine": {
                "hostname": "web-01-twin", "machine_uid": "smbios:0123456789abcdef0123456789abcdef",
                "key": "jkt:tzzZopn9NQ_nbdNIggdOCq2-44LxqwVFaQ04CdDDnLQ",
                "facts": { "os": "Debian GNU/Linux 13", "arch": "x86_64", "cpu_cores": 8, "memory_mb": 32_768,
                           "disk_gb": 160, "address": "192.0.2.18", "versions": { "agent": "0.1.0" } },
                "labels": { "company": samples::HOSTILE }, "source_address": "198.51.100.7",
                "ticket_id": tickets::tests::KEY, "former_key": null,
            },
            "contested": null, "differences": [], "sighting": null, "evidence_version": "v1",
            "created_at": samples::ago(240),
            "expires_at": samples::NOW.plus(std::time::Duration::from_secs(600_000)),
            "decided_at": null, "result_host_id": null,
        })
    }

    /// Two machines at once, one of them with hostile words.
    pub(crate) fn collision() -> Claim {
        let mut json = claim(samples::CLAIM, "collision", json!(["replace", "new", "reject"]));
        json["contested"] = json!({
            "id": samples::HOST, "name": samples::HOSTILE, "state": "active", "presence": "online",
            "last_seen_at": samples::ago(12), "hostname": "web-01", "site_id": samples::SITE,
            "keys": ["jkt:AAAZopn9NQ_nbdNIggdOCq2-44LxqwVFaQ04CdDDnLQ"], "secrets": ["repo"],
        });
        json["differences"] = json!([
            { "fact": "hostname", "host": "web-01", "machine": "web-01-twin" },
            { "fact": "os", "host": "Debian GNU/Linux 12", "machine": "Debian GNU/Linux 13" },
            { "fact": "memory_mb", "host": "16384", "machine": "32768" },
            { "fact": "address", "host": "192.0.2.17", "machine": "192.0.2.18" },
        ]);
        samples::of(json)
    }

    /// A machine nobody knows, at a site that asks a person.
    pub(crate) fn newcomer() -> Claim {
        let id = "claim_01890a5dac96774bbcceb302099a8015";
        samples::of(claim(id, "approval", json!(["new", "reject"])))
    }

    /// A copy that was found out, and rejected.
    pub(crate) fn copy() -> Claim {
        let mut json = serde_json::to_value(collision()).unwrap();
        json["id"] = "claim_01890a5dac96774bbcceb302099a8016".into();
        json["reason"] = "clone".into();
        json["state"] = "rejected".into();
        json["verdicts"] = json!([]);
        json["decided_at"] = json!(samples::ago(30));
        json["machine"]["ticket_id"] = json!(null);
        json["sighting"] = json!({
            "cause": "fenced", "consequence": "works_on", "shown": { "epoch": 1, "counter": 12 },
            "known": { "epoch": 1, "counter": 40 }, "boot_id": "b2", "holder_boot_id": "b1",
            "source": "198.51.100.7", "holder_source": "192.0.2.17", "holder_connected": true,
            "holder_seen_at": samples::ago(300), "at": samples::ago(240),
        });
        samples::of(json)
    }

    impl ApprovalsPage {
        pub(crate) fn sample() -> Self {
            let cards = vec![Card::sample(collision()), Card::sample(newcomer()), Card::sample(copy())];
            let shell = Shell::sample("Approvals", "/approvals");
            Self::new(shell, Query::parse(""), cards, &tickets::tests::names())
        }
    }

    #[test]
    fn the_claims_that_wait() {
        samples::check("approvals", &ApprovalsPage::sample());
    }

    #[test]
    fn nothing_to_decide_says_so() {
        let page = |query| {
            let shell = Shell::sample("Approvals", "/approvals");
            ApprovalsPage::new(shell, Query::parse(query), Vec::new(), &Names::default()).render().unwrap()
        };
        assert!(page("").contains("Nobody waits for you"));
        assert!(page("reason=clone").contains("Show all that wait"));
        assert!(page("state=rejected").contains("No claim stands here"));
    }

    #[test]
    fn the_live_part_names_what_is_on_the_page_and_no_card_is_in_it() {
        let page = ApprovalsPage::sample();
        let live = page.live_path();
        assert!(live.starts_with("/approvals?seen=claim_01890a5dac96774bbcceb302099a8005%3Av1%2C"), "{live}");
        let mut page = ApprovalsPage { cards: Vec::new(), ..ApprovalsPage::sample() };
        assert!(page.live_path().ends_with("seen=nothing"));
        page.news = News { fresh: 2, gone: vec![copy()], changed: vec![collision()] };
        let html = page.render().unwrap();
        assert!(
            html.contains("2 more wait")
                && html.contains("What is known changed")
                && html.contains("was rejected")
        );
    }

    #[test]
    fn the_page_asks_for_what_waits_unless_told_otherwise() {
        assert_eq!(path(&Query::parse("")), "/v1/claims?state=waiting&limit=20");
        assert_eq!(path(&Query::parse("state=any&seen=x&done=y")), "/v1/claims?limit=20");
        assert_eq!(path(&Query::parse("state=new&cursor=c")), "/v1/claims?state=new&limit=20&cursor=c");
    }
}
