//! Orders the certificate from its directory, when there is none, when it is for other names or of another directory, and when a
//! third of its lifetime is left. What was there before goes on until the next one is whole.
//!
//! An order that fails is not repeated before its time: directories count failures.

use std::time::Duration;

use anyhow::{Context, anyhow};
use muster_acme::{Account, AcmeError, Credentials, KeyAndRequest, Proof};
use muster_http::tls::{NEXT_KEY_FILE, Ordered, TlsError, read_private, write_private};
use tokio_util::sync::CancellationToken;

use super::run::{Pace, Step, run};
use super::tls::reload;
use crate::acme::Acme;
use crate::app::App;
use crate::failure::Failure;
use crate::metrics::Reconciler;

/// From the first request of an order to the certificate.
const ORDER_WITHIN: Duration = Duration::from_secs(300);
/// Written before anything is ordered: a full disk is found out before a directory counts.
const PROBE_BYTES: usize = 64 * 1024;

/// Looks every minute, and whenever it is asked to, until `shutdown`; ends at once where nothing is ordered.
pub async fn orders(app: App, shutdown: CancellationToken) {
    let Some(acme) = app.installation.tls.acme() else { return };
    let step = async |app: App| {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = look(&app) => {}
        }
        Ok(Step::Done)
    };
    let pace = Pace { every: acme.options.pace.look_every, nudge: Some(&acme.nudge) };
    run(&app, Reconciler::Orders, pace, &shutdown, step).await;
}

async fn look(app: &App) {
    let now = app.clock.now();
    let Some(acme) = app.installation.tls.acme().filter(|acme| acme.may_try(now)) else { return };
    let error = match order_if_due(app, acme).await {
        Ok(was_due) => return acme.succeeded(was_due.then_some(now)),
        Err(error) => error,
    };
    let directory = acme.directory.retry_after(now);
    let own = error.downcast_ref().and_then(AcmeError::retry_after);
    let why = format!("{error:#}");
    let wait = acme.failed(why.clone(), directory.max(own), app.entropy.fraction(), app.clock.now());
    tracing::error!(
        why = %why.escape_debug(),
        names = %acme.options.names.join(" "),
        next_try_secs = wait.as_secs(),
        is_temporary = app.installation.tls.expires_at().is_none(),
        "no certificate could be ordered, what is shown goes on"
    );
}

async fn order_if_due(app: &App, acme: &Acme) -> anyhow::Result<bool> {
    let (file, now) = (acme.certificate_file(), app.clock.now());
    let kept = match blocking(move || Ok(Ordered::load(&file, now))).await? {
        Ok(kept) => Some(kept),
        Err(error) if error.is_absent() => None,
        Err(TlsError::Content { .. } | TlsError::Mismatch { .. } | TlsError::Expired { .. }) => None,
        // Another order would mend neither a disk nor a clock.
        Err(error) => return Err(error.into()),
    };
    if !acme.is_due(kept.as_ref(), now) {
        return Ok(false);
    }
    tracing::info!(
        names = %acme.options.names.join(" "),
        directory = %acme.options.directory.escape_debug(),
        is_first = kept.is_none(),
        "ordering a certificate"
    );
    // What a former order was told is over.
    let _ = acme.directory.retry_after(now);
    let ordered = tokio::time::timeout(ORDER_WITHIN, order(acme)).await;
    acme.challenges.clear();
    let (key, chain) = ordered.map_err(|_| AcmeError::TimedOut { within: ORDER_WITHIN })??;
    let (file, from, now) = (acme.certificate_file(), acme.options.directory.clone(), app.clock.now());
    let found = Ordered::parse(&file, &from, &key.key_pem, &chain, now)
        .context("the certificate that was ordered cannot be used")?;
    if acme.is_due(Some(&found), now) {
        return Err(anyhow!("the certificate that was ordered lacks a name, or ends too soon"));
    }
    let ordered = blocking(move || Ok(Ordered::write(&file, &from, &key.key_pem, &chain, now)?)).await?;
    reload(app).await?;
    tracing::info!(not_after = %ordered.identity.not_after, "the certificate that was ordered is shown");
    Ok(true)
}

/// Returns a key and its chain.
async fn order(acme: &Acme) -> anyhow::Result<(KeyAndRequest, String)> {
    let (probe, next_key, names) = (
        acme.certificate_file().with_extension("probe"),
        acme.dir.join(NEXT_KEY_FILE),
        acme.options.names.clone(),
    );
    let request = blocking(move || {
        write_private(&probe, &[0; PROBE_BYTES])?;
        std::fs::remove_file(&probe).context("cannot remove a file")?;
        // Agents of a server that had a key of its own were told of the next one.
        match read_private(&next_key)? {
            Some(pem) => Ok(KeyAndRequest::with_key(std::str::from_utf8(&pem)?, &names)?),
            None => Ok(KeyAndRequest::new(&names)?),
        }
    });
    let request = request.await?;
    let show = |proof: Proof| {
        let shown = acme.challenges.answer(&proof.name, &proof.digest);
        shown.map_err(|error| AcmeError::NotShown(error.into()))
    };
    let names = &acme.options.names;
    let chain = match account(acme).await?.obtain(names, &request, show).await {
        Err(error) if error.is_unknown_account() => {
            sign_up(acme).await?.obtain(names, &request, show).await?
        }
        ordered => ordered?,
    };
    Ok((request, chain))
}

/// Returns the account that is kept, or another one.
async fn account(acme: &Acme) -> anyhow::Result<Account> {
    let file = acme.account_file();
    let kept = blocking(move || Ok(read_private(&file)?)).await?.map(Credentials::kept);
    let Some(credentials) = kept else { return sign_up(acme).await };
    match acme.directory.sign_in(&credentials).await {
        Ok(Some(account)) => Ok(account),
        Ok(None) | Err(AcmeError::Credentials) => sign_up(acme).await,
        Err(error) => Err(error.into()),
    }
}

async fn sign_up(acme: &Acme) -> anyhow::Result<Account> {
    let (account, credentials) = acme.directory.sign_up(acme.options.contact.as_deref()).await?;
    let file = acme.account_file();
    blocking(move || Ok(write_private(&file, credentials.expose())?)).await?;
    Ok(account)
}

/// Does what may wait for a disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Failure::internal)?
}
