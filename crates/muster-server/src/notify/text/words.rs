//! One sentence for each kind of event, and what to do about it.

use muster_wire::happening::Happening;
use muster_wire::text::shown;
use serde_json::Value;

use super::{MAX_FOREIGN, Told, quoted};

/// Returns what happened and what can be done about it.
pub(super) fn of(told: &Told) -> (String, Option<String>) {
    match Happening::of_word(&told.kind) {
        Some(what) => (says(what, told), next(what, told)),
        None => (format!("{} happened to {}.", word(&told.kind), word(&told.subject)), None),
    }
}

fn says(what: Happening, told: &Told) -> String {
    let (host, subject, by) = (host(told), subject(told), by(told));
    match what {
        Happening::HostEnrolled => format!("{} enrolled.", capital(&host)),
        Happening::HostRekeyed => format!("{} has another key now{}.", capital(&host), reason(told)),
        Happening::HostRetired => format!("{} was retired{by}.", capital(&host)),
        Happening::HostSuspended => format!("{} was suspended{by}.", capital(&host)),
        Happening::HostResumed => format!("{} may work again: it was resumed{by}.", capital(&host)),
        Happening::HostTagsSet => format!("The tags of {host} were set{by}."),
        Happening::HostMoved => format!("{} was moved to another site{by}.", capital(&host)),
        Happening::HostHeld => {
            format!(
                "{} is held: it may be a copy of itself, and gets nothing until somebody says so.",
                capital(&host)
            )
        }
        Happening::HostFreed => format!("{} is no longer held{by}.", capital(&host)),
        Happening::HostUnreachable => {
            format!("{} cannot be reached: it missed three heartbeats.", capital(&host))
        }
        Happening::HostBack => format!("{} is back.", capital(&host)),
        Happening::SiteUnreachable => lost_site(told, &subject),
        Happening::SiteSurge => {
            format!("More new machines came to the site {subject} within an hour than it lets in: they wait.")
        }
        Happening::SiteConflict => {
            format!("A machine at the site {subject} says it is {host}, which stands at another site.")
        }
        Happening::ClaimOpened => {
            format!("A machine waits for your decision{}: claim {subject}.", reason(told))
        }
        Happening::ClaimDecided => match detail(told, "verdict") {
            Some(verdict) => format!("The claim {subject} was decided{by}: {verdict}."),
            None => format!("The claim {subject} was decided{by}."),
        },
        Happening::ClaimExpired => format!("Nobody decided the claim {subject} in time: it expired."),
        Happening::ClaimsFull => {
            format!("As many claims wait as may, at {subject}: machines that come now are refused.")
        }
        Happening::CloneSuspected => {
            format!("A second machine may be running as {host}{}. It was refused.", reason(told))
        }
        _ => says_of_keys(what, told),
    }
}

fn says_of_keys(what: Happening, told: &Told) -> String {
    let (host, subject, by) = (host(told), word(&told.subject), by(told));
    match what {
        Happening::TicketMinted => {
            let kind = detail(told, "kind").map_or("ticket".to_owned(), |kind| kind.replace('_', " "));
            format!("The {kind} {subject} was minted{by}.")
        }
        Happening::TicketRevoked => format!("The ticket {subject} was revoked{by}."),
        Happening::TicketRotated => {
            format!("The site key {subject} was rotated{by}: another one takes its place.")
        }
        Happening::TicketLeaked => {
            format!(
                "The ticket {subject} is said to be leaked{by}: it is revoked, what it admitted is suspended."
            )
        }
        Happening::TicketSecondKey => format!(
            "A second machine{} showed the one-time token {subject}, which is spent. It was refused.",
            from(told)
        ),
        Happening::KeyMinted => format!("An agent key was minted for {host}{by}."),
        Happening::KeyRevoked => format!("A key of {host} was revoked{by}."),
        Happening::KeyRotated => format!("The key of {host} was rotated{by}."),
        Happening::KeyFormerUsed => {
            format!("Somebody used a key of {host} that was replaced or revoked; it was refused.")
        }
        Happening::SecretSet => format!("The secret{} of {host} was set{by}.", named(told, "secret")),
        Happening::SecretDelivered => {
            format!("{} has the secret{} now.", capital(&host), named(told, "secret"))
        }
        Happening::SecretUnreadable => {
            format!("A sealed record cannot be opened at its place: {}.", quoted(&told.subject))
        }
        Happening::InstructionKeyAnnounced => {
            format!("The next key that signs instructions to agents was announced{by}.")
        }
        Happening::InstructionKeySwitched => {
            format!("Another key signs instructions to agents from now on{by}.")
        }
        Happening::InstructionKeyFinished => {
            format!("The former key that signed instructions to agents was destroyed{by}.")
        }
        Happening::ServerPinsChanged => format!("The server shows, or announces, other TLS keys{by}."),
        _ => says_of_work_and_people(what, told),
    }
}

fn says_of_work_and_people(what: Happening, told: &Told) -> String {
    let (host, subject, by) = (host(told), subject(told), by(told));
    match what {
        Happening::JobSucceeded => format!("The job {subject} of {host} succeeded."),
        Happening::JobFailed => format!("The job {subject} of {host} failed."),
        Happening::JobCancelled => format!("The job {subject} of {host} was cancelled{by}."),
        Happening::JobLost => format!("It is not known how the job {subject} of {host} ended."),
        Happening::PersonCreated => match detail(told, "role") {
            Some(role) => format!("A person was made{by}: {subject}, {role}."),
            None => format!("A person was made{by}: {subject}."),
        },
        Happening::PersonRoleSet => format!("The role of {subject} was changed{by}."),
        Happening::PersonRemoved => format!("The person {subject} was removed{by}."),
        Happening::PersonRecovered => {
            format!("Somebody at the server machine used the way back in as {subject}.")
        }
        Happening::SecondFactorRemoved => format!("The second factor of {subject} was removed{by}."),
        Happening::RecoveryCodeUsed => {
            format!("The person {subject} signed in with a recovery code{}.", from(told))
        }
        Happening::InvitationAccepted => format!("The invitation {subject} was accepted."),
        Happening::LoginFailedRepeatedly => {
            format!("Signing in failed again and again: {}.", quoted(&told.subject))
        }
        Happening::EndpointFailing => format!("Deliveries to the endpoint {subject} were given up."),
        Happening::AuditBroken => {
            "The audit trail was changed behind the server's back: it does not end where it was left."
                .to_owned()
        }
        Happening::InstallationRestored => {
            "The server was restored from a backup: open tickets are void, and keys and tokens that were revoked after it \
             are good again."
                .to_owned()
        }
        Happening::InstallationStateLost => {
            "The database is older than what hosts have seen of it: was a backup restored?".to_owned()
        }
        _ => format!("{} ({subject})", what.says()),
    }
}

fn next(what: Happening, told: &Told) -> Option<String> {
    let subject = word(&told.subject);
    let host = told.host_id.map(|id| format!("muster host show {id}"));
    match what {
        Happening::HostEnrolled
        | Happening::HostRekeyed
        | Happening::HostUnreachable
        | Happening::HostSuspended
        | Happening::KeyMinted
        | Happening::KeyRotated
        | Happening::KeyFormerUsed
        | Happening::KeyRevoked => host,
        Happening::CloneSuspected => told.host_id.map(|id| {
            format!("muster host show {id}; if it is no machine of yours: muster host suspend {id}")
        }),
        Happening::ClaimOpened => Some(format!("muster claim show {subject}")),
        Happening::SiteConflict | Happening::SiteSurge | Happening::ClaimsFull => {
            Some("muster claim list".to_owned())
        }
        Happening::SiteUnreachable => Some("muster host list".to_owned()),
        Happening::TicketSecondKey => Some(format!("muster ticket why {subject}")),
        Happening::TicketLeaked => Some("muster host list".to_owned()),
        Happening::TicketMinted => Some(format!("not yours? muster ticket revoke {subject}")),
        Happening::JobFailed | Happening::JobLost => Some(format!("muster job log {subject}")),
        Happening::LoginFailedRepeatedly => Some("muster audit list".to_owned()),
        Happening::PersonRecovered => {
            Some("not you? Look at the server machine now: muster audit list".to_owned())
        }
        Happening::AuditBroken => Some("muster audit verify".to_owned()),
        Happening::EndpointFailing => Some(format!("muster notify deliveries {subject}")),
        _ => None,
    }
}

/// Returns the host an event is about, as people know it.
fn host(told: &Told) -> String {
    match (&told.host_name, told.host_id) {
        (Some(name), _) => format!("the host {}", quoted(name)),
        (None, Some(id)) => format!("the host {id}"),
        (None, None) => match detail(told, "contested_host_id") {
            Some(id) => format!("the host {id}"),
            None => "a host".to_owned(),
        },
    }
}

/// Returns what an event is about, as people know it.
fn subject(told: &Told) -> String {
    told.subject_name.as_deref().map_or_else(|| word(&told.subject), quoted)
}

fn by(told: &Told) -> String {
    match told.actor.as_str() {
        "system" | "" => String::new(),
        actor => format!(" by {}", word(actor)),
    }
}

fn lost_site(told: &Told, site: &str) -> String {
    let number = |name: &str| told.details.get(name).and_then(Value::as_u64);
    match (number("count"), number("of")) {
        (Some(count), Some(of)) => format!("The site {site} lost {count} of its {of} hosts within a minute."),
        _ => format!("The site {site} lost many of its hosts within a minute."),
    }
}

fn reason(told: &Told) -> String {
    let words = detail(told, "reason").or_else(|| detail(told, "disposition"));
    words.map(|words| format!(" ({})", words.replace('_', " "))).unwrap_or_default()
}

fn from(told: &Told) -> String {
    detail(told, "source").map(|source| format!(" from {source}")).unwrap_or_default()
}

fn named(told: &Told, detail_name: &str) -> String {
    told.details
        .get(detail_name)
        .and_then(Value::as_str)
        .map(|name| format!(" {}", quoted(name)))
        .unwrap_or_default()
}

fn detail(told: &Told, name: &str) -> Option<String> {
    told.details.get(name).and_then(Value::as_str).map(word)
}

/// Shows an id or a word: it needs no quotes unless it is more than that.
fn word(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-.:/=".contains(c);
    if !text.is_empty() && text.len() <= MAX_FOREIGN && text.chars().all(is_word) {
        return shown(text, MAX_FOREIGN);
    }
    quoted(text)
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
