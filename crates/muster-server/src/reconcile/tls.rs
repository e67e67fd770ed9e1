//! Certificates: what the files hold now is shown from the next handshake on, and agents are told of the pins.
//!
//! A pair that does not hold is not shown, and neither is a pinned key that some host does not know, nor one of the
//! server's own that appeared in its folder: the one before it goes on, and everybody who looks is told why.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use muster_domain::server_keys::may_switch;
use muster_wire::server_keys::TlsKind;
use tokio_util::sync::CancellationToken;

use super::run::{Pace, Step, run};
use crate::app::App;
use crate::failure::Failure;
use crate::metrics::Reconciler;
use crate::server_keys::{say_pins, spread};
use crate::tls::Found;
use crate::unit::Author;

const EVERY: Duration = Duration::from_secs(30);
/// How often the server's own certificate is looked at, whose files nobody else writes.
const OWN_EVERY: Duration = Duration::from_secs(12 * 3600);

/// Looks every 30 seconds, and whenever it is asked to, until `shutdown`.
pub async fn certificates(app: App, shutdown: CancellationToken) {
    let looked_at = Mutex::new(app.clock.monotonic());
    let step = async |app: App| {
        let monotonic = app.clock.monotonic();
        let is_due = {
            let mut looked_at = looked_at.lock().unwrap_or_else(PoisonError::into_inner);
            let is_due = monotonic.saturating_sub(*looked_at) >= OWN_EVERY;
            if is_due {
                *looked_at = monotonic;
            }
            is_due
        };
        if is_due || has_news(&app).await? {
            reload(&app).await?;
        }
        say_pins(&app, &Author::system()).await?;
        Ok(Step::Done)
    };
    let pace = Pace { every: EVERY, nudge: Some(&app.installation.tls.nudge) };
    run(&app, Reconciler::Certificates, pace, &shutdown, step).await;
}

/// Looks at the files, which may be on a disk that hangs.
async fn has_news(app: &App) -> Result<bool, Failure> {
    let app = app.clone();
    let looked = tokio::task::spawn_blocking(move || app.installation.tls.has_news());
    looked.await.map_err(Failure::internal)
}

/// Reads the files and shows what they hold, if that is possible. `true`: another key is shown now.
pub async fn reload(app: &App) -> Result<bool, Failure> {
    let _turn = app.installation.tls.take_turn().await;
    let (inner, now) = (app.clone(), app.clock.now());
    let looked = tokio::task::spawn_blocking(move || inner.installation.tls.look(now));
    let tls = &app.installation.tls;
    let found = match looked.await.map_err(Failure::internal)? {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(false),
        Err(error) => {
            not_shown(app, &error.to_string());
            return Ok(false);
        }
    };
    let is_other_key = tls.is_pinned() && !tls.pins().iter().any(|pin| pin == found.pin());
    if is_other_key && let Some(why) = why_not(app, &found).await? {
        not_shown(app, &why);
        return Ok(false);
    }
    tls.note_problem(None);
    tls.show(found);
    say_pins(app, &Author::system()).await?;
    Ok(is_other_key)
}

async fn why_not(app: &App, found: &Found) -> Result<Option<String>, Failure> {
    let keys = app.installation.instruction_keys();
    let said = keys.said();
    if !said.keys.next.iter().any(|pin| pin == found.pin()) {
        let why = match app.installation.tls.kind() {
            TlsKind::Own => {
                "the folder of the TLS keys holds one that was not announced to the hosts: put back tls.key"
            }
            _ => {
                "the new certificate has a key that was not announced to the hosts: announce it with --tls-announce"
            }
        };
        return Ok(Some(why.to_owned()));
    }
    let since = said.next_since;
    let informed = app.look(move |tx| spread(tx, since)).await?;
    Ok(may_switch(informed, false).err().map(|unknown| unknown.to_string()))
}

fn not_shown(app: &App, why: &str) {
    if app.installation.tls.note_problem(Some(why.to_owned())) {
        tracing::error!(why, "the certificate in the files is not shown, the one before it goes on");
    }
}
