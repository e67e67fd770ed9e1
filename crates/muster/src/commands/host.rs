use clap::{Args, Subcommand};
use muster_client::api::{HostFilter, collect};
use muster_ids::Timestamp;
use muster_wire::explanation::{ExplainRegistrationToken, ExplainTicket};
use muster_wire::host::{HostKind, HostState, InviteHost, MoveHost, Presence, SetTags};
use muster_wire::text::{Line, Name, Tag};
use muster_wire::ticket::{CreateRegistrationToken, EphemeralHours};

use super::Most;
use super::ticket::explain::planned;
use super::ticket::many::Files;
use super::ticket::{describe_minted, ephemeral_hours, hint_at_agent, one_time_life};
use crate::failure::Failure;
use crate::input::{wire_text, wire_word};
use crate::operator::Operator;
use crate::span::{Span, moment_or_ago};

mod change;
mod history;
mod keys;
mod many;
mod retire;
mod tags;
mod view;

const EXAMPLES: &str = "\
Examples:
  muster host list --presence online
  muster host show web-1
  muster host invite web-2 --site berlin --tag web
  muster host retire web-1";

/// Hosts: machines that were admitted or invited
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Host {
    /// List hosts
    #[command(
        after_help = "Examples:\n  muster host list\n  muster host list --state active --presence unreachable\n  muster host list --name web-\n  muster host list --state active --seen-before 7d\n  muster host list --site berlin --tag web -o json\n  muster host list --view stale --site berlin"
    )]
    List(List),
    /// Show one host: state, presence, key, what it reports
    #[command(after_help = "Examples:\n  muster host show web-1\n  muster host show web-1 -o json")]
    Show {
        /// The host, by name or id
        host: String,
    },
    /// Show when a host could be reached, how it was, and what it said differently
    #[command(after_help = history::HELP)]
    History {
        /// The host, by name or id
        host: String,
        /// How many days, 1 to 30 as far as they are kept [default: 7]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=30))]
        days: Option<u64>,
    },
    /// Make a host before its machine is there, with the token that registers it
    #[command(
        after_help = "Shows the join string once; with -q it is all that is written.\n\nExamples:\n  muster host invite web-2\n  muster host invite web-2 --site berlin --provider hetzner --zone fsn1 --tag web -q > join-string"
    )]
    Invite(Invite),
    /// Make hosts from a CSV file and write their join strings into one file
    #[command(after_help = many::HELP)]
    InviteMany(Files),
    /// Mint a new registration token of a host; older ones are void
    #[command(
        after_help = "Shows the join string once; with -q it is all that is written.\n\nExamples:\n  muster host registration-token web-2\n  muster host registration-token web-1 --rejoin -q > join-string"
    )]
    RegistrationToken {
        /// The host, by name or id
        host: String,
        /// Give an active host a new key: for a machine that was installed anew
        #[arg(long)]
        rejoin: bool,
        /// How long the token may be used, from 5m to 30d [default: 1h]
        #[arg(long, value_name = "TIME")]
        expires_in: Option<Span>,
        /// Refuse a machine that cannot hold a key pair
        #[arg(long)]
        require_key: bool,
        /// Retire the host after so many hours without contact [default: as it stands]
        #[arg(long, value_name = "HOURS", value_parser = ephemeral_hours)]
        ephemeral: Option<EphemeralHours>,
        /// Say what the token would admit, and mint nothing
        #[arg(long)]
        explain: bool,
    },
    /// Retire a host for good: its keys are revoked and its secrets destroyed
    #[command(
        after_help = "Shows what would be destroyed and asks first.\n\nExamples:\n  muster host retire web-1\n  muster host retire web-1 --dry-run\n  muster host retire web-1 --yes"
    )]
    Retire {
        /// The host, by name or id
        host: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        /// Show what would be destroyed and stop
        #[arg(long, conflicts_with = "yes")]
        dry_run: bool,
    },
    /// Suspend a host: it keeps its keys and is refused everything
    #[command(after_help = "Examples:\n  muster host suspend web-1")]
    Suspend {
        /// The host, by name or id
        host: String,
    },
    /// Let a suspended host work again
    #[command(after_help = "Examples:\n  muster host resume web-1")]
    Resume {
        /// The host, by name or id
        host: String,
    },
    /// Move a host to another site; it keeps id, keys, tags and secrets
    #[command(
        after_help = "Claims on the host are closed: their machines are judged anew.\n\nExamples:\n  muster host move web-1 --site hamburg"
    )]
    Move {
        /// The host, by name or id
        host: String,
        /// Site it stands at from now on, by name or id
        #[arg(long, value_name = "SITE")]
        site: String,
    },
    /// Change many hosts at once, those of them that can: tags, suspend, resume, move, retire
    #[command(after_help = change::HELP)]
    Change(change::Change),
    /// Ask a host to replace its key pair, now or when it connects
    #[command(
        after_help = "The agent makes the next key and proves both; the former one opens nothing from then on. Watch it\nwith: muster host keys list HOST\n\nExamples:\n  muster host rotate-key web-1"
    )]
    RotateKey {
        /// The host, by name or id
        host: String,
    },
    /// Keys of a host: list, mint for machines without a key pair, revoke
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Change the tags of a host
    #[command(
        after_help = "Examples:\n  muster host tag web-1 --add web --remove staging\n  muster host tag web-1 --set web,env=prod\n  muster host tag web-1 --clear"
    )]
    Tag(tags::Change),
}

/// Which hosts to list.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only hosts of this saved view of yours; a filter that is said beside it wins over the same one of the view
    #[arg(long, value_name = "NAME", value_parser = wire_text::<Name>)]
    view: Option<Name>,
    /// Only hosts of this site, by name or id
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// Only hosts in this state
    #[arg(long, value_name = "STATE", value_parser = wire_word::<HostState>(&["invited", "active", "suspended", "retired"]))]
    state: Option<HostState>,
    /// Only hosts that can be reached like this
    #[arg(long, value_name = "PRESENCE", value_parser = wire_word::<Presence>(&["online", "unreachable", "offline", "never_seen"]))]
    presence: Option<Presence>,
    /// Only hosts with this tag
    #[arg(long, value_name = "TAG", value_parser = wire_text::<Tag>)]
    tag: Option<Tag>,
    /// Only hosts whose name, host name, machine uid or address begins with this, or with this tag
    #[arg(long, visible_alias = "search", value_name = "PREFIX", value_parser = wire_text::<Line<253>>)]
    name: Option<Line<253>>,
    /// Only hosts that came through this door: 1 one-time token, 2 invitation, 3 site key
    #[arg(long, value_name = "DOOR", value_parser = clap::value_parser!(u8).range(1..=3))]
    door: Option<u8>,
    /// Only hosts whose agent has exactly this version
    #[arg(long, value_name = "VERSION", value_parser = wire_text::<Line<64>>)]
    agent_version: Option<Line<64>>,
    /// Only hosts last seen before: a moment like 2026-01-31T12:00:00Z, or how long ago, like 24h
    #[arg(long, value_name = "WHEN", value_parser = moment_or_ago)]
    seen_before: Option<Timestamp>,
    /// Only hosts seen since: a moment, or how long ago
    #[arg(long, value_name = "WHEN", value_parser = moment_or_ago)]
    seen_after: Option<Timestamp>,
    /// Only hosts that are held until a person answers which machine is genuine
    #[arg(long)]
    held: bool,
    /// Only hosts of this kind
    #[arg(long, value_name = "KIND", value_parser = wire_word::<HostKind>(&["shared", "team"]))]
    kind: Option<HostKind>,
    #[command(flatten)]
    most: Most,
}

/// The host that is expected.
#[derive(Debug, Args)]
pub(crate) struct Invite {
    /// What people call it
    #[arg(value_parser = wire_text::<Name>)]
    name: Name,
    /// Site it will stand at, by name or id; the site `default` when not said
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// Who runs the hardware
    #[arg(long, value_name = "NAME", value_parser = wire_text::<Line<64>>)]
    provider: Option<Line<64>>,
    /// Where the provider keeps it
    #[arg(long, value_name = "NAME", value_parser = wire_text::<Line<64>>)]
    zone: Option<Line<64>>,
    /// Tag it will have; repeat for several
    #[arg(long = "tag", value_name = "TAG", value_parser = wire_text::<Tag>)]
    tags: Vec<Tag>,
    /// How long its registration token may be used, from 5m to 30d [default: 1h]
    #[arg(long, value_name = "TIME")]
    expires_in: Option<Span>,
    /// Refuse a machine that cannot hold a key pair
    #[arg(long)]
    require_key: bool,
    /// Retire it after so many hours without contact [default: never]
    #[arg(long, value_name = "HOURS", value_parser = ephemeral_hours)]
    ephemeral: Option<EphemeralHours>,
}

impl Host {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let (client, output) = (&operator.client, operator.output);
        match self {
            Self::List(list) => list.run(operator).await,
            Self::Show { host } => {
                let host = client.host(operator.host(&host).await?).await?;
                let sites = view::SiteNames::read(operator).await;
                let now = operator.now();
                output.show(&host, |host| host.id.to_string(), |host| view::describe(host, &sites, now))
            }
            Self::History { host, days } => history::run(operator, operator.host(&host).await?, days).await,
            Self::Invite(invite) => invite.run(operator).await,
            Self::InviteMany(files) => many::run(operator, &files).await,
            Self::RegistrationToken { host, rejoin, expires_in, require_key, ephemeral, explain } => {
                let expires_in_secs = expires_in.map(one_time_life).transpose()?;
                let host_id = operator.host(&host).await?;
                let require_key = require_key.then_some(true);
                let request = CreateRegistrationToken {
                    expires_in_secs,
                    rejoin,
                    require_key,
                    ephemeral_hours: ephemeral,
                };
                if explain {
                    let asked = ExplainRegistrationToken { host_id, token: request };
                    return planned(operator, ExplainTicket::RegistrationToken(asked)).await;
                }
                let minted = client.create_registration_token(host_id, &request).await?;
                output.show(&minted, |minted| minted.join_string.clone(), describe_minted)?;
                hint_at_agent(operator);
                Ok(())
            }
            Self::Retire { host, yes, dry_run } => {
                retire::run(operator, operator.host(&host).await?, yes, dry_run).await
            }
            Self::Suspend { host } => {
                let host = client.suspend_host(operator.host(&host).await?).await?;
                output.show(&host, |host| host.id.to_string(), view::short)?;
                output.hint("undo it with: muster host resume HOST");
                Ok(())
            }
            Self::Resume { host } => {
                let host = client.resume_host(operator.host(&host).await?).await?;
                output.show(&host, |host| host.id.to_string(), view::short)
            }
            Self::Move { host, site } => {
                let to = MoveHost { site_id: operator.site(&site).await? };
                let host = client.move_host(operator.host(&host).await?, &to).await?;
                let sites = view::SiteNames::read(operator).await;
                output.show(&host, |host| host.id.to_string(), |host| view::moved(host, &sites))
            }
            Self::Change(change) => change.run(operator).await,
            Self::RotateKey { host } => keys::rotate(operator, operator.host(&host).await?).await,
            Self::Keys(keys) => keys.run(operator).await,
            Self::Tag(change) => {
                let host_id = operator.host(change.host()).await?;
                let before = client.host(host_id).await?;
                let tags = change.apply(before.tags.iter().cloned())?;
                let host = client.set_tags(host_id, &SetTags { tags }).await?;
                output.show(&host, |host| host.id.to_string(), view::short)
            }
        }
    }
}

impl List {
    async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let view = match &self.view {
            Some(name) => Some(operator.view(name.as_str()).await?),
            None => None,
        };
        let filter = HostFilter {
            view,
            name: None,
            site_id: operator.optional_site(self.site.as_deref()).await?,
            state: self.state,
            tag: self.tag,
            presence: self.presence,
            q: self.name.map(|prefix| prefix.to_string()),
            door: self.door,
            agent_version: self.agent_version.map(|version| version.to_string()),
            seen_before: self.seen_before,
            seen_after: self.seen_after,
            held: self.held.then_some(true),
            kind: self.kind,
        };
        let client = &operator.client;
        let hosts = collect(self.most.limit, async |page| client.hosts(&filter, &page).await).await?;
        let sites = view::SiteNames::read(operator).await;
        let now = operator.now();
        let name = |host: &muster_wire::host::Host| host.id.to_string();
        let none = "no hosts; admit a machine with: muster ticket mint-token";
        operator.output.list(&hosts, name, &view::HEADER, |host| view::row(host, &sites, now), none)
    }
}

impl Invite {
    async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let request = InviteHost {
            name: self.name,
            site_id: operator.optional_site(self.site.as_deref()).await?,
            provider: self.provider,
            zone: self.zone,
            tags: self.tags.into_iter().collect(),
            expires_in_secs: self.expires_in.map(one_time_life).transpose()?,
            require_key: self.require_key,
            ephemeral_hours: self.ephemeral,
        };
        let invited = operator.client.invite_host(&request).await?;
        operator.output.show(
            &invited,
            |invited| invited.registration.join_string.clone(),
            |invited| format!("{}\n\n{}", view::short(&invited.host), describe_minted(&invited.registration)),
        )?;
        hint_at_agent(operator);
        Ok(())
    }
}
