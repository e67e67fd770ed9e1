//! Doors 2 and 3, and two machines with one uid.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, bail};
use muster_ids::HostId;
use muster_wire::claim::{Claim, ClaimState};
use muster_wire::enroll::Disposition;
use muster_wire::host::{Host, HostState};
use muster_wire::page::Page;
use muster_wire::ticket::MintedTicket;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::demo::must;
use crate::demo::report::Report;
use crate::demo::stage::{Stage, until};

/// Exit code of `muster-agent join` when a person must decide.
const WAITING: i32 = 4;

#[derive(Deserialize)]
struct Invited {
    host: Host,
    registration: MintedTicket,
}

/// Door 2: invite, re-issue, register.
pub(super) async fn invited(stage: &mut Stage, report: &mut Report) -> anyhow::Result<HostId> {
    let operator = stage.operator()?.clone();
    let body = json!({ "name": "web-1", "site_id": stage.site_id, "provider": "rack", "zone": "b2", "tags": ["role:web"] });
    let invited: Invited = report
        .step("a host is made before its machine", async { Ok(operator.post("/v1/hosts", &body).await?) })
        .await?;
    let path = format!("/v1/hosts/{}/registration-token", invited.host.id);
    let reissued: MintedTicket = report
        .step("its registration token is issued anew", async { Ok(operator.post(&path, &json!({})).await?) })
        .await?;
    let stranger = stage.machine("door-2-older-token", "door-2");
    let refused = report
        .step("the older token is refused", async {
            let joined = stranger.join(&stage.programs, &invited.registration.join_string).await?;
            must(joined.code == 1, || {
                format!("the older token ended with {}: {}", joined.code, joined.said)
            })?;
            Ok(joined)
        })
        .await?;
    report.detail(refused.said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default());
    let mut machine = stage.machine("door-2", "door-2");
    let joined = report
        .step("the machine registers with its specs", machine.join(&stage.programs, &reissued.join_string))
        .await?;
    must(joined.code == 0, || format!("muster-agent join failed: {}", joined.said))?;
    machine.run(&stage.programs)?;
    stage.running.push(machine);
    let host = report.step("the host is online", stage.online(invited.host.id)).await?;
    must(host.disposition == Some(Disposition::Registered), || format!("it came as {:?}", host.disposition))?;
    let facts = host.reported.context("the host reported nothing")?.facts;
    report.detail(&format!(
        "{}: {} cores, {} MB, {}",
        host.id,
        facts.cpu_cores.get(),
        facts.memory_mb.get(),
        facts.os
    ));
    Ok(host.id)
}

/// Door 3: join with the site key; the same machine again is the same host.
pub(super) async fn zero_touch(stage: &mut Stage, report: &mut Report) -> anyhow::Result<HostId> {
    let operator = stage.operator()?.clone();
    let site_key = stage.site_key.clone().context("there is no site key")?;
    let mut machine = stage.machine("door-3", "door-3");
    let joined = report
        .step("a machine joins with the site key", machine.join(&stage.programs, &site_key.join_string))
        .await?;
    must(joined.code == 0, || format!("muster-agent join failed: {}", joined.said))?;
    let list = "/v1/hosts?q=door-3";
    let host = one(operator.get(list).await?)?;
    let again = report
        .step("the same machine joins again: the same host, no second key", async {
            let joined = machine.join(&stage.programs, &site_key.join_string).await?;
            must(joined.code == 0, || format!("joining again failed: {}", joined.said))?;
            must(joined.said.contains("reuse"), || {
                format!("joining again was not a reuse: {}", joined.said)
            })?;
            one(operator.get(list).await?)
        })
        .await?;
    must(again.id == host.id && again.keys == host.keys, || "joining again changed the host".to_owned())?;
    machine.run(&stage.programs)?;
    stage.running.push(machine);
    let host = report.step("the host is online", stage.online(host.id)).await?;
    report.detail(&format!("{} ({})", host.id, host.name));
    Ok(host.id)
}

/// A fourth process with the same uid and another key: a claim, and the host it contests stays as it is.
pub(super) async fn contested(
    stage: &mut Stage,
    report: &mut Report,
    owner: HostId,
) -> anyhow::Result<HostId> {
    let operator = stage.operator()?.clone();
    let site_key = stage.site_key.clone().context("there is no site key")?;
    let before = stage.host(owner).await?;
    let mut twin = stage.machine("door-3-twin", "door-3");
    let joined = report
        .step("a twin joins: same hardware, another key", twin.join(&stage.programs, &site_key.join_string))
        .await?;
    must(joined.code == WAITING, || format!("the twin was not told to wait: {}", joined.said))?;
    twin.run(&stage.programs)?;
    let claim: Claim = report
        .step("it waits as a claim, with evidence", async {
            let page: Page<Claim> = operator.get("/v1/claims?state=waiting").await?;
            page.items
                .into_iter()
                .find(|claim| claim.contested.as_ref().is_some_and(|host| host.id == owner))
                .context("no claim contests the host")
        })
        .await?;
    show_evidence(report, &claim);
    report
        .step("the contested host is unchanged and connected", async {
            let after = stage.host(owner).await?;
            let changed = changed(&before, &after)?;
            must(changed.is_empty(), || format!("of the contested host changed: {}", changed.join(", ")))?;
            let third = stage.running.last_mut().context("the contested machine is gone")?;
            must(third.is_running()?, || "the contested agent stopped".to_owned())
        })
        .await?;
    let decision = json!({ "verdict": "new", "evidence_version": claim.evidence_version });
    let path = format!("/v1/claims/{}/decision", claim.id);
    let decided: Claim = report
        .step("a person approves it as a new host", async { Ok(operator.post(&path, &decision).await?) })
        .await?;
    must(decided.state == ClaimState::New, || format!("the claim is {:?}", decided.state))?;
    report.claim(decided.reason, decided.state);
    let host_id = decided.result_host_id.context("the decision made no host")?;
    stage.running.push(twin);
    report.step("the new host is online", came_online(stage, host_id)).await?;
    let changed = changed(&before, &stage.host(owner).await?)?;
    must(changed.is_empty(), || {
        format!("the decision changed of the contested host: {}", changed.join(", "))
    })?;
    report.detail(&host_id.to_string());
    Ok(host_id)
}

/// The waiting agent asks again only as often as it was told.
async fn came_online(stage: &Stage, host_id: HostId) -> anyhow::Result<()> {
    until("the approved host does not come online", Duration::from_secs(90), async || {
        let host = stage.host(host_id).await?;
        Ok((host.presence.last_seen_at.is_some() && host.state == HostState::Active).then_some(()))
    })
    .await?;
    stage.online(host_id).await.map(drop)
}

fn show_evidence(report: &Report, claim: &Claim) {
    report.detail(&format!(
        "reason {:?}, key {}, from {}",
        claim.reason, claim.machine.key, claim.machine.source_address
    ));
    for difference in &claim.differences {
        report.detail(&format!(
            "{}: host says {}, machine says {}",
            difference.fact, difference.host, difference.machine
        ));
    }
}

/// Returns the fields of a host that changed, but for what every sign of life changes.
fn changed(before: &Host, after: &Host) -> anyhow::Result<Vec<String>> {
    let quiet = |host: &Host| {
        let mut host = host.clone();
        host.presence.last_seen_at = None;
        host.vitals = None;
        serde_json::to_value(&host)
    };
    let (before, after) = (quiet(before)?, quiet(after)?);
    let fields = |host: &Value| host.as_object().cloned().context("a host is an object");
    let names: BTreeSet<String> =
        fields(&before)?.into_iter().chain(fields(&after)?).map(|(name, _)| name).collect();
    let changed = names.iter().map(String::as_str).filter(|name| before[*name] != after[*name]);
    Ok(changed.map(|name| format!("{name} from {} to {}", before[name], after[name])).collect())
}

fn one(page: Page<Host>) -> anyhow::Result<Host> {
    let mut hosts = page.items.into_iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => Ok(host),
        _ => bail!("there is not exactly one such host"),
    }
}
