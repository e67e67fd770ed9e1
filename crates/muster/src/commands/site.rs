use clap::{Args, Subcommand};
use muster_client::api::collect;
use muster_wire::bounds::Whole;
use muster_wire::site::{
    CreateSite, NewPolicy, OnClone, ReimagePolicy, SetSitePolicy, Site as View, SitePolicy,
};
use muster_wire::text::Name;

use super::Most;
use crate::failure::Failure;
use crate::input::{wire_text, wire_word};
use crate::operator::Operator;
use crate::output::record;
use crate::span::Span;
use crate::words::{moment, word, yes};

const EXAMPLES: &str = "\
Examples:
  muster site create berlin
  muster site create lab --new approve
  muster site policy berlin
  muster site policy berlin --reimage auto --reimage-after 2d
  muster site policy berlin --on-clone suspend";

/// Sites: places of a team, each with its own policy and site keys
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Site {
    /// List the sites of the team
    #[command(after_help = "Examples:\n  muster site list\n  muster site list --team acme -o json")]
    List(Most),
    /// Make a site
    #[command(
        after_help = "Examples:\n  muster site create berlin\n  muster site create lab --new approve --surge 10"
    )]
    Create {
        /// What people call it; unique in the team
        #[arg(value_parser = wire_text::<Name>)]
        name: Name,
        #[command(flatten)]
        change: PolicyChange,
    },
    /// Show or change how a site admits machines
    #[command(
        after_help = "Without options the policy is shown. What is not named stays as it is.\n\nExamples:\n  muster site policy berlin\n  muster site policy berlin --new approve"
    )]
    Policy {
        /// The site, by name or id
        site: String,
        #[command(flatten)]
        change: PolicyChange,
    },
}

/// What to change about a policy.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct PolicyChange {
    /// A machine nobody knows becomes a host (auto) or waits as a claim (approve) [new sites: auto]
    #[arg(long, value_name = "HOW", value_parser = wire_word::<NewPolicy>(&["auto", "approve"]))]
    new: Option<NewPolicy>,
    /// A machine installed anew waits as a claim (approve), or takes over its host if every condition holds (auto)
    /// [new sites: approve]
    #[arg(long, value_name = "HOW", value_parser = wire_word::<ReimagePolicy>(&["approve", "auto"]))]
    reimage: Option<ReimagePolicy>,
    /// Time without contact before `--reimage auto` may act [new sites: 1d]
    #[arg(long, value_name = "TIME")]
    reimage_after: Option<Span>,
    /// New hosts an hour before the rest wait as claims [new sites: 100]
    #[arg(long, value_name = "N")]
    surge: Option<u64>,
    /// Whether machines with a site key must hold a key pair [new sites: true]
    #[arg(long, value_name = "true|false")]
    require_key: Option<bool>,
    /// When a copy of a host shows itself: the host works on if its machine was seen within a day and is held otherwise
    /// (hold), or is suspended at once (suspend) [new sites: hold]
    #[arg(long, value_name = "HOW", value_parser = wire_word::<OnClone>(&["hold", "suspend"]))]
    on_clone: Option<OnClone>,
}

impl PolicyChange {
    fn is_empty(&self) -> bool {
        let Self { new, reimage, reimage_after, surge, require_key, on_clone } = self;
        new.is_none()
            && reimage.is_none()
            && reimage_after.is_none()
            && surge.is_none()
            && require_key.is_none()
            && on_clone.is_none()
    }

    fn apply(&self, policy: &mut SitePolicy) -> Result<(), Failure> {
        if let Some(new) = self.new {
            policy.new = new;
        }
        if let Some(reimage) = self.reimage {
            policy.reimage = reimage;
        }
        if let Some(span) = self.reimage_after {
            policy.reimage_after_secs = Whole::new(span.as_secs())
                .ok_or_else(|| Failure::usage("--reimage-after is out of bounds", "choose at most 365d"))?;
        }
        if let Some(surge) = self.surge {
            policy.surge = Whole::new(surge)
                .ok_or_else(|| Failure::usage("--surge is out of bounds", "choose from 1 to 1000000"))?;
        }
        if let Some(require_key) = self.require_key {
            policy.require_key = require_key;
        }
        if let Some(on_clone) = self.on_clone {
            policy.on_clone = on_clone;
        }
        Ok(())
    }
}

impl Site {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let (client, output) = (&operator.client, operator.output);
        match self {
            Self::List(most) => {
                let sites = collect(most.limit, async |page| client.sites(&page).await).await?;
                let header = ["NAME", "ID", "NEW", "REIMAGE", "SURGE", "REQUIRE KEY", "MADE"];
                output.list(&sites, |site| site.id.to_string(), &header, row, "no sites")
            }
            Self::Create { name, change } => {
                let mut policy = SitePolicy::default();
                change.apply(&mut policy)?;
                let site = client.create_site(&CreateSite { name, policy }).await?;
                output.show(&site, |site| site.id.to_string(), describe)?;
                output.hint(
                    "next: muster ticket mint-site-key SITE, to let its machines join without further ado",
                );
                Ok(())
            }
            Self::Policy { site, change } => {
                let site_id = operator.site(&site).await?;
                let mut site = client.site(site_id).await?;
                if !change.is_empty() {
                    let mut policy = site.policy.clone();
                    change.apply(&mut policy)?;
                    site = client.set_site_policy(site_id, &SetSitePolicy { policy }).await?;
                }
                output.show(&site, |site| site.id.to_string(), describe)
            }
        }
    }
}

fn row(site: &View) -> Vec<String> {
    let policy = &site.policy;
    vec![
        site.name.clone(),
        site.id.to_string(),
        word(&policy.new),
        word(&policy.reimage),
        policy.surge.get().to_string(),
        yes(policy.require_key),
        moment(site.created_at),
    ]
}

fn describe(site: &View) -> String {
    let policy = &site.policy;
    let reimage_after = Span::from_secs(policy.reimage_after_secs.get());
    record(&[
        ("Site", site.id.to_string()),
        ("Name", site.name.clone()),
        ("Team", site.team_id.to_string()),
        ("New machines", word(&policy.new)),
        ("Reimaged machines", word(&policy.reimage)),
        ("Reimage after", reimage_after.to_string()),
        ("Surge", format!("{} new hosts an hour", policy.surge.get())),
        ("Key pair required", yes(policy.require_key)),
        ("Copied hosts", on_clone(policy.on_clone).to_owned()),
        ("Made", moment(site.created_at)),
    ])
}

const fn on_clone(how: OnClone) -> &'static str {
    match how {
        OnClone::Hold => "hold: work on if seen within a day, else held until a person decides",
        OnClone::Suspend => "suspend: suspended at once",
    }
}

#[cfg(test)]
mod tests;
