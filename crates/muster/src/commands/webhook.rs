use clap::{ArgGroup, Args, Subcommand};
use muster_client::api::collect;
use muster_ids::{DeliveryId, EndpointId, Timestamp};
use muster_wire::endpoint::{
    CreateEndpoint, DeliveryState, Endpoint, EndpointKind, EndpointTarget, EventDelivery, MadeEndpoint,
    Overlap, Redeliver, RotateSigningSecret, RotatedSigningSecret, TestEndpoint, WebhookConfig,
};
use muster_wire::happening::Happening;
use muster_wire::notification::HttpUrl;
use muster_wire::page::Page;
use muster_wire::text::Name;
use secrecy::ExposeSecret;

use super::Most;
use super::notify::{delivery_row, describe, happening, row, show_tested, taken};
use crate::failure::Failure;
use crate::input::{Source, wire_text, wire_word};
use crate::operator::Operator;
use crate::output::{record, visible};
use crate::span::{Span, moment_or_ago};
use crate::words::moment;

const EXAMPLES: &str = "\
Each event is one POST of JSON, signed as Standard Webhooks says (webhook-id, webhook-timestamp,
webhook-signature). Events about one host come in their order; each comes at least once, again under the
same webhook-id when it is not known whether it arrived. A receiver that fails is tried for three days.

Examples:
  muster webhook create siem --to https://siem.example/hook
  muster webhook test siem
  muster webhook deliveries siem --state failed
  muster webhook redeliver siem --since 2h";

/// Webhooks: events as signed requests to your programs
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Webhook {
    /// Send events to a URL from now on; the signing secret is shown once
    #[command(
        after_help = "A test message is sent first, and nothing is stored unless it was taken; --untested leaves that out.\n\nExamples:\n  muster webhook create siem --to https://siem.example/hook\n  muster webhook create pager --to-file hook-url --event host.unreachable --event host.back\n  muster webhook create siem --to https://siem.example/hook -q > signing-secret"
    )]
    Create(Create),
    /// List webhooks
    #[command(after_help = "Examples:\n  muster webhook list\n  muster webhook list -o json")]
    List(Most),
    /// Show one webhook, without its URL's path and without its secret
    #[command(after_help = "Examples:\n  muster webhook show siem")]
    Show(Named),
    /// Send a test message to a webhook
    #[command(after_help = "Exits with 1 when it is not taken.\n\nExamples:\n  muster webhook test siem")]
    Test(Named),
    /// Send nothing until it is resumed; what happens meanwhile waits, for as long as events are kept
    #[command(after_help = "Examples:\n  muster webhook pause siem")]
    Pause(Named),
    /// Send again, first what waited
    #[command(after_help = "Examples:\n  muster webhook resume siem")]
    Resume(Named),
    /// Remove a webhook with its secret and its log
    #[command(after_help = "Examples:\n  muster webhook remove siem")]
    Remove(Named),
    /// List what was sent and what was not, the newest first
    #[command(
        after_help = "Examples:\n  muster webhook deliveries siem\n  muster webhook deliveries siem --state failed --limit 20"
    )]
    Deliveries {
        #[command(flatten)]
        webhook: Named,
        /// Only those that stand here
        #[arg(long, value_name = "STATE", value_parser = wire_word::<DeliveryState>(&["waiting", "delivered", "failed"]))]
        state: Option<DeliveryState>,
        #[command(flatten)]
        most: Most,
    },
    /// Send again what was sent, or given up
    #[command(
        after_help = "Receivers know an event that comes again by its webhook-id.\n\nExamples:\n  muster webhook redeliver siem --since 2h\n  muster webhook redeliver siem --delivery DELIVERY"
    )]
    Redeliver(Again),
    /// Make another signing secret; messages are signed with both for a while
    #[command(
        after_help = "Examples:\n  muster webhook rotate-secret siem\n  muster webhook rotate-secret siem --overlap 0s     # it leaked"
    )]
    RotateSecret {
        #[command(flatten)]
        webhook: Named,
        /// How long messages are signed with the former secret too, at most 1w [default: 1d]
        #[arg(long, value_name = "TIME")]
        overlap: Option<Span>,
    },
}

/// Which webhook.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The webhook, by name or id
    webhook: String,
}

/// Where events go.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("target").required(true).args(["to", "to_file"]))]
pub(crate) struct Create {
    /// What to call it
    #[arg(value_parser = wire_text::<Name>)]
    name: Name,
    /// Where events are posted to
    #[arg(long, value_name = "URL", value_parser = wire_text::<HttpUrl>)]
    to: Option<HttpUrl>,
    /// File with the URL, when it is a credential; - reads standard input
    #[arg(long, value_name = "FILE")]
    to_file: Option<Source>,
    /// Kind of event it hears of; repeat for several [default: all]
    #[arg(long = "event", value_name = "KIND", value_parser = happening)]
    events: Vec<Happening>,
    /// Store it without sending a test message first
    #[arg(long)]
    untested: bool,
}

/// What is sent again.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["since", "delivery"]))]
pub(crate) struct Again {
    #[command(flatten)]
    webhook: Named,
    /// Everything that happened since: a moment like 2026-01-31T12:00:00Z, or how long ago, like 2h
    #[arg(long, value_name = "WHEN", value_parser = moment_or_ago)]
    since: Option<Timestamp>,
    /// One delivery, by its id
    #[arg(long, value_name = "DELIVERY")]
    delivery: Option<String>,
}

impl Webhook {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let (client, output) = (&operator.client, operator.output);
        let find = async |named: Named| operator.endpoint(&named.webhook).await;
        let endpoint = match self {
            Self::Create(create) => return create.run(operator).await,
            Self::List(most) => return list(operator, most).await,
            Self::Redeliver(again) => return again.run(operator).await,
            Self::Test(named) => {
                let tested = client.test_endpoint(find(named).await?).await?;
                return show_tested(
                    output,
                    &tested,
                    "see `muster webhook show`, and the receiver it is sent to",
                );
            }
            Self::Deliveries { webhook, state, most } => {
                let id = find(webhook).await?;
                let log = collect(most.limit, async |page| client.deliveries(id, state, &page).await).await?;
                let header = ["ID", "EVENT", "KIND", "STATE", "TRIES", "LAST", "STATUS", "NEXT", "WHY NOT"];
                let row = |one: &EventDelivery| [vec![one.id.to_string()], delivery_row(one)].concat();
                return output.list(&log, |one| one.id.to_string(), &header, row, "no deliveries");
            }
            Self::RotateSecret { webhook, overlap } => {
                return rotate(operator, find(webhook).await?, overlap).await;
            }
            Self::Show(named) => client.endpoint(find(named).await?).await?,
            Self::Pause(named) => client.pause_endpoint(find(named).await?).await?,
            Self::Resume(named) => client.resume_endpoint(find(named).await?).await?,
            Self::Remove(named) => client.remove_endpoint(find(named).await?).await?,
        };
        output.show(&endpoint, |endpoint| endpoint.id.to_string(), describe)
    }
}

impl Create {
    async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let url = match (self.to, &self.to_file) {
            (Some(url), _) => url,
            (None, Some(file)) => HttpUrl::parse(file.read_line("URL")?.expose_secret())
                .map_err(|_| Failure::usage("this is not a URL", "the file holds one line, https://…"))?,
            (None, None) => return Err(Failure::usage("there is no URL", "name one with --to")),
        };
        let target = EndpointTarget::Webhook(WebhookConfig { url });
        if !self.untested {
            let tested = operator.client.test_target(&TestEndpoint { target: target.clone() }).await?;
            taken(&tested, "nothing was stored; put it right, or leave the test out with --untested")?;
        }
        let events = self.events.into_iter().collect();
        let request =
            CreateEndpoint { name: self.name, target, events, group_for_secs: None, quiet_hours: None };
        let made = operator.client.create_endpoint(&request).await?;
        let secret = |made: &MadeEndpoint| made.signing_secret.clone().unwrap_or_default();
        operator.output.show(&made, secret, |made| {
            format!("{}\n\n{}", describe(&made.endpoint), shown_once(&secret(made)))
        })?;
        operator.output.hint(CHECKED_WITH);
        Ok(())
    }
}

impl Again {
    async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let (client, output) = (&operator.client, operator.output);
        let endpoint_id = operator.endpoint(&self.webhook.webhook).await?;
        if let Some(delivery) = &self.delivery {
            let delivery = client.redeliver(endpoint_id, delivery_id(delivery)?).await?;
            return output.show(
                &delivery,
                |one| one.id.to_string(),
                |one| format!("{} is sent again", one.id),
            );
        }
        let since = self.since.unwrap_or_else(|| operator.now());
        let asked = client.redeliver_since(endpoint_id, &Redeliver { since }).await?;
        output.show(
            &asked,
            |asked| asked.count.to_string(),
            |asked| format!("{} events are sent again", asked.count),
        )
    }
}

fn delivery_id(text: &str) -> Result<DeliveryId, Failure> {
    text.parse().map_err(|_| {
        let cause = format!("`{}` is not the id of a delivery", visible(text));
        Failure::usage(cause, "`muster webhook deliveries` shows ids")
    })
}

const CHECKED_WITH: &str = "\nnext: give it to the receiver, which checks signatures with it";

fn shown_once(secret: &str) -> String {
    format!("signing secret, shown this once:\n{}", visible(secret))
}

async fn list(operator: &Operator, most: Most) -> Result<(), Failure> {
    let client = &operator.client;
    let endpoints = collect(None, async |page| client.endpoints(&page).await).await?;
    let is_webhook = |endpoint: &Endpoint| endpoint.kind == EndpointKind::Webhook;
    let most = most.limit.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    let items = endpoints.items.into_iter().filter(|endpoint| is_webhook(endpoint)).take(most).collect();
    let webhooks = Page { items, next_cursor: None };
    let header = ["NAME", "ID", "KIND", "TARGET", "EVENTS", "STATE"];
    operator.output.list(&webhooks, |endpoint| endpoint.id.to_string(), &header, row, "no webhooks")
}

async fn rotate(operator: &Operator, endpoint_id: EndpointId, overlap: Option<Span>) -> Result<(), Failure> {
    let out_of_bounds = || Failure::usage("--overlap is out of bounds", "choose from 0s to 1w");
    let overlap_secs =
        overlap.map(|span| Overlap::new(span.as_secs()).ok_or_else(out_of_bounds)).transpose()?;
    let request = RotateSigningSecret { overlap_secs };
    let rotated = operator.client.rotate_signing_secret(endpoint_id, &request).await?;
    let secret = |rotated: &RotatedSigningSecret| rotated.signing_secret.clone();
    operator.output.show(&rotated, secret, |rotated| {
        let until = record(&[("Former until", moment(rotated.former_until))]);
        format!("{until}\n\n{}", shown_once(&secret(rotated)))
    })?;
    operator.output.hint(CHECKED_WITH);
    Ok(())
}
