mod target;

use clap::{Args, Subcommand};
use muster_client::api::{Answer, collect};
use muster_wire::endpoint::{
    CreateEndpoint, DeliveryState, Endpoint, EndpointTested, EventDelivery, GroupFor, TestEndpoint,
};
use muster_wire::happening::Happening;
use muster_wire::notification::{Day, QuietHours, TimeOfDay, TimeZoneName};
use muster_wire::text::Name;

use super::Most;
use crate::failure::Failure;
use crate::input::{wire_text, wire_word};
use crate::operator::Operator;
use crate::output::{Output, record};
use crate::span::Span;
use crate::words::{joined, moment, optional_moment, word};
use target::Target;

const EXAMPLES: &str = "\
Examples:
  muster notify create ops --kind email --server mail.example:587 --from muster@example.org \\
    --to ops@example.org --user muster --password-file mail-password
  muster notify create phone --kind ntfy --server-url https://ntfy.example --topic-file topic
  muster notify list
  muster notify deliveries ops";

const CREATE_HELP: &str = "\
A test message is sent first, and nothing is stored unless it was taken; --untested leaves that out.
What is secret comes from a file, or with - from standard input, and is never shown again.

What each kind needs:
  email   --server, --from, --to; --user with --password-file where one must sign in
  ntfy    --server-url, and --topic or --topic-file; --access-token-file where one must sign in
  slack   --url-file: the URL of the incoming webhook
  teams   --url-file: the URL of the workflow that posts what it is sent
  matrix  --server-url, --room, --access-token-file

Urgent is: a clone is suspected, a site is lost, a ticket is leaked or shown by a second machine, a sealed
record does not open, the way back in was used, the audit trail is broken, the database is too old.

Examples:
  muster notify create chat --kind slack --url-file slack-url \\
    --event host.unreachable --event host.back
  muster notify create night --kind ntfy --server-url https://ntfy.example --topic-file topic \\
    --group-for 5m --quiet-hours 22:00-07:00 --time-zone Europe/Berlin
  muster notify create room --kind matrix --server-url https://matrix.example \\
    --room '!abc:matrix.example' --access-token-file matrix-token";

/// Notifications: events as messages to people, by mail, ntfy, Slack, Teams or Matrix
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Notify {
    /// Send events to people from now on
    #[command(after_help = CREATE_HELP)]
    Create(Box<Create>),
    /// List who hears of events, webhooks too
    #[command(after_help = "Examples:\n  muster notify list\n  muster notify list -o json")]
    List {
        #[command(flatten)]
        most: Most,
    },
    /// Show one endpoint, without its credentials
    #[command(after_help = "Examples:\n  muster notify show ops")]
    Show {
        /// The endpoint, by name or id
        endpoint: String,
    },
    /// Send a test message to an endpoint
    #[command(after_help = "Exits with 1 when it is not taken.\n\nExamples:\n  muster notify test ops")]
    Test {
        /// The endpoint, by name or id
        endpoint: String,
    },
    /// Send nothing until it is resumed; what happens meanwhile waits
    #[command(after_help = "Examples:\n  muster notify pause ops")]
    Pause {
        /// The endpoint, by name or id
        endpoint: String,
    },
    /// Send again, first what waited
    #[command(after_help = "Examples:\n  muster notify resume ops")]
    Resume {
        /// The endpoint, by name or id
        endpoint: String,
    },
    /// Remove an endpoint with its credentials and its log
    #[command(after_help = "Examples:\n  muster notify remove ops")]
    Remove {
        /// The endpoint, by name or id
        endpoint: String,
    },
    /// List what was sent to an endpoint and what was not, the newest first
    #[command(
        after_help = "Examples:\n  muster notify deliveries ops\n  muster notify deliveries ops --state failed --limit 20"
    )]
    Deliveries {
        /// The endpoint, by name or id
        endpoint: String,
        /// Only those that stand here
        #[arg(long, value_name = "STATE", value_parser = wire_word::<DeliveryState>(&["waiting", "delivered", "failed"]))]
        state: Option<DeliveryState>,
        #[command(flatten)]
        most: Most,
    },
}

/// What an endpoint hears, when, and where it is.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What to call it
    #[arg(value_parser = wire_text::<Name>)]
    name: Name,
    #[command(flatten)]
    target: Target,
    /// Kind of event it hears of; repeat for several [default: all]
    #[arg(long = "event", value_name = "KIND", value_parser = happening)]
    events: Vec<Happening>,
    /// How long events are gathered into one message, at most 1d [default: not at all]
    #[arg(long, value_name = "TIME")]
    group_for: Option<Span>,
    /// When it is left in peace; what happens meanwhile is told afterwards
    #[arg(long, value_name = "FROM-TO", value_parser = hours, requires = "time_zone")]
    quiet_hours: Option<(TimeOfDay, TimeOfDay)>,
    /// Where the quiet hours hold
    #[arg(long, value_name = "ZONE", value_parser = wire_text::<TimeZoneName>, requires = "quiet_hours")]
    time_zone: Option<TimeZoneName>,
    /// Day the quiet hours begin on; repeat for several [default: every day]
    #[arg(long = "quiet-day", value_name = "DAY", requires = "quiet_hours", value_parser = wire_word::<Day>(&["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]))]
    days: Vec<Day>,
    /// Keep urgent events for after the quiet hours too
    #[arg(long, requires = "quiet_hours")]
    quiet_for_urgent: bool,
    /// Store it without sending a test message first
    #[arg(long)]
    untested: bool,
}

impl Notify {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let (client, output) = (&operator.client, operator.output);
        let find = async |text: String| operator.endpoint(&text).await;
        let endpoint = match self {
            Self::Create(create) => return create.run(operator).await,
            Self::List { most } => return list(operator, most).await,
            Self::Test { endpoint } => {
                let tested = client.test_endpoint(find(endpoint).await?).await?;
                return show_tested(
                    output,
                    &tested,
                    "see `muster notify show`, and the server it is sent to",
                );
            }
            Self::Deliveries { endpoint, state, most } => {
                let id = find(endpoint).await?;
                let log = collect(most.limit, async |page| client.deliveries(id, state, &page).await).await?;
                let header = ["EVENT", "KIND", "STATE", "TRIES", "LAST", "STATUS", "NEXT", "WHY NOT"];
                return output.list(&log, |one| one.id.to_string(), &header, delivery_row, "no deliveries");
            }
            Self::Show { endpoint } => client.endpoint(find(endpoint).await?).await?,
            Self::Pause { endpoint } => client.pause_endpoint(find(endpoint).await?).await?,
            Self::Resume { endpoint } => client.resume_endpoint(find(endpoint).await?).await?,
            Self::Remove { endpoint } => client.remove_endpoint(find(endpoint).await?).await?,
        };
        output.show(&endpoint, |endpoint| endpoint.id.to_string(), describe)
    }
}

impl Create {
    async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let (client, output) = (&operator.client, operator.output);
        let out_of_bounds = || Failure::usage("--group-for is out of bounds", "choose from 0s to 1d");
        let group_for = |span: Span| GroupFor::new(span.as_secs()).ok_or_else(out_of_bounds);
        let group_for_secs = self.group_for.map(group_for).transpose()?;
        let target = self.target.read()?;
        if !self.untested {
            let tested = client.test_target(&TestEndpoint { target: target.clone() }).await?;
            taken(&tested, "nothing was stored; put it right, or leave the test out with --untested")?;
        }
        let (quiet, time_zone) = (self.quiet_hours, self.time_zone);
        let quiet_hours = quiet.zip(time_zone).map(|((from, to), time_zone)| QuietHours {
            from,
            to,
            time_zone,
            days: self.days.into_iter().collect(),
            urgent_breaks_quiet: !self.quiet_for_urgent,
        });
        let events = self.events.into_iter().collect();
        let request = CreateEndpoint { name: self.name, target, events, group_for_secs, quiet_hours };
        let made = client.create_endpoint(&request).await?;
        output.show(&made, |made| made.endpoint.id.to_string(), |made| describe(&made.endpoint))
    }
}

async fn list(operator: &Operator, most: Most) -> Result<(), Failure> {
    let client = &operator.client;
    let endpoints = collect(most.limit, async |page| client.endpoints(&page).await).await?;
    let header = ["NAME", "ID", "KIND", "TARGET", "EVENTS", "STATE"];
    operator.output.list(
        &endpoints,
        |endpoint| endpoint.id.to_string(),
        &header,
        row,
        "nobody hears of events",
    )
}

pub(super) fn taken(tested: &EndpointTested, next: &str) -> Result<(), Failure> {
    if tested.delivered { Ok(()) } else { Err(Failure::failed(not_taken(tested), next)) }
}

fn not_taken(tested: &EndpointTested) -> String {
    let status = tested.status.map(|status| format!(" ({status})")).unwrap_or_default();
    format!(
        "the test message was not taken{status}: {}",
        tested.error.as_deref().unwrap_or("nobody knows why")
    )
}

/// Writes what came of a test message; that it was not taken is a failure, which says why.
pub(super) fn show_tested(
    output: Output,
    tested: &Answer<EndpointTested>,
    next: &str,
) -> Result<(), Failure> {
    let says = |_: &EndpointTested| "the test message was taken".to_owned();
    if tested.delivered || output.is_json() {
        output.show(tested, |_| String::new(), says)?;
    }
    taken(tested, next)
}

pub(super) fn happening(text: &str) -> Result<Happening, String> {
    let told = || Happening::ALL.iter().filter(|what| what.is_told());
    let found = told().find(|what| what.as_str() == text).copied();
    found.ok_or_else(|| format!("expected one of {}", joined(told())))
}

fn hours(text: &str) -> Result<(TimeOfDay, TimeOfDay), &'static str> {
    const FORM: &str = "expected FROM-TO, for example 22:00-07:00";
    let (from, to) = text.split_once('-').ok_or(FORM)?;
    Ok((TimeOfDay::parse(from).map_err(|_| FORM)?, TimeOfDay::parse(to).map_err(|_| FORM)?))
}

fn state(endpoint: &Endpoint) -> String {
    match (endpoint.paused_at, endpoint.failing_since) {
        (Some(_), _) => "paused".to_owned(),
        (None, Some(since)) => format!("failing since {}", moment(since)),
        (None, None) => "on".to_owned(),
    }
}

fn heard(endpoint: &Endpoint) -> String {
    if endpoint.events.is_empty() { "all".to_owned() } else { joined(&endpoint.events) }
}

fn quiet(endpoint: &Endpoint) -> String {
    let Some(hours) = &endpoint.quiet_hours else { return "never".to_owned() };
    let days = if hours.days.is_empty() {
        String::new()
    } else {
        format!(", {}", joined(hours.days.iter().map(word)))
    };
    let urgent = if hours.urgent_breaks_quiet { "" } else { ", for urgent events too" };
    format!("{} to {} {}{days}{urgent}", hours.from, hours.to, hours.time_zone)
}

pub(super) fn row(endpoint: &Endpoint) -> Vec<String> {
    vec![
        endpoint.name.clone(),
        endpoint.id.to_string(),
        word(&endpoint.kind),
        endpoint.shown_target.clone(),
        heard(endpoint),
        state(endpoint),
    ]
}

pub(super) fn describe(endpoint: &Endpoint) -> String {
    record(&[
        ("Endpoint", endpoint.id.to_string()),
        ("Name", endpoint.name.clone()),
        ("Kind", word(&endpoint.kind)),
        ("Target", endpoint.shown_target.clone()),
        ("Events", heard(endpoint)),
        ("Gathered for", Span::from_secs(endpoint.group_for_secs).to_string()),
        ("Quiet", quiet(endpoint)),
        ("State", state(endpoint)),
        ("Made", moment(endpoint.created_at)),
        ("Made by", endpoint.created_by.clone()),
    ])
}

pub(super) fn delivery_row(delivery: &EventDelivery) -> Vec<String> {
    vec![
        delivery.event_id.to_string(),
        delivery.kind.clone().unwrap_or_default(),
        word(&delivery.state),
        delivery.attempts.to_string(),
        optional_moment(delivery.last_at),
        delivery.last_status.map(|status| status.to_string()).unwrap_or_default(),
        optional_moment(delivery.next_at),
        delivery.last_error.clone().unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests;
