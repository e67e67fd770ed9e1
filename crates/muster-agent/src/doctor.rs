//! `muster-agent doctor`: what stands between this machine and its server, one line for each thing that was looked at.
//!
//! It changes nothing and holds nothing: a running agent goes on. It never presents a ticket, and a proof goes only to a
//! server that proved who it is and answered as one. Every look has a deadline. To add one, add a function that returns
//! [`Check`]s to the file it belongs to, and call it in [`examine`].

mod clock;
mod folder;
mod identity;
mod key;
mod report;
mod server;
mod software;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use muster_client::{DialError, Timeouts};
use muster_wire::JoinString;
use tokio::sync::oneshot;

use crate::machine::Machine;
use crate::state::{IdentityState, StateView};

pub use folder::{StateFile, state_files};
pub use report::{Check, Outcome, Report};

/// How long what is asked of this machine itself may take: a disk that hangs, a name service.
const LOCAL_WITHIN: Duration = Duration::from_secs(10);
const STEP_WITHIN: Duration = Duration::from_secs(5);

/// What the state folder says, read without holding it.
pub(crate) struct Known {
    view: Option<StateView>,
    identity: Option<IdentityState>,
}

/// Looks at everything. `setting`: why the environment's proxy cannot be used; `join`: where to look on a machine that
/// has not joined, or instead of where it joined.
pub async fn examine(
    machine: &Machine,
    setting: Option<&DialError>,
    folder: &Path,
    join: Option<&JoinString>,
) -> Report {
    let mut report = Report::default();
    let within = |span| Timeouts { connect: span, handshake: span, response: span };
    let mut machine = machine.clone();
    machine.pace.timeouts = within(STEP_WITHIN);
    let (path, root) = (folder.to_owned(), machine.root.clone());
    let known = match bounded(move || read(&path, &root)).await {
        Some((known, checks)) => {
            report.extend(checks);
            known
        }
        None => {
            report.push(Check::fail("state folder", folder.display(), "its disk does not answer"));
            Known { view: None, identity: None }
        }
    };
    report.extend(identity::checks(&known, join));
    match setting {
        Some(cause) => report.push(Check::fail("proxy", "the environment", crate::error::in_full(cause))),
        None => report.extend(server::checks(&machine, &known, join).await),
    }
    report.push(software::restic(&machine, folder).await);
    let (policy, root) = (machine.policy.clone(), machine.root.clone());
    let local = bounded(move || vec![software::policy(&policy), software::unit(&root)]).await;
    report.extend(local.unwrap_or_default());
    report
}

fn read(path: &Path, root: &Path) -> (Known, Vec<Check>) {
    let mut checks = Vec::new();
    let view = folder::opened(path, &mut checks);
    let mut identity = None;
    if let Some(view) = &view {
        checks.extend(folder::checks(view, root));
        // One that cannot be read is among the checks already.
        identity = view.identity().ok().flatten();
    }
    (Known { view, identity }, checks)
}

/// Does what may hang on a thread of its own; `None`: it hung.
async fn bounded<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, waiting) = oneshot::channel();
    std::thread::spawn(move || drop(done.send(work())));
    tokio::time::timeout(LOCAL_WITHIN, waiting).await.ok()?.ok()
}
