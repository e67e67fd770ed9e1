use clap::{ArgGroup, Args};
use muster_wire::host_change::{
    ChangeHosts, ChangedHost, ChangedHosts, HostChange, HostChangePreview, HostOutcome, MOST_CHANGED,
    PreviewHostChange, PreviewedHost,
};
use muster_wire::text::{Line, Tag};

use crate::commands::secret::many_hosts;
use crate::failure::Failure;
use crate::input::{ask, wire_text};
use crate::operator::Operator;
use crate::output::table;
use crate::words::{joined, word};

pub(super) const HELP: &str = "\
Shows what would become of each host and asks first. A host that cannot change so is left as it is,
and the others change; if anything changed since it was shown, nothing is done.

Examples:
  muster host change web-1 web-2 --add-tag web,env=prod --remove-tag staging
  muster host change web-1 web-2 --suspend --yes
  muster host change web-1 web-2 --to-site hamburg
  muster host change web-1 web-2 --retire --dry-run";

/// What is done to which hosts.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(true).args(["add_tag", "remove_tag", "suspend", "resume", "to_site", "retire"]))]
pub(crate) struct Change {
    /// The hosts, by name or id; at most 100
    #[arg(required = true, value_name = "HOST")]
    hosts: Vec<String>,
    /// Add tags
    #[arg(long, value_name = "TAG", value_delimiter = ',', value_parser = wire_text::<Tag>, conflicts_with_all = ["suspend", "resume", "to_site", "retire"])]
    add_tag: Vec<Tag>,
    /// Remove tags
    #[arg(long, value_name = "TAG", value_delimiter = ',', value_parser = wire_text::<Tag>, conflicts_with_all = ["suspend", "resume", "to_site", "retire"])]
    remove_tag: Vec<Tag>,
    /// Suspend them: they keep their keys and are refused everything
    #[arg(long, conflicts_with_all = ["resume", "to_site", "retire"])]
    suspend: bool,
    /// Let them work again
    #[arg(long, conflicts_with_all = ["to_site", "retire"])]
    resume: bool,
    /// Move them to this site, by name or id
    #[arg(long, value_name = "SITE", conflicts_with = "retire")]
    to_site: Option<String>,
    /// Retire them for good: keys are revoked and secrets destroyed
    #[arg(long)]
    retire: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Show what would become of each host and stop
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

impl Change {
    pub(super) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let change = self.change(operator).await?;
        let hosts = many_hosts::<MOST_CHANGED>(operator, &self.hosts).await?;
        let asked = PreviewHostChange { hosts: hosts.clone(), change: change.clone() };
        let preview = operator.client.preview_host_change(&asked).await?;
        if self.dry_run {
            return operator.output.show(&preview, names, describe);
        }
        if !self.yes && preview.changes == 0 {
            operator.output.show(&preview, names, describe)?;
            operator.output.hint("nothing was changed: none of these hosts would change");
            return Ok(());
        }
        if !self.yes && !confirmed(&preview)? {
            return Err(Failure::plain("nothing was changed: you did not say yes"));
        }
        let preview_version = Line::parse(&preview.preview_version)
            .map_err(|_| Failure::plain("the server's preview has no version that can be sent back"))?;
        let changed = operator.client.change_hosts(&ChangeHosts { hosts, change, preview_version }).await?;
        operator.output.show(&changed, changed_names, describe_changed)
    }

    async fn change(&self, operator: &Operator) -> Result<HostChange, Failure> {
        Ok(match &self.to_site {
            Some(site) => HostChange::Move { site_id: operator.site(site).await? },
            None if self.suspend => HostChange::Suspend {},
            None if self.resume => HostChange::Resume {},
            None if self.retire => HostChange::Retire {},
            None => HostChange::Tags {
                add: self.add_tag.iter().cloned().collect(),
                remove: self.remove_tag.iter().cloned().collect(),
            },
        })
    }
}

fn confirmed(preview: &HostChangePreview) -> Result<bool, Failure> {
    eprintln!("{}\n", describe(preview));
    let question = format!("change {} of {} hosts?", preview.changes, preview.items.len());
    ask(&question)?.ok_or_else(|| {
        Failure::usage(
            "nobody can be asked: this is no terminal",
            "read the preview above, then repeat with --yes",
        )
    })
}

fn names(preview: &HostChangePreview) -> String {
    let changing = preview.items.iter().filter(|item| item.outcome == HostOutcome::Changes);
    changing.map(|item| item.host_id.to_string()).collect::<Vec<_>>().join("\n")
}

fn changed_names(changed: &ChangedHosts) -> String {
    let changed = changed.items.iter().filter(|item| item.outcome == HostOutcome::Changes);
    changed.map(|item| item.host_id.to_string()).collect::<Vec<_>>().join("\n")
}

fn describe(preview: &HostChangePreview) -> String {
    table(&["HOST", "NAME", "STATE", "OUTCOME", "DETAILS"], preview.items.iter().map(row))
}

fn row(item: &PreviewedHost) -> Vec<String> {
    vec![item.host_id.to_string(), item.name.clone(), word(&item.state), word(&item.outcome), details(item)]
}

/// Says why a host cannot change, which tags it would have, or what it would lose.
fn details(item: &PreviewedHost) -> String {
    if let Some(refused) = &item.refused {
        return refused.detail.clone();
    }
    if let Some(tags) = &item.tags_after {
        return format!("tags: {}", joined(tags));
    }
    item.retirement.as_ref().filter(|_| item.outcome == HostOutcome::Changes).map_or_else(
        String::new,
        |lost| {
            format!(
                "{} keys, {} secrets, {} open jobs, {} claims",
                lost.keys.len(),
                lost.secrets.len(),
                lost.open_jobs,
                lost.open_claims
            )
        },
    )
}

fn describe_changed(changed: &ChangedHosts) -> String {
    let row = |item: &ChangedHost| {
        let why = item.refused.as_ref().map(|refused| refused.detail.clone()).unwrap_or_default();
        vec![item.host_id.to_string(), word(&item.state), word(&item.outcome), why]
    };
    table(&["HOST", "STATE", "OUTCOME", "DETAILS"], changed.items.iter().map(row))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn shown(extra: &Value) -> PreviewedHost {
        let mut item = json!({
            "host_id": "host_0190c0de00007000800000000000c0de", "name": "web", "state": "active",
            "site_id": "site_0190c0de00007000800000000000c0de", "tags": [], "outcome": "changes",
            "refused": null, "tags_after": null, "retirement": null,
        });
        item.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(item).unwrap()
    }

    #[test]
    fn each_host_says_what_becomes_of_it() {
        assert_eq!(details(&shown(&json!({}))), "");
        assert_eq!(details(&shown(&json!({ "tags_after": ["a", "b"] }))), "tags: a, b");
        let refused =
            json!({ "outcome": "refused", "refused": { "code": "not_possible", "detail": "it is gone" } });
        assert_eq!(details(&shown(&refused)), "it is gone");
        let lost = json!({ "retirement": {
            "host_id": "host_0190c0de00007000800000000000c0de", "name": "web", "connected": true, "keys": [],
            "secrets": ["repo"], "open_jobs": 2, "open_claims": 0, "preview_version": "x",
        }});
        assert_eq!(details(&shown(&lost)), "0 keys, 1 secrets, 2 open jobs, 0 claims");
    }
}
