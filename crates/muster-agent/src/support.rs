//! `muster-agent support`: one JSON document about this machine, to be given away.
//!
//! It is put together from what is known not to be secret, field by field, and never by leaving secrets out of something
//! larger. No file of the state folder is copied. The digest of the configuration is left out too: whoever has it could
//! try out what a weak password is.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use muster_client::DialError;
use muster_ids::{KeyThumbprint, Timestamp};
use muster_wire::channel::{ConfigVersion, Protocol};
use muster_wire::enroll::Facts;
use serde::Serialize;
use url::Url;

use crate::attempts::AttemptOutline;
use crate::doctor::{self, Report, StateFile};
use crate::error::AgentError;
use crate::machine::Machine;
use crate::policy::{Denied, JobKind, Policy};
use crate::state::StateView;
use crate::status::{self, Status};
use crate::{facts, visible};

const LOG: &str = "the agent keeps no log of its own; under systemd it is `journalctl -u muster-agent`";

/// What is given away.
#[derive(Debug, Serialize)]
pub struct Bundle {
    /// When it was made, by this machine's clock.
    pub made_at: Timestamp,
    /// The version of the agent, and of its channel.
    pub versions: Versions,
    /// What the doctor found.
    pub doctor: Report,
    /// Who this machine is, or why that cannot be told.
    pub status: Told<Status>,
    /// Who its server is.
    pub server: Option<KnownServer>,
    /// What its owner allows.
    pub policy: OwnersPolicy,
    /// What it is, as it is reported to the server.
    pub facts: Facts,
    /// The version of its configuration.
    pub config: Told<Option<ConfigVersion>>,
    /// The attempts of jobs it remembers, without what they brought.
    pub attempts: Told<Vec<AttemptOutline>>,
    /// The files of its state folder, without their contents.
    pub state_files: Vec<StateFile>,
    /// Where its log is.
    pub log: &'static str,
}

/// Versions of what runs here.
#[derive(Debug, Serialize)]
pub struct Versions {
    /// `muster-agent`.
    pub agent: &'static str,
    /// The channel, best first.
    pub protocols: Vec<&'static str>,
}

/// Something, or why it could not be told.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Told<T> {
    /// It.
    Known(T),
    /// Why not.
    Unknown {
        /// In words.
        error: String,
    },
}

/// How the server is recognised: all of it is public.
#[derive(Debug, Serialize)]
pub struct KnownServer {
    /// The pinned keys.
    pub pins: Vec<String>,
    /// The key that signs instructions.
    pub instruction_key: KeyThumbprint,
}

/// The machine's own policy.
#[derive(Debug, Serialize)]
pub struct OwnersPolicy {
    /// The kinds of jobs it allows.
    pub allowed: Vec<String>,
    /// What is wrong with its file.
    pub fault: Option<String>,
}

impl<T> Told<T> {
    fn of(told: Result<T, impl std::fmt::Display>) -> Self {
        match told {
            Ok(known) => Self::Known(known),
            Err(cause) => {
                let error = visible::line::<1024>(&cause.to_string());
                Self::Unknown { error: error.map_or_else(String::new, |line| line.to_string()) }
            }
        }
    }
}

/// Puts a bundle together; a running agent goes on.
pub async fn collect(machine: &Machine, setting: Option<&DialError>, folder: &Path) -> Bundle {
    let doctor = doctor::examine(machine, setting, folder, None).await;
    let view = StateView::open(folder).ok().flatten();
    let identity = view.as_ref().and_then(|view| view.identity().ok().flatten());
    let version = view.as_ref().map(|view| view.config().map(|config| config.map(|config| config.version)));
    Bundle {
        made_at: machine.clock.now(),
        versions: Versions {
            agent: env!("CARGO_PKG_VERSION"),
            protocols: Protocol::ALL.map(Protocol::subprotocol).to_vec(),
        },
        doctor,
        status: Told::of(status::read(folder, &machine.policy).map(without_paths)),
        server: identity
            .map(|identity| KnownServer { pins: identity.pins, instruction_key: identity.instruction_key }),
        policy: policy(&machine.policy),
        facts: facts::read(&machine.root, None),
        config: Told::of(version.unwrap_or(Ok(None))),
        attempts: Told::of(view.as_ref().map_or(Ok(Vec::new()), AttemptOutline::all)),
        state_files: doctor::state_files(folder),
        log: LOG,
    }
}

fn policy(path: &Path) -> OwnersPolicy {
    let policy = Policy::read(path);
    let fault = match policy.judge(JobKind::Backup.as_str()) {
        Err(denied @ Denied::Broken { .. }) => Some(denied.to_string()),
        _ => None,
    };
    OwnersPolicy { allowed: policy.summary().iter().map(ToString::to_string).collect(), fault }
}

/// Leaves nothing of addresses but scheme, host and port: who wrote them may have put anything behind.
fn without_paths(status: Status) -> Status {
    let bare = |mut url: Url| {
        url.set_path("");
        url.set_query(None);
        url.set_fragment(None);
        url
    };
    let last_channel = status.last_channel.map(|mut last| {
        last.url = bare(last.url);
        last
    });
    Status { urls: status.urls.into_iter().map(bare).collect(), last_channel, ..status }
}

/// Writes a bundle to a new file that its owner alone may read; `-` is standard output.
pub fn write(bundle: &Bundle, file: &Path) -> Result<(), AgentError> {
    let text = serde_json::to_string_pretty(bundle).expect("a bundle has string keys and no failing field");
    let written = if file == Path::new("-") {
        writeln!(io::stdout(), "{text}")
    } else {
        let opened = File::options().write(true).create_new(true).mode(0o600).open(file);
        opened.and_then(|mut file| writeln!(file, "{text}"))
    };
    written.map_err(|cause| AgentError::System {
        what: format!("the support bundle {} could not be written", file.display()),
        cause,
    })
}
