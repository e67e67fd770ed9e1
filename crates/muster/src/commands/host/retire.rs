use muster_client::api::Answer;
use muster_ids::HostId;
use muster_wire::host::{RetireHost, RetirementPreview};
use muster_wire::text::Line;

use super::view;
use crate::failure::Failure;
use crate::input::ask;
use crate::operator::Operator;
use crate::output::record;
use crate::words::{joined, yes};

/// Shows what retiring would destroy, asks, and retires exactly what was shown.
pub(super) async fn run(
    operator: &Operator,
    host_id: HostId,
    sure: bool,
    dry_run: bool,
) -> Result<(), Failure> {
    let preview = operator.client.retirement(host_id).await?;
    if dry_run {
        return operator.output.show(&preview, |preview| preview.host_id.to_string(), describe);
    }
    if !sure && !confirmed(&preview)? {
        return Err(Failure::plain("not retired: you did not say yes"));
    }
    let seen = Line::parse(&preview.preview_version)
        .map_err(|_| Failure::plain("the server's preview has no version that can be sent back"))?;
    let host = operator.client.retire_host(host_id, &RetireHost { preview_version: seen }).await?;
    operator.output.show(&host, |host| host.id.to_string(), view::short)
}

fn confirmed(preview: &Answer<RetirementPreview>) -> Result<bool, Failure> {
    eprintln!("{}\n", describe(preview));
    let question = "retire this host for good?";
    ask(question)?.ok_or_else(|| {
        Failure::usage(
            "nobody can be asked: this is no terminal",
            "read the preview above, then repeat with --yes",
        )
    })
}

fn describe(preview: &RetirementPreview) -> String {
    let none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    record(&[
        ("Host", format!("{} ({})", preview.name, preview.host_id)),
        ("Connected now", yes(preview.connected)),
        ("Keys to revoke", none(joined(&preview.keys))),
        ("Secrets to destroy", none(preview.secrets.join(", "))),
        ("Jobs not ended", preview.open_jobs.to_string()),
        ("Claims on it", preview.open_claims.to_string()),
    ])
}

#[cfg(test)]
mod tests;
