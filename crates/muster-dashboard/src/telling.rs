//! What happened, in sentences that lead to what they are about: of events, wherever they are listed.

mod kinds;
mod names;

use muster_wire::claim::ClaimState;
use muster_wire::enroll::Disposition;
use muster_wire::event::Event;
use muster_wire::happening::Happening;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use self::kinds::{KindGroup, family, label};
pub(crate) use self::names::{Names, host_names};
use crate::markup::{self, Markup, escape};
use crate::words::{self, Tone, Worded};

/// An event as people read it.
pub(crate) struct Told {
    pub(crate) event: Event,
    /// What happened.
    pub(crate) says: Markup,
    /// What it is about, in a word, by how pressing it is.
    pub(crate) pill: Markup,
    /// Where to look, or what to do.
    pub(crate) next: Option<(String, &'static str)>,
}

impl Told {
    pub(crate) fn new(event: Event, names: &Names) -> Self {
        let what = Happening::of_word(&event.kind);
        let telling = Telling { event: &event, names };
        let says = match what {
            Some(what) => telling.of_hosts(what),
            None => format!("{} happened to {}.", escape(&event.kind), telling.subject()),
        };
        let tone = what.map_or(Tone::Quiet, tone);
        let pill = markup::tinted(family(&event.kind).word, tone);
        let next = what.and_then(|what| telling.next(what));
        Self { says: Markup::of_escaped(says), pill, next, event }
    }
}

/// How pressing it is.
fn tone(what: Happening) -> Tone {
    match what {
        Happening::HostEnrolled
        | Happening::HostBack
        | Happening::HostResumed
        | Happening::HostFreed
        | Happening::ClaimDecided
        | Happening::SecretDelivered
        | Happening::JobSucceeded => Tone::Good,
        Happening::HostUnreachable
        | Happening::SiteUnreachable
        | Happening::HostHeld
        | Happening::CloneSuspected
        | Happening::TicketLeaked
        | Happening::TicketSecondKey
        | Happening::KeyFormerUsed
        | Happening::JobFailed
        | Happening::AuditBroken
        | Happening::EndpointFailing
        | Happening::InstallationStateLost
        | Happening::LoginFailedRepeatedly => Tone::Bad,
        Happening::SiteSurge
        | Happening::SiteConflict
        | Happening::ClaimOpened
        | Happening::ClaimsFull
        | Happening::ClaimExpired
        | Happening::HostSuspended
        | Happening::SecretUnreadable
        | Happening::JobLost
        | Happening::PersonRecovered
        | Happening::RecoveryCodeUsed
        | Happening::InstallationRestored => Tone::Warn,
        _ => Tone::Quiet,
    }
}

/// An event with the names its ids stand for. What it returns is escaped.
struct Telling<'a> {
    event: &'a Event,
    names: &'a Names,
}

impl Telling<'_> {
    fn of_hosts(&self, what: Happening) -> String {
        let (host, by) = (self.host(), self.by());
        match what {
            Happening::HostEnrolled | Happening::HostRekeyed => match self
                .detail::<Disposition>("disposition")
            {
                Some(disposition) => format!("{host} {}{}.", words::disposition(disposition), self.at_site()),
                None => format!("{host} joined{}.", self.at_site()),
            },
            Happening::HostRetired => format!("{host} was retired{by}."),
            Happening::HostSuspended => format!("{host} was suspended{by}."),
            Happening::HostResumed => format!("{host} was resumed{by} and may work again."),
            Happening::HostMoved => format!("{host} was moved to another site{by}."),
            Happening::HostTagsSet => format!("The tags of {host} were set{by}."),
            Happening::HostHeld => {
                format!("{host} is held: a copy of it may exist, and neither gets anything.")
            }
            Happening::HostFreed => format!("{host} is no longer held{by}."),
            Happening::HostUnreachable => format!("{host} cannot be reached: it missed three heartbeats."),
            Happening::HostBack => format!("{host} is back."),
            Happening::SiteUnreachable => self.lost_site(),
            Happening::SiteSurge => {
                format!(
                    "More new machines than expected came to {} within an hour: they wait.",
                    self.subject()
                )
            }
            Happening::SiteConflict => {
                format!(
                    "A machine at {} names the hardware of {host}, which stands at another site.",
                    self.subject()
                )
            }
            _ => self.of_claims_and_tickets(what),
        }
    }

    fn of_claims_and_tickets(&self, what: Happening) -> String {
        let (host, subject, by) = (self.host(), self.subject(), self.by());
        match what {
            Happening::ClaimOpened => {
                format!("A machine waits for a decision{}: {subject}.", self.claim_reason())
            }
            Happening::ClaimDecided => match self.detail::<ClaimState>("verdict") {
                Some(ClaimState::Closed) => format!("{subject} was closed: its ground fell away."),
                Some(verdict) => format!("{subject} was decided{by}: {}.", verdict.word()),
                None => format!("{subject} was decided{by}."),
            },
            Happening::ClaimExpired => format!("Nobody decided {subject} in time."),
            Happening::ClaimsFull => {
                format!("As many claims wait as may, at {subject}: machines that come now are refused.")
            }
            Happening::CloneSuspected => format!("A second machine may be running as {host}."),
            Happening::TicketMinted => format!("{subject} was minted{by}{}.", self.at_site()),
            Happening::TicketRevoked => format!("{subject} was revoked{by}."),
            Happening::TicketRotated => format!("{subject} was rotated{by}: another one takes its place."),
            Happening::TicketLeaked => {
                format!("{subject} is said to be leaked{by}: revoked, and what it admitted is suspended.")
            }
            Happening::TicketSecondKey => {
                format!("A second machine showed {subject}, which is used already. It was refused.")
            }
            _ => self.of_keys_and_work(what),
        }
    }

    fn of_keys_and_work(&self, what: Happening) -> String {
        let (host, subject, by) = (self.host(), self.subject(), self.by());
        match what {
            Happening::KeyMinted => format!("An agent key was minted for {host}{by}."),
            Happening::KeyRevoked => format!("A key of {host} was revoked{by}."),
            Happening::KeyRotated => format!("The key of {host} was replaced by another{by}."),
            Happening::KeyFormerUsed => {
                format!("Somebody used a key of {host} that was replaced or revoked. It was refused.")
            }
            Happening::SecretSet => format!("The secret{} of {host} was set{by}.", self.named("secret")),
            Happening::SecretDelivered => format!("{host} has the secret{} now.", self.named("secret")),
            Happening::SecretUnreadable => format!("A sealed record does not open at its place: {subject}."),
            Happening::JobSucceeded => format!("{subject} of {host} succeeded."),
            Happening::JobFailed => format!("{subject} of {host} failed."),
            Happening::JobCancelled => format!("{subject} of {host} was cancelled{by}."),
            Happening::JobLost => format!("It is not known how {subject} of {host} ended."),
            _ => self.of_people(what),
        }
    }

    fn of_people(&self, what: Happening) -> String {
        let (subject, by) = (self.subject(), self.by());
        match what {
            Happening::PersonCreated => match self.event.payload.get("role").and_then(Value::as_str) {
                Some(role) => format!("{subject} became a member as {}{by}.", escape(role)),
                None => format!("{subject} became a member{by}."),
            },
            Happening::PersonRoleSet => match self.event.payload.get("to").and_then(Value::as_str) {
                Some(role) => format!("{subject} is {} now{by}.", escape(role)),
                None => format!("The role of {subject} was changed{by}."),
            },
            Happening::PersonRemoved => format!("{subject} was removed{by}."),
            Happening::PersonRecovered => {
                format!("Somebody at the server machine used the way back in as {subject}.")
            }
            Happening::SecondFactorRemoved => format!("The second factor of {subject} was removed{by}."),
            Happening::RecoveryCodeUsed => format!("{subject} signed in with a recovery code."),
            Happening::InvitationAccepted => format!("An invitation was accepted{by}."),
            Happening::LoginFailedRepeatedly => format!("Signing in failed again and again: {subject}."),
            Happening::EndpointFailing => format!("Deliveries to {subject} were given up."),
            // What is about the server itself is said by its meaning.
            _ => escape(what.says()),
        }
    }

    fn next(&self, what: Happening) -> Option<(String, &'static str)> {
        let subject = &self.event.subject;
        let here = |label| kinds::href(&self.event.kind, subject).map(|href| (href, label));
        match what {
            Happening::ClaimOpened => here("Decide"),
            Happening::SiteSurge
            | Happening::SiteConflict
            | Happening::ClaimsFull
            | Happening::CloneSuspected => Some(("/approvals".to_owned(), "Look at what waits")),
            Happening::SiteUnreachable => Some((
                format!("/hosts?presence=unreachable&site_id={}", urlencoded(subject)),
                "Look at its hosts",
            )),
            Happening::JobFailed | Happening::JobLost => here("Look at its log"),
            Happening::EndpointFailing => here("Look at its deliveries"),
            Happening::LoginFailedRepeatedly => {
                Some(("/audit?action=login.failed".to_owned(), "Look at the attempts"))
            }
            Happening::AuditBroken => Some(("/audit/verify".to_owned(), "Verify the trail")),
            _ => None,
        }
    }

    fn host(&self) -> String {
        let contested =
            || self.event.payload.get("contested_host_id").and_then(Value::as_str).map(str::to_owned);
        match self.event.host_id.map(|id| id.to_string()).or_else(contested) {
            Some(id) => self.names.link("host.", &id),
            None => "a host".to_owned(),
        }
    }

    fn subject(&self) -> String {
        self.names.link(&self.event.kind, &self.event.subject)
    }

    fn by(&self) -> String {
        let is_machine = self.event.actor.starts_with("host_") || self.event.actor.starts_with("jkt:");
        if self.event.actor.is_empty() || self.event.actor == "system" || is_machine {
            return String::new();
        }
        format!(" by {}", self.names.link("", &self.event.actor))
    }

    fn at_site(&self) -> String {
        let site = self.event.payload.get("site_id").and_then(Value::as_str);
        site.map(|id| format!(" at {}", self.names.link("site.", id))).unwrap_or_default()
    }

    fn lost_site(&self) -> String {
        let number = |name: &str| self.event.payload.get(name).and_then(Value::as_u64);
        let site = self.subject();
        match (number("count"), number("of")) {
            (Some(count), Some(of)) => format!("{site} lost {count} of its {of} hosts within a minute."),
            _ => format!("{site} lost many of its hosts within a minute."),
        }
    }

    fn claim_reason(&self) -> String {
        let reason = self.detail("reason").map(words::claim_reason);
        reason.map(|reason| format!(" ({})", reason.to_lowercase())).unwrap_or_default()
    }

    fn named(&self, detail: &str) -> String {
        let name = self.event.payload.get(detail).and_then(Value::as_str);
        name.map(|name| format!(" <q>{}</q>", escape(name))).unwrap_or_default()
    }

    fn detail<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_value(self.event.payload.get(name)?.clone()).ok()
    }
}

fn urlencoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;
    use crate::samples::{self, CLAIM, HOST, HOSTILE, OTHER_HOST, SITE, ago};

    #[expect(clippy::needless_pass_by_value, reason = "the calls read as the events they make")]
    pub(crate) fn event(
        position: u64,
        kind: &str,
        subject: &str,
        host: Option<&str>,
        payload: Value,
    ) -> Event {
        samples::of(json!({
            "position": position, "id": "event_01890a5dac96774bbcceb302099a8010", "kind": kind,
            "at": ago((900 - position) * 40), "subject": subject, "host_id": host, "actor": "system", "payload": payload,
        }))
    }

    pub(crate) fn events() -> Vec<Event> {
        vec![
            event(899, "host.unreachable", OTHER_HOST, Some(OTHER_HOST), json!({})),
            event(
                898,
                "claim.opened",
                CLAIM,
                Some(HOST),
                json!({ "reason": "reimage", "contested_host_id": HOST }),
            ),
            event(890, "site.unreachable", SITE, None, json!({ "count": 4, "of": 9 })),
            event(870, "job.failed", "job_01890a5dac96774bbcceb302099a8011", Some(HOST), json!({})),
            event(850, "login.failed_repeatedly", HOSTILE, None, json!({})),
            event(820, "ticket.minted", "4fGh7kLm2nPq", None, json!({ "kind": "site_key", "site_id": SITE })),
            event(700, "host.enrolled", HOST, Some(HOST), json!({ "disposition": "new", "site_id": SITE })),
            event(600, "of.tomorrow", HOSTILE, None, json!({ "text": HOSTILE })),
        ]
    }

    pub(crate) fn told() -> Vec<Told> {
        let names = Names::sample();
        events().into_iter().map(|event| Told::new(event, &names)).collect()
    }

    #[test]
    fn every_kind_is_a_sentence_and_what_a_stranger_chose_is_text() {
        for kind in Happening::ALL.iter().filter(|kind| kind.is_told()) {
            let event = event(
                1,
                kind.as_str(),
                HOSTILE,
                Some(OTHER_HOST),
                json!({ "secret": HOSTILE, "role": HOSTILE }),
            );
            let says = Told::new(event, &Names::sample()).says.to_string();
            assert!(says.ends_with('.'), "{kind}: {says}");
            assert!(!says.contains("<script") && !says.contains("{"), "{kind}: {says}");
        }
    }

    #[test]
    fn a_sentence_leads_to_what_it_is_about() {
        let told = told();
        assert!(told[1].says.to_string().contains(CLAIM));
        assert_eq!(told[1].next.as_ref().map(|(_, label)| *label), Some("Decide"));
        assert_eq!(
            told[6].says.to_string(),
            format!(
                "<a href=\"/hosts/{HOST}\">web-01</a> joined as a new host at <a href=\"/sites/{SITE}\">Bremen</a>."
            )
        );
    }
}
