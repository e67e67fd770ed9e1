//! Many claims at once: shown together, asked about once, decided one by one.

use muster_client::api::{Answer, ClaimFilter, collect};
use muster_ids::HostId;
use muster_wire::claim::{
    Claim as View, ClaimState, DecideClaims, DecidedClaim, DecidedClaims, MOST_DECISIONS, OneDecision,
    Verdict,
};
use muster_wire::text::Line;

use super::{Decide, HEADER, row};
use crate::failure::Failure;
use crate::input::ask;
use crate::operator::Operator;
use crate::output::table;
use crate::words::word;

/// Most claims that are looked at: a site has no more waiting ones.
const MOST: u64 = 200;

/// Finds a host by name or id, if one is named.
pub(super) async fn optional_host(
    operator: &Operator,
    host: Option<&str>,
) -> Result<Option<HostId>, Failure> {
    match host {
        Some(host) => operator.host(host).await.map(Some),
        None => Ok(None),
    }
}

/// Decides every claim that waits and fits, after showing them.
pub(super) async fn decide(decide: Decide, operator: &Operator) -> Result<(), Failure> {
    let (client, output) = (&operator.client, operator.output);
    let filter = ClaimFilter {
        state: Some(ClaimState::Waiting),
        site_id: operator.optional_site(decide.site.as_deref()).await?,
        reason: decide.reason,
        host_id: optional_host(operator, decide.host.as_deref()).await?,
    };
    if filter.site_id.is_none() && filter.host_id.is_none() {
        let next = "name a host with --host, or a site with --site";
        return Err(Failure::usage("--all decides the claims of one host or one site", next));
    }
    let verdict = decide.verdict();
    let claims = collect(Some(MOST), async |page| client.claims(&filter, &page).await).await?.items;
    if claims.is_empty() {
        return Err(Failure::plain("no claim waits that fits"));
    }
    let now = operator.now();
    output.hint(&format!("{}\n", table(&HEADER, claims.iter().map(|claim| row(claim, now)))));
    for line in preview(&claims, verdict) {
        output.hint(&line);
    }
    if !decide.yes && ask(&format!("{}?", question(claims.len(), verdict)))? == Some(false) {
        return Err(Failure::plain("not decided: you did not say yes"));
    }
    let mut refused = 0;
    for some in claims.chunks(MOST_DECISIONS) {
        let decisions = some.iter().map(|claim| one(claim, verdict, decide.with_secrets));
        let request = DecideClaims { decisions: decisions.collect::<Result<_, _>>()? };
        let decided = client.decide_claims(&request).await?;
        refused += decided.items.iter().filter(|one| one.refused.is_some()).count();
        output.show(&decided, names, outcome)?;
    }
    match refused {
        0 => Ok(()),
        count => Err(Failure::failed(
            format!("{count} of {} claims were not decided", claims.len()),
            "look at them with `muster claim list`, then decide again",
        )),
    }
}

/// Says what stands in the way of some of them.
fn preview(claims: &[Answer<View>], verdict: Verdict) -> Vec<String> {
    let impossible = claims.iter().filter(|claim| !claim.verdicts.contains(&verdict)).count();
    let mut lines = Vec::new();
    if impossible > 0 {
        lines.push(format!("{impossible} of them cannot be decided so, and will be left as they are"));
    }
    if verdict == Verdict::Replace && claims.len() > 1 {
        lines.push(
            "only one machine can take over a host: each decision ends the key of the one before".to_owned(),
        );
    }
    lines
}

fn question(count: usize, verdict: Verdict) -> String {
    let machines = if count == 1 { "this machine".to_owned() } else { format!("these {count} machines") };
    match verdict {
        Verdict::New => format!("make {machines} hosts of their own"),
        Verdict::Reject => format!("refuse {machines}"),
        Verdict::Replace => format!("let {machines} take over what they contest"),
        Verdict::Move => format!("move what {machines} contest, and let them take it over"),
    }
}

fn one(claim: &View, verdict: Verdict, with_secrets: bool) -> Result<OneDecision, Failure> {
    let evidence_version = Line::parse(&claim.evidence_version)
        .map_err(|_| Failure::broken("the server names no version of the evidence", "update muster"))?;
    Ok(OneDecision { claim_id: claim.id, verdict, evidence_version, with_secrets })
}

fn names(decided: &DecidedClaims) -> String {
    let names: Vec<String> = decided.items.iter().map(|one| one.claim_id.to_string()).collect();
    names.join("\n")
}

fn outcome(decided: &DecidedClaims) -> String {
    table(&["CLAIM", "STATE", "HOST", "NOT DECIDED BECAUSE"], decided.items.iter().map(outcome_row))
}

fn outcome_row(one: &DecidedClaim) -> Vec<String> {
    vec![
        one.claim_id.to_string(),
        one.state.as_ref().map(word).unwrap_or_default(),
        one.result_host_id.map(|id| id.to_string()).unwrap_or_default(),
        one.refused.as_ref().map(|refused| refused.detail.clone()).unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_counts_and_names_the_verdict() {
        assert_eq!(question(1, Verdict::Reject), "refuse this machine");
        assert_eq!(question(39, Verdict::Reject), "refuse these 39 machines");
        assert_eq!(question(39, Verdict::New), "make these 39 machines hosts of their own");
    }

    #[test]
    fn what_was_not_decided_says_why() {
        let decided: DecidedClaims = serde_json::from_str(
            r#"{"items": [
                {"claim_id": "claim_0192f0c1a2b37c4d8e5f60718293a4b1", "state": "rejected", "result_host_id": null, "refused": null},
                {"claim_id": "claim_0192f0c1a2b37c4d8e5f60718293a4b2", "state": null, "result_host_id": null,
                 "refused": {"code": "claim_stale", "detail": "look again"}}]}"#,
        )
        .expect("decisions");
        insta::assert_snapshot!(outcome(&decided));
    }
}
