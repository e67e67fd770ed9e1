pub(super) mod explain;
mod leaked;
pub(super) mod many;
mod rotate;
mod why;

use clap::{Args, Subcommand};
use muster_client::api::{TicketFilter, collect};
use muster_ids::Timestamp;
use muster_wire::explanation::ExplainTicket;
use muster_wire::text::{Name, Tag};
use muster_wire::ticket::{
    CreateEnrolmentToken, CreateSiteKey, EphemeralHours, MaxUses, MintedTicket, OneTimeLife, SiteKeyLife,
    Ticket as View, TicketKind, TicketStatus,
};

use super::Most;
use crate::failure::Failure;
use crate::input::{NamedSecret, documents, wire_text, wire_word};
use crate::lookup::id;
use crate::operator::Operator;
use crate::output::{record, visible};
use crate::span::Span;
use crate::words::{joined, moment, optional_moment, relative, word, yes};

const EXAMPLES: &str = "\
Examples:
  muster ticket mint-token --name web-1 --tag web --secret repo=repo.json
  muster ticket mint-token -q > join-string
  muster ticket mint-site-key berlin --max-uses 50
  muster ticket rotate 0aB1cD2eF3gH --overlap 7d
  muster ticket list --kind site_key
  muster ticket explain 0aB1cD2eF3gH
  muster ticket why 0aB1cD2eF3gH";

const MINT_TOKEN_EXAMPLES: &str = r#"Shows the join string once; with -q it is all that is written.

Examples:
  muster ticket mint-token
  muster ticket mint-token --name web-1 --site berlin --tag web --tag env=prod --expires-in 2h
  muster ticket mint-token --secret repo=repo.json -q > join-string
  pass show backup/web-1 | muster ticket mint-token --name web-1 --secret repo=-

The secret `repo` is where the host backs up to:
  {"url": "rest:https://backup.example/web-1/", "user": "web-1",
   "http_password": "…", "password": "…"}"#;

/// Tickets: what a machine presents to be admitted
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Ticket {
    /// List tickets, the used and the revoked ones too
    #[command(
        after_help = "Examples:\n  muster ticket list\n  muster ticket list --kind site_key --status open,rotated --site berlin"
    )]
    List {
        /// Only tickets of this kind
        #[arg(long, value_name = "KIND", value_parser = wire_word::<TicketKind>(&["enrolment_token", "registration_token", "site_key"]))]
        kind: Option<TicketKind>,
        /// Only tickets that stand like this, or like one of these between commas
        #[arg(long = "status", value_name = "STATUS", value_delimiter = ',', value_parser = wire_word::<TicketStatus>(&["open", "reserved", "spent", "used_up", "expired", "rotated", "rotated_out", "revoked"]))]
        statuses: Vec<TicketStatus>,
        /// Only tickets that lead to this site, by name or id
        #[arg(long, value_name = "SITE")]
        site: Option<String>,
        #[command(flatten)]
        most: Most,
    },
    /// Show one ticket: what it admits, its uses, its last use
    #[command(after_help = "Examples:\n  muster ticket show 0aB1cD2eF3gH")]
    Show {
        /// The ticket's id
        ticket: String,
    },
    /// Mint a one-time enrolment token: it admits one new machine with everything it carries
    #[command(after_help = MINT_TOKEN_EXAMPLES)]
    MintToken(MintToken),
    /// Mint a site key: it admits any machine at a site, again and again
    #[command(
        after_help = "Shows the join string once; with -q it is all that is written.\n\nExamples:\n  muster ticket mint-site-key berlin\n  muster ticket mint-site-key berlin --expires-in 90d --max-uses 50 -q > join-string"
    )]
    MintSiteKey(MintSiteKey),
    /// Mint the next key of a site; the former one admits until the overlap is over
    #[command(
        after_help = "Shows the join string once; with -q it is all that is written.\n\nExamples:\n  muster ticket rotate 0aB1cD2eF3gH\n  muster ticket rotate 0aB1cD2eF3gH --overlap 2d -q > join-string\n  muster ticket rotate 0aB1cD2eF3gH --overlap 0s"
    )]
    Rotate(rotate::Rotate),
    /// Say what a ticket admits: how many, until when, and what becomes of whom
    #[command(
        after_help = "Before minting, say --explain: nothing is minted.\n\nExamples:\n  muster ticket explain 0aB1cD2eF3gH\n  muster ticket mint-site-key berlin --explain"
    )]
    Explain {
        /// The ticket's id
        ticket: String,
    },
    /// Mint enrolment tokens from a CSV file, and write their join strings into one file
    #[command(after_help = many::TOKENS_HELP)]
    MintMany(many::Files),
    /// This key leaked: revoke it and suspend what it admitted
    #[command(
        after_help = "Shows what the ticket admitted and asks first. Keys it was rotated to or from have secrets of their own and stay.\n\nExamples:\n  muster ticket leaked 0aB1cD2eF3gH --dry-run\n  muster ticket leaked 0aB1cD2eF3gH --since 2026-01-31T12:00:00Z\n  muster ticket leaked 0aB1cD2eF3gH --since 2d --yes"
    )]
    Leaked(leaked::Leaked),
    /// Revoke a ticket: nobody is admitted with it any more; hosts it admitted stay
    #[command(after_help = "Examples:\n  muster ticket revoke 0aB1cD2eF3gH")]
    Revoke {
        /// The ticket's id
        ticket: String,
    },
    /// Say why machines were refused with a ticket, or what became of the request a machine quotes
    #[command(
        after_help = "Examples:\n  muster ticket why 0aB1cD2eF3gH\n  muster ticket why --request req_0192f0c1a2b37c4d8e5f60718293a4b1"
    )]
    Why(why::Why),
}

/// What an enrolment token carries.
#[derive(Debug, Args)]
pub(crate) struct MintToken {
    /// Name the host will have; the machine's own name when not said
    #[arg(long, value_name = "NAME", value_parser = wire_text::<Name>)]
    name: Option<Name>,
    /// Site it will stand at, by name or id; the site `default` when not said
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// Tag it will have; repeat for several
    #[arg(long = "tag", value_name = "TAG", value_parser = wire_text::<Tag>)]
    tags: Vec<Tag>,
    /// How long the token may be used, from 5m to 30d [default: 1h]
    #[arg(long, value_name = "TIME")]
    expires_in: Option<Span>,
    /// Secret the host receives before its first job: a JSON object in a file, or - for standard input; repeat for
    /// several
    #[arg(long = "secret", value_name = "NAME=FILE")]
    secrets: Vec<NamedSecret>,
    /// Refuse machines that cannot hold a key pair
    #[arg(long)]
    require_key: bool,
    /// Retire the host after so many hours without contact [default: never]
    #[arg(long, value_name = "HOURS", value_parser = ephemeral_hours)]
    ephemeral: Option<EphemeralHours>,
    /// Say what the token would admit, and mint nothing
    #[arg(long)]
    explain: bool,
}

/// What a site key admits.
#[derive(Debug, Args)]
pub(crate) struct MintSiteKey {
    /// The site, by name or id
    site: String,
    /// How long the key may be used, from 5m [default: until it is revoked]
    #[arg(long, value_name = "TIME")]
    expires_in: Option<Span>,
    /// How many hosts it may make or re-key [default: any number]
    #[arg(long, value_name = "N")]
    max_uses: Option<u64>,
    /// Refuse machines that cannot hold a key pair, whatever the site asks for
    #[arg(long)]
    require_key: bool,
    /// Retire its hosts after so many hours without contact [default: never]
    #[arg(long, value_name = "HOURS", value_parser = ephemeral_hours)]
    ephemeral: Option<EphemeralHours>,
    /// Say what the key would admit, and mint nothing
    #[arg(long)]
    explain: bool,
}

impl Ticket {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let (client, output) = (&operator.client, operator.output);
        match self {
            Self::List { kind, statuses, site, most } => {
                let site_id = operator.optional_site(site.as_deref()).await?;
                let filter = TicketFilter { kind, statuses, site_id };
                let tickets = collect(most.limit, async |page| client.tickets(&filter, &page).await).await?;
                let now = operator.now();
                let header = ["ID", "KIND", "STATUS", "HOST NAME", "USES", "EXPIRES", "LAST USED", "TAGS"];
                output.list(
                    &tickets,
                    |ticket| ticket.id.to_string(),
                    &header,
                    |ticket| row(ticket, now),
                    "no tickets",
                )
            }
            Self::Show { ticket } => {
                let ticket = client.ticket(id("ticket", &ticket)?).await?;
                output.show(&ticket, |ticket| ticket.id.to_string(), describe)
            }
            Self::MintToken(mint) => mint.run(operator).await,
            Self::MintSiteKey(mint) => mint.run(operator).await,
            Self::Revoke { ticket } => {
                let ticket = client.revoke_ticket(id("ticket", &ticket)?).await?;
                output.show(&ticket, |ticket| ticket.id.to_string(), describe)
            }
            Self::Why(why) => why.run(operator).await,
            Self::Rotate(rotate) => rotate.run(operator).await,
            Self::Explain { ticket } => {
                let explanation = client.explain_ticket(id("ticket", &ticket)?).await?;
                explain::show(operator, &explanation)
            }
            Self::MintMany(files) => many::tokens(operator, &files).await,
            Self::Leaked(leaked) => leaked.run(operator).await,
        }
    }
}

impl MintToken {
    async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let request = CreateEnrolmentToken {
            host_name: self.name,
            site_id: operator.optional_site(self.site.as_deref()).await?,
            tags: self.tags.into_iter().collect(),
            expires_in_secs: self.expires_in.map(one_time_life).transpose()?,
            secrets: documents(&self.secrets)?.into_iter().collect(),
            require_key: self.require_key,
            ephemeral_hours: self.ephemeral,
        };
        if self.explain {
            return explain::planned(operator, ExplainTicket::EnrolmentToken(request)).await;
        }
        let minted = operator.client.create_enrolment_token(&request).await?;
        operator.output.show(&minted, |minted| minted.join_string.clone(), describe_minted)?;
        hint_at_agent(operator);
        Ok(())
    }
}

impl MintSiteKey {
    async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let request = CreateSiteKey {
            expires_in_secs: self.expires_in.map(site_key_life).transpose()?,
            max_uses: self.max_uses.map(max_uses).transpose()?,
            require_key: self.require_key,
            ephemeral_hours: self.ephemeral,
            site_id: operator.site(&self.site).await?,
        };
        if self.explain {
            return explain::planned(operator, ExplainTicket::SiteKey(request)).await;
        }
        let minted = operator.client.create_site_key(&request).await?;
        operator.output.show(&minted, |minted| minted.join_string.clone(), describe_minted)?;
        hint_at_agent(operator);
        Ok(())
    }
}

fn out_of_bounds(option: &str, bounds: &str) -> Failure {
    Failure::usage(format!("{option} is out of bounds"), format!("choose from {bounds}"))
}

fn site_key_life(span: Span) -> Result<SiteKeyLife, Failure> {
    SiteKeyLife::new(span.as_secs()).ok_or_else(|| out_of_bounds("--expires-in", "5m to 3650d"))
}

fn max_uses(uses: u64) -> Result<MaxUses, Failure> {
    MaxUses::new(uses).ok_or_else(|| out_of_bounds("--max-uses", "1 to 1000000"))
}

/// Reads after how many hours without contact a host is retired.
pub(super) fn ephemeral_hours(text: &str) -> Result<EphemeralHours, String> {
    text.parse().ok().and_then(EphemeralHours::new).ok_or_else(|| "expected hours from 1 to 8760".to_owned())
}

/// Checks the life of a one-time ticket.
pub(super) fn one_time_life(span: Span) -> Result<OneTimeLife, Failure> {
    OneTimeLife::new(span.as_secs())
        .ok_or_else(|| Failure::usage("--expires-in is out of bounds", "choose from 5m to 30d"))
}

/// Lays out a ticket that was just minted, the join string on a line of its own.
pub(super) fn describe_minted(minted: &MintedTicket) -> String {
    let ticket = describe(&minted.ticket);
    format!("{ticket}\n\njoin string, shown this once:\n{}", visible(&minted.join_string))
}

/// Says what to do with a join string.
pub(super) fn hint_at_agent(operator: &Operator) {
    operator.output.hint(
        "\nnext: on the machine, paste it to `muster-agent join -`, or copy it there: muster-agent join --file FILE",
    );
}

fn kind(ticket: &View) -> &'static str {
    match ticket.kind {
        TicketKind::EnrolmentToken => "enrolment token",
        TicketKind::RegistrationToken if ticket.rejoin => "rejoin token",
        TicketKind::RegistrationToken => "registration token",
        TicketKind::SiteKey => "site key",
    }
}

fn uses(ticket: &View) -> String {
    match ticket.max_uses {
        Some(most) => format!("{} of {most}", ticket.uses),
        None => ticket.uses.to_string(),
    }
}

/// Says when a host is retired by itself.
fn ephemeral(hours: u64) -> String {
    format!("retired after {hours} h without contact")
}

fn row(ticket: &View, now: Timestamp) -> Vec<String> {
    let relative = |at: Option<Timestamp>, never: &str| at.map_or(never.to_owned(), |at| relative(at, now));
    vec![
        ticket.id.to_string(),
        kind(ticket).to_owned(),
        word(&ticket.status),
        ticket.host_name.clone().unwrap_or_default(),
        uses(ticket),
        relative(ticket.expires_at, "never"),
        relative(ticket.last_used_at, "never"),
        joined(&ticket.tags),
    ]
}

/// Until when a rotated key admits beside its successor; a revoked one admits nobody.
fn both_admit_until(ticket: &View) -> Option<Timestamp> {
    let is_rotated = ticket.status == TicketStatus::Rotated;
    ticket.rotation.filter(|_| is_rotated).map(|rotation| rotation.both_admit_until)
}

fn describe(ticket: &View) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    record(&[
        ("Ticket", ticket.id.to_string()),
        ("Kind", format!("{} (door {})", kind(ticket), ticket.kind.door())),
        ("Status", word(&ticket.status)),
        ("Site", ticket.site_id.to_string()),
        ("For host", ticket.host_id.map(|id| id.to_string()).unwrap_or_default()),
        ("Host name", text(&ticket.host_name)),
        ("Tags", joined(&ticket.tags)),
        ("Secrets", ticket.secrets.join(", ")),
        ("Key pair required", yes(ticket.require_key)),
        ("Ephemeral", ticket.ephemeral_hours.map(ephemeral).unwrap_or_default()),
        ("Uses", uses(ticket)),
        ("Made", moment(ticket.created_at)),
        ("Expires", ticket.expires_at.map_or("never".to_owned(), moment)),
        ("Rotated to", ticket.rotation.map(|rotation| rotation.to.to_string()).unwrap_or_default()),
        ("Both admit until", optional_moment(both_admit_until(ticket))),
        ("Last used", optional_moment(ticket.last_used_at)),
        ("Last host", ticket.last_host_id.map(|id| id.to_string()).unwrap_or_default()),
    ])
}

#[cfg(test)]
mod tests;
