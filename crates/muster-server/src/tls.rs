//! What the machines' listener shows and agents pin: an identity of the server's own, one the operator keeps in files, or
//! one that is ordered. Another identity is shown from the next handshake on; open connections stay.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use muster_http::tls::{self, Ordered, Shown, TlsError, TlsIdentity};
use muster_ids::Timestamp;
use muster_proof::instruction::MAX_PINS;
use muster_wire::server_keys::{CertificateOrder, TlsKind};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use crate::acme::Acme;

/// Where an identity comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsSource {
    /// The server made it: keys and certificate are in this folder.
    Own {
        /// The folder.
        dir: PathBuf,
        /// Host names and addresses of the certificate.
        names: Vec<String>,
    },
    /// The operator keeps it.
    Files {
        /// The chain, in PEM, leaf first.
        certificate: PathBuf,
        /// The key, in PEM.
        key: PathBuf,
        /// Whether agents pin its key; otherwise it is publicly valid.
        pinned: bool,
    },
    /// It is ordered from a directory, which makes it publicly valid; key and chain are in this file.
    Ordered {
        /// The file, absent before the first order is done.
        file: PathBuf,
    },
}

/// What the listener shows, and what it will show.
#[derive(Debug, Default)]
pub struct Tls {
    served: Option<Served>,
    acme: Option<Acme>,
    /// Brings the next look at the files at once.
    pub nudge: Notify,
    /// Held by whoever changes what is shown: two who look first and switch then must not switch twice.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Served {
    source: TlsSource,
    /// A file with certificates or public keys that will be shown.
    announced: Option<PathBuf>,
    shown: Shown,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: Vec<String>,
    /// How the files looked when they were last read.
    stamps: Vec<Option<(SystemTime, u64)>>,
    problem: Option<String>,
    /// Whether nothing that was ordered was there to be shown: only agents that pin what is shown trust it.
    is_temporary: bool,
}

/// An identity that was found in the files and is not shown yet.
#[derive(Debug)]
pub struct Found {
    identity: TlsIdentity,
    next: Vec<String>,
}

impl Found {
    /// The pin of its key.
    pub fn pin(&self) -> &str {
        &self.identity.spki_pin
    }
}

impl Tls {
    /// Of a server that speaks no TLS itself.
    pub fn absent() -> Self {
        Self::default()
    }

    /// Loads the identity, making the server's own where it is missing.
    pub fn open(source: TlsSource, announced: Option<PathBuf>, now: Timestamp) -> Result<Self, TlsError> {
        let stamps = stamps(&source, announced.as_deref());
        let (identity, next) = read(&source, announced.as_deref(), now)?;
        let state = Mutex::new(State { next, stamps, ..State::default() });
        let served = Served { source, announced, shown: Shown::new(identity), state };
        Ok(Self { served: Some(served), ..Self::default() })
    }

    /// Loads what was ordered before, or shows a temporary identity until an order is done.
    pub fn ordering(acme: Acme, now: Timestamp) -> Result<Self, TlsError> {
        let source = TlsSource::Ordered { file: acme.certificate_file() };
        let stamps = stamps(&source, None);
        let (kept, problem) = match Ordered::load(&acme.certificate_file(), now) {
            Ok(kept) => (Some(kept), None),
            Err(error) if error.is_absent() => (None, None),
            // Whatever is wrong with it, the server starts: only then another one can be ordered.
            Err(error) => (None, Some(error.to_string())),
        };
        let is_temporary = kept.is_none();
        let identity = match kept {
            Some(kept) => kept.identity,
            None => until_ordered(&acme, now)?,
        };
        let shown = Shown::answering(identity, acme.challenges.clone());
        let state = Mutex::new(State { stamps, problem, is_temporary, ..State::default() });
        let served = Served { source, announced: None, shown, state };
        Ok(Self { served: Some(served), acme: Some(acme), ..Self::default() })
    }

    /// The certificate that is ordered, if one is.
    pub fn acme(&self) -> Option<&Acme> {
        self.acme.as_ref()
    }

    /// Brings the next look at the files at once, and the next order, if the last one failed.
    pub fn look_again(&self) {
        self.nudge.notify_one();
        if let Some(acme) = &self.acme {
            acme.try_again();
        }
    }

    /// How the order of the certificate goes, if one is ordered.
    pub fn order(&self) -> Option<CertificateOrder> {
        let (acme, served) = self.acme.as_ref().zip(self.served.as_ref())?;
        let shown = served.shown.identity();
        let is_temporary = served.state().is_temporary;
        Some(acme.status((!is_temporary).then_some((shown.not_before, shown.not_after))))
    }

    /// Waits until nobody else changes what is shown.
    pub async fn take_turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Returns the acceptor of the listener.
    pub fn acceptor(&self) -> Result<Option<TlsAcceptor>, TlsError> {
        self.served.as_ref().map(|served| served.shown.acceptor()).transpose()
    }

    /// What kind of identity is shown.
    pub fn kind(&self) -> TlsKind {
        match self.served.as_ref().map(|served| &served.source) {
            None => TlsKind::Absent,
            Some(TlsSource::Own { .. }) => TlsKind::Own,
            Some(TlsSource::Files { pinned: true, .. }) => TlsKind::PinnedFiles,
            Some(TlsSource::Files { pinned: false, .. }) => TlsKind::PublicFiles,
            Some(TlsSource::Ordered { .. }) => TlsKind::Acme,
        }
    }

    /// Whether agents pin what is shown.
    pub fn is_pinned(&self) -> bool {
        matches!(self.kind(), TlsKind::Own | TlsKind::PinnedFiles)
    }

    /// Pins of what is shown; empty: publicly valid, or no TLS.
    pub fn pins(&self) -> Vec<String> {
        match &self.served {
            Some(served) if self.is_pinned() => vec![served.shown.identity().spki_pin.clone()],
            _ => Vec::new(),
        }
    }

    /// Pins of what will be shown.
    pub fn next_pins(&self) -> Vec<String> {
        let Some(served) = &self.served else { return Vec::new() };
        let shown = served.shown.identity();
        let mut next = served.state().next.clone();
        next.retain(|pin| *pin != shown.spki_pin);
        next
    }

    /// Pins of what is shown and will be; empty: publicly valid.
    pub fn all_pins(&self) -> Vec<String> {
        let mut pins = self.pins();
        if !pins.is_empty() {
            pins.extend(self.next_pins());
        }
        pins
    }

    /// When the certificate that is shown is not valid any more; `None`: nothing is shown that anybody trusts.
    pub fn expires_at(&self) -> Option<Timestamp> {
        let served = self.served.as_ref().filter(|served| !served.state().is_temporary)?;
        Some(served.shown.identity().not_after)
    }

    /// Why the files are not what is shown, if they are not.
    pub fn problem(&self) -> Option<String> {
        self.served.as_ref().and_then(|served| served.state().problem.clone())
    }

    /// Says why the files are not what is shown; `true`: that is news.
    pub fn note_problem(&self, problem: Option<String>) -> bool {
        let Some(served) = &self.served else { return false };
        let mut state = served.state();
        let is_news = state.problem != problem;
        state.problem = problem;
        is_news
    }

    /// Whether the files look other than when they were last taken, or were not taken as they are.
    pub fn has_news(&self) -> bool {
        let Some(served) = &self.served else { return false };
        let stamps = stamps(&served.source, served.announced.as_deref());
        let state = served.state();
        state.problem.is_some() || state.stamps != stamps
    }

    /// Reads the files again; what is announced counts at once, what was found is for [`Self::show`].
    pub fn look(&self, now: Timestamp) -> Result<Option<Found>, TlsError> {
        let Some(served) = &self.served else { return Ok(None) };
        let stamps = stamps(&served.source, served.announced.as_deref());
        let read = read(&served.source, served.announced.as_deref(), now);
        let mut state = served.state();
        state.stamps = stamps;
        let (identity, next) = match read {
            Err(error) if error.is_absent() && served.is_ordered() => return Ok(None),
            read => read?,
        };
        // Beside another key of the server's own lies what comes after that one: agents know neither yet.
        let is_own = matches!(served.source, TlsSource::Own { .. });
        if !is_own || identity.spki_pin == served.shown.identity().spki_pin {
            state.next.clone_from(&next);
        }
        Ok(Some(Found { identity, next }))
    }

    /// Shows what was found from the next handshake on.
    pub fn show(&self, found: Found) {
        if let Some(served) = &self.served {
            let mut state = served.state();
            (state.next, state.is_temporary) = (found.next, false);
            served.shown.show(found.identity);
        }
    }

    /// Puts the server's own next key in the place of the one in use, if it is one of those `announced`, or shows what a
    /// former call put there that broke off. `false`: the identity is not the server's own.
    pub fn switch(&self, now: Timestamp, announced: &[String]) -> Result<bool, TlsError> {
        let Some(served) = &self.served else { return Ok(false) };
        let TlsSource::Own { dir, names } = &served.source else { return Ok(false) };
        // Whatever may fail of what only reads fails before the first key moves.
        let others = with_announced(Vec::new(), served.announced.as_deref())?;
        let shown = served.shown.identity().spki_pin.clone();
        let own = tls::switch(dir, names, now, &shown, announced)?;
        let mut next = vec![own.next_pin];
        next.extend(others);
        next.truncate(MAX_PINS);
        let mut state = served.state();
        state.next = next;
        state.stamps = stamps(&served.source, served.announced.as_deref());
        state.problem = None;
        served.shown.show(own.identity);
        Ok(true)
    }
}

impl Served {
    fn is_ordered(&self) -> bool {
        matches!(self.source, TlsSource::Ordered { .. })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is shown until the first order is done: the server's own identity where agents may pin it, so that they go on.
fn until_ordered(acme: &Acme, now: Timestamp) -> Result<TlsIdentity, TlsError> {
    let names = &acme.options.names;
    if acme.dir.join(tls::KEY_FILE).exists() {
        return Ok(tls::load_or_create(&acme.dir, names, now)?.identity);
    }
    TlsIdentity::temporary(names)
}

fn read(
    source: &TlsSource,
    announced: Option<&Path>,
    now: Timestamp,
) -> Result<(TlsIdentity, Vec<String>), TlsError> {
    let (identity, next) = match source {
        TlsSource::Own { dir, names } => {
            let own = tls::load_or_create(dir, names, now)?;
            (own.identity, vec![own.next_pin])
        }
        TlsSource::Files { certificate, key, .. } => (tls::load(certificate, key, now)?, Vec::new()),
        TlsSource::Ordered { file } => (Ordered::load(file, now)?.identity, Vec::new()),
    };
    Ok((identity, with_announced(next, announced)?))
}

fn with_announced(mut next: Vec<String>, announced: Option<&Path>) -> Result<Vec<String>, TlsError> {
    if let Some(file) = announced {
        next.extend(tls::pins_in(file)?);
    }
    next.truncate(MAX_PINS);
    Ok(next)
}

fn stamps(source: &TlsSource, announced: Option<&Path>) -> Vec<Option<(SystemTime, u64)>> {
    let mut files: Vec<&Path> = announced.into_iter().collect();
    match source {
        TlsSource::Own { .. } => {}
        TlsSource::Files { certificate, key, .. } => files.extend([certificate.as_path(), key.as_path()]),
        TlsSource::Ordered { file } => files.push(file),
    }
    let stamp = |file: &Path| {
        let found = fs::metadata(file).ok()?;
        Some((found.modified().ok()?, found.len()))
    };
    files.into_iter().map(stamp).collect()
}

#[cfg(test)]
mod tests;
