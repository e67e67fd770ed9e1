//! Retiring: the agent gets the signed `revoked` and stops; a stolen copy of its key opens no door.

use std::time::Duration;

use anyhow::Context;
use muster_ids::HostId;
use muster_wire::host::{Host, HostState, RetirementPreview};
use muster_wire::ticket::MintedTicket;
use serde_json::json;

use crate::demo::must;
use crate::demo::report::Report;
use crate::demo::stage::Stage;
use crate::demo::stolen_key::StolenKey;

/// Exit code of an agent whose key was revoked.
const REVOKED: i32 = 5;

pub(super) async fn play(stage: &mut Stage, report: &mut Report, host_id: HostId) -> anyhow::Result<()> {
    let operator = stage.operator()?.clone();
    let mut machine = stage.running.pop().context("the machine to retire is gone")?;
    let stolen = StolenKey::copy(&machine.state, host_id, stage.dialer.clone(), stage.base.clone())?;
    let path = format!("/v1/hosts/{host_id}");
    let preview: RetirementPreview = report
        .step("what retiring would destroy is shown first", async {
            Ok(operator.get(&format!("{path}/retirement")).await?)
        })
        .await?;
    report.detail(&format!(
        "{} key(s), {} secret(s), connected: {}",
        preview.keys.len(),
        preview.secrets.len(),
        preview.connected
    ));
    let body = json!({ "preview_version": preview.preview_version });
    let retired: Host = report
        .step("the host is retired", async { Ok(operator.post(&format!("{path}/retire"), &body).await?) })
        .await?;
    must(retired.state == HostState::Retired, || format!("the host is {:?}", retired.state))?;
    let (code, last_words) = report
        .step("its agent gets the signed `revoked`, stops and says why", async {
            let ended = tokio::time::timeout(Duration::from_secs(10), machine.ended()).await;
            ended.context("the agent does not stop")?
        })
        .await?;
    must(code == REVOKED, || format!("the agent ended with {code}: {last_words}"))?;
    report.detail(&last_words);
    let site_key = stage.site_key.clone().context("there is no site key")?.token;
    let one_time: MintedTicket =
        operator.post("/v1/enrolment-tokens", &json!({ "site_id": stage.site_id })).await?;
    report
        .step("a stolen copy of its key is refused at every door", async {
            for (door, code) in [
                ("door 1", stolen.enroll(&one_time.token).await?),
                ("door 3", stolen.enroll(&site_key).await?),
                ("heartbeat", stolen.heartbeat().await?),
                ("channel", stolen.connect().await?),
            ] {
                must(code == "key_revoked", || format!("{door} answered {code}"))?;
            }
            Ok(())
        })
        .await
}
