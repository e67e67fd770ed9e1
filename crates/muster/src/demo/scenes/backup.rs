//! Door 1: the token carries the repository's credentials; the host's first job is a real backup.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use data_encoding::BASE64URL_NOPAD;
use muster_edge::Entropy;
use muster_ids::HostId;
use muster_wire::host::Host;
use muster_wire::job::{Job, JobState};
use muster_wire::page::Page;
use muster_wire::secret::SecretMetadata;
use muster_wire::ticket::MintedTicket;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::demo::must;
use crate::demo::parts::RepositoryServer;
use crate::demo::report::Report;
use crate::demo::stage::{Stage, until};

pub(super) async fn play(stage: &mut Stage, report: &mut Report) -> anyhow::Result<HostId> {
    let folder = stage.folder().join("repository");
    let starting = RepositoryServer::start(&stage.programs, &folder, random_password(), random_password());
    let repository =
        report.step("restic repository server started (rclone, user and password)", starting).await?;
    let minting = mint(stage, &repository);
    let token: MintedTicket =
        report.step("one-time token minted, with the repository's credentials sealed in it", minting).await?;
    let mut machine = stage.machine("door-1", "door-1");
    let joined = report
        .step(
            "a machine joins over TLS with the join string",
            machine.join(&stage.programs, &token.join_string),
        )
        .await?;
    must(joined.code == 0, || format!("muster-agent join failed: {}", joined.said))?;
    machine.run(&stage.programs)?;
    stage.running.push(machine);
    let host = report.step("the host is online", host_of(stage, &token)).await?;
    report.detail(&format!("{} ({})", host.id, host.name));
    let secret =
        report.step("the sealed secret is delivered and confirmed", delivered(stage, host.id)).await?;
    let source = stage.folder().join("precious");
    let bytes = write_files(&source)?;
    let job = start_backup(stage, host.id, &source).await?;
    let job = report.step("first backup, by the real restic", finished(stage, report.bar(), job)).await?;
    let delivered_first = job
        .started_at
        .zip(secret.deliveries.first())
        .is_some_and(|(started_at, delivery)| delivery.delivered_at <= started_at);
    must(delivered_first, || "the job began before the secret was confirmed".to_owned())?;
    let result = job.result.context("the job has no result")?;
    let listed = report.step("restic itself lists the snapshot", repository.snapshots()).await?;
    let snapshot = listed.iter().find(|id| {
        id.starts_with(result.snapshot_id.as_str()) || result.snapshot_id.as_str().starts_with(id.as_str())
    });
    let snapshot = snapshot.with_context(|| format!("restic does not list {}", result.snapshot_id))?;
    must(result.bytes_processed >= bytes, || "the backup holds fewer bytes than the folder".to_owned())?;
    report.detail(&format!("snapshot {snapshot}, {} files, {} bytes", result.files, result.bytes_processed));
    report.backup(snapshot, result.bytes_processed);
    stage.repository = Some(repository);
    Ok(host.id)
}

fn random_password() -> SecretString {
    SecretString::from(BASE64URL_NOPAD.encode(&Entropy.bytes::<24>()))
}

async fn mint(stage: &Stage, repository: &RepositoryServer) -> anyhow::Result<MintedTicket> {
    let body = json!({
        "host_name": "db-1",
        "site_id": stage.site_id,
        "tags": ["role:database"],
        "secrets": { "repo": {
            "url": repository.url,
            "user": repository.user,
            "http_password": repository.http_password.expose_secret(),
            "password": repository.password.expose_secret(),
        } },
    });
    Ok(stage.operator()?.post("/v1/enrolment-tokens", &body).await?)
}

/// Finds the host a token made, and waits until it is online.
async fn host_of(stage: &Stage, token: &MintedTicket) -> anyhow::Result<Host> {
    let ticket: muster_wire::ticket::Ticket =
        stage.operator()?.get(&format!("/v1/tickets/{}", token.ticket.id)).await?;
    stage.online(ticket.last_host_id.context("the token made no host")?).await
}

async fn delivered(stage: &Stage, host_id: HostId) -> anyhow::Result<SecretMetadata> {
    until("the secret is not confirmed", Duration::from_secs(30), async || {
        let page: Page<SecretMetadata> =
            stage.operator()?.get(&format!("/v1/hosts/{host_id}/secrets")).await?;
        Ok(page.items.into_iter().find(|secret| secret.name == "repo" && !secret.deliveries.is_empty()))
    })
    .await
}

/// Writes a few files worth keeping and returns their size.
fn write_files(folder: &Path) -> anyhow::Result<u64> {
    const FILES: u64 = 24;
    const CHUNKS: u64 = 8 * 1024;
    fs::create_dir_all(folder)?;
    for n in 0..FILES {
        let bytes: Vec<u8> = (0..CHUNKS).flat_map(|_| Entropy.bytes::<32>()).collect();
        fs::write(folder.join(format!("ledger-{n}.bin")), bytes)?;
    }
    Ok(FILES * CHUNKS * 32)
}

async fn start_backup(stage: &Stage, host_id: HostId, source: &Path) -> anyhow::Result<Job> {
    let body = json!({ "work": { "kind": "backup", "paths": [source], "tags": ["demo"] } });
    Ok(stage.operator()?.post(&format!("/v1/hosts/{host_id}/jobs"), &body).await?)
}

async fn finished(stage: &Stage, bar: Option<indicatif::ProgressBar>, job: Job) -> anyhow::Result<Job> {
    let path = format!("/v1/jobs/{}", job.id);
    let job = until("the backup does not end", Duration::from_secs(120), async || {
        let job: Job = stage.operator()?.get(&path).await?;
        if let (Some(bar), Some(progress)) = (&bar, &job.progress) {
            bar.set_position(progress.percent.get());
        }
        Ok(job.state.has_ended().then_some(job))
    })
    .await?;
    if job.state != JobState::Succeeded {
        bail!("the backup {:?}: {}", job.state, job.failure.unwrap_or_default());
    }
    Ok(job)
}
