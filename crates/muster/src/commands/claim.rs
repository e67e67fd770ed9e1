use clap::{ArgGroup, Args, Subcommand};
use muster_client::api::{Answer, ClaimFilter, collect};
use muster_ids::{ClaimId, Timestamp};
use muster_wire::claim::{Claim as View, ClaimReason, ClaimState, DecideClaim, Verdict};
use muster_wire::text::Line;

use super::Most;
use crate::failure::Failure;
use crate::input::{ask, wire_word};
use crate::lookup::id;
use crate::operator::Operator;
use crate::words::{relative, word};

mod evidence;
mod many;

const REASONS: &[&str] =
    &["collision", "reimage", "uid_taken", "retired", "approval", "surge", "site_conflict", "clone"];

const EXAMPLES: &str = "\
Examples:
  muster claim list
  muster claim show CLAIM
  muster claim decide CLAIM --new";

const DECIDE_EXAMPLES: &str = "\
Shows the evidence and, on a terminal, asks. Should the evidence change meanwhile, the server
refuses.

Examples:
  muster claim decide CLAIM --new                       # another machine: a host of its own
  muster claim decide CLAIM --replace                   # the same machine, installed anew
  muster claim decide CLAIM --replace --with-secrets    # and it receives the host's secrets
  muster claim decide CLAIM --move                      # the same machine, at another site
  muster claim decide CLAIM --reject                    # it does not belong here
  muster claim decide --all --host HOST --reason clone --reject    # every copy of this host";

/// Claims: machines that wait for your decision
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Claim {
    /// List claims that wait for a decision
    #[command(
        after_help = "Examples:\n  muster claim list\n  muster claim list --state rejected\n  muster claim list --all -o json"
    )]
    List {
        /// Only claims in this state
        #[arg(long, value_name = "STATE", default_value = "waiting", value_parser = wire_word::<ClaimState>(&["waiting", "replaced", "moved", "new", "rejected", "expired", "closed"]))]
        state: ClaimState,
        /// Only claims at this site, by name or id
        #[arg(long, value_name = "SITE")]
        site: Option<String>,
        /// Only claims that contest this host, by name or id
        #[arg(long, value_name = "HOST")]
        host: Option<String>,
        /// Only claims that wait for this
        #[arg(long, value_name = "REASON", value_parser = wire_word::<ClaimReason>(REASONS))]
        reason: Option<ClaimReason>,
        /// Claims in every state
        #[arg(long, conflicts_with = "state")]
        all: bool,
        #[command(flatten)]
        most: Most,
    },
    /// Show a claim with its evidence
    #[command(after_help = "Examples:\n  muster claim show CLAIM\n  muster claim show CLAIM --exit-code -q")]
    Show {
        /// The claim's id
        claim: String,
        /// Exit 4 while nobody has decided
        #[arg(long)]
        exit_code: bool,
    },
    /// Decide a claim on the evidence it shows
    #[command(after_help = DECIDE_EXAMPLES)]
    Decide(Decide),
    /// Let a rejected machine ask again
    #[command(after_help = "Examples:\n  muster claim clear CLAIM")]
    Clear {
        /// The claim's id
        claim: String,
    },
}

/// What is decided.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["new", "replace", "move_host", "reject", "verdict"]))]
#[command(group = ArgGroup::new("which").required(true).args(["claim", "all"]))]
pub(crate) struct Decide {
    /// The claim's id
    claim: Option<String>,
    /// Every waiting claim that --host, --site and --reason leave
    #[arg(long)]
    all: bool,
    /// With --all: only claims that contest this host, by name or id
    #[arg(long, value_name = "HOST", conflicts_with = "claim")]
    host: Option<String>,
    /// With --all: only claims at this site, by name or id
    #[arg(long, value_name = "SITE", conflicts_with = "claim")]
    site: Option<String>,
    /// With --all: only claims that wait for this
    #[arg(long, value_name = "REASON", conflicts_with = "claim", value_parser = wire_word::<ClaimReason>(REASONS))]
    reason: Option<ClaimReason>,
    /// The verdict as a word, in place of one of the four below
    #[arg(long, value_name = "VERDICT", value_parser = wire_word::<Verdict>(&["new", "replace", "move", "reject"]))]
    verdict: Option<Verdict>,
    /// The machine becomes a host of its own
    #[arg(long)]
    new: bool,
    /// The machine takes over the contested host; that host's key is revoked
    #[arg(long)]
    replace: bool,
    /// As --replace, and the contested host moves to this site
    #[arg(long = "move")]
    move_host: bool,
    /// The machine is refused
    #[arg(long)]
    reject: bool,
    /// It also receives the contested host's secrets, if you may manage those
    #[arg(long, conflicts_with_all = ["new", "reject"])]
    with_secrets: bool,
    /// Decide only if the evidence is still this version, as `claim show` names it
    #[arg(long, value_name = "VERSION", conflicts_with = "all")]
    evidence: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

const HEADER: [&str; 8] = ["ID", "REASON", "STATE", "HOSTNAME", "FROM", "CONTESTS", "ASKED", "LAPSES"];

impl Claim {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let (client, output) = (&operator.client, operator.output);
        let name = |claim: &View| claim.id.to_string();
        match self {
            Self::List { state, site, host, reason, all, most } => {
                let site_id = operator.optional_site(site.as_deref()).await?;
                let host_id = many::optional_host(operator, host.as_deref()).await?;
                let filter = ClaimFilter { state: (!all).then_some(state), site_id, reason, host_id };
                let claims = collect(most.limit, async |page| client.claims(&filter, &page).await).await?;
                let now = operator.now();
                output.list(&claims, name, &HEADER, |claim| row(claim, now), "no claims")?;
                if !claims.items.is_empty() {
                    output.hint("\nnext: muster claim show ID");
                }
                Ok(())
            }
            Self::Show { claim, exit_code } => {
                let claim = client.claim(id("claim", &claim)?).await?;
                output.show(&claim, name, evidence::describe)?;
                if exit_code && claim.state == ClaimState::Waiting {
                    return Err(Failure::waiting("nobody has decided this claim", decide_with(&claim)));
                }
                if claim.state == ClaimState::Waiting {
                    output.hint(&format!("\nnext: {}", decide_with(&claim)));
                }
                Ok(())
            }
            Self::Decide(decide) => decide.run(operator).await,
            Self::Clear { claim } => {
                let claim = client.clear_claim(id("claim", &claim)?).await?;
                output.show(&claim, name, evidence::outcome)
            }
        }
    }
}

impl Decide {
    async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let Some(claim) = &self.claim else { return many::decide(self, operator).await };
        let claim_id: ClaimId = id("claim", claim)?;
        let claim = operator.client.claim(claim_id).await?;
        operator.output.hint(&format!("{}\n", evidence::describe(&claim)));
        if !self.yes && ask(&format!("{}?", self.says(&claim)))? == Some(false) {
            return Err(Failure::plain("not decided: you did not say yes"));
        }
        let seen = self.evidence.as_deref().unwrap_or(&claim.evidence_version);
        let evidence_version = Line::parse(seen).map_err(|_| {
            Failure::usage("this is not a version of evidence", "copy it as `muster claim show` names it")
        })?;
        let request =
            DecideClaim { verdict: self.verdict(), evidence_version, with_secrets: self.with_secrets };
        let again =
            format!("the evidence changed meanwhile: run `muster claim show {claim_id}`, then decide again");
        let decided = operator.client.decide_claim(claim_id, &request).await;
        let decided = decided.map_err(|error| Failure::from(error).advise("claim_stale", again))?;
        operator.output.show(&decided, |claim| claim.id.to_string(), evidence::outcome)
    }

    fn verdict(&self) -> Verdict {
        if let Some(verdict) = self.verdict {
            return verdict;
        }
        match (self.new, self.replace, self.move_host) {
            (true, _, _) => Verdict::New,
            (false, true, _) => Verdict::Replace,
            (false, false, true) => Verdict::Move,
            (false, false, false) => Verdict::Reject,
        }
    }

    fn says(&self, claim: &View) -> String {
        let contested = claim.contested.as_ref().map_or("the contested host", |host| host.name.as_str());
        let machine = &claim.machine.hostname;
        match self.verdict() {
            Verdict::New => format!("make {machine} a host of its own"),
            Verdict::Replace if self.with_secrets => {
                format!("let {machine} take over {contested} and receive its secrets")
            }
            Verdict::Replace => format!("let {machine} take over {contested}"),
            Verdict::Move if self.with_secrets => {
                format!("move {contested} to this site, let {machine} take it over and receive its secrets")
            }
            Verdict::Move => format!("move {contested} to this site and let {machine} take it over"),
            Verdict::Reject => format!("refuse {machine}"),
        }
    }
}

fn decide_with(claim: &Answer<View>) -> String {
    let options: Vec<String> = claim.verdicts.iter().map(|verdict| format!("--{}", word(verdict))).collect();
    format!("muster claim decide {} {}", claim.id, options.join(" | "))
}

fn row(claim: &View, now: Timestamp) -> Vec<String> {
    vec![
        claim.id.to_string(),
        word(&claim.reason),
        word(&claim.state),
        claim.machine.hostname.to_string(),
        claim.machine.source_address.clone(),
        claim.contested.as_ref().map(|host| host.name.clone()).unwrap_or_default(),
        relative(claim.created_at, now),
        if claim.state == ClaimState::Waiting { relative(claim.expires_at, now) } else { String::new() },
    ]
}

#[cfg(test)]
mod tests;
