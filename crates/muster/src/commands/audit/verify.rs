use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use muster_server::backup::Place;
use muster_server::trail::offline::StoppedTrail;
use muster_store::Location;
use muster_wire::audit::{AnchorState, AuditAnchor, AuditBreak, AuditVerification, BreakKind};
use serde_json::json;

use crate::cli::Global;
use crate::failure::Failure;
use crate::operator::Operator;
use crate::output::{Output, record};

pub(super) const EXAMPLES: &str = "\
Keep the head it prints somewhere the database cannot be changed from, and name it the next time:
who can write to the database may also put back an older state of it, and only that shows it.

Examples:
  muster audit verify
  muster audit verify --anchor 1042:9f1c2b3a4d5e6f70
  muster audit verify --data-dir /var/lib/muster     # while the server is stopped

Exit code 5: the trail was changed behind the server's back.";

/// Breaks that are shown.
const SHOWN: usize = 100;

/// Which trail, and against what.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Head of an earlier verification: says whether it is still part of the chain
    #[arg(long, value_name = "POSITION:MAC", value_parser = head)]
    anchor: Option<AuditAnchor>,
    /// Data folder of a stopped server, instead of asking a running one
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// With --data-dir: another database than the embedded one, as `muster serve` has it
    #[arg(long, env = "MUSTER_DATABASE", hide_env_values = true, value_name = "URL")]
    database: Option<String>,
    /// With --data-dir: file with the master key, as `muster serve` has it
    #[arg(long, env = "MUSTER_MASTER_KEY_FILE", hide_env_values = true, value_name = "FILE")]
    master_key_file: Option<PathBuf>,
}

/// Who verifies: a running server, or this process.
enum Verifier {
    Server(Box<Operator>),
    Here(StoppedTrail),
}

impl Verifier {
    async fn verify(&self, after: u64, anchor: Option<AuditAnchor>) -> Result<AuditVerification, Failure> {
        match self {
            Self::Server(operator) => Ok(operator.client.audit_verify(after, anchor).await?.into_value()),
            Self::Here(trail) => {
                let verified = trail.verify(after, anchor).await;
                verified.map_err(|error| Failure::plain(format!("cannot read the audit trail: {error}")))
            }
        }
    }
}

impl Verify {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let output = global.output();
        let anchor = self.anchor;
        let verifier = match self.place()? {
            Some(place) => {
                let opened = StoppedTrail::open(place).await;
                Verifier::Here(opened.map_err(|error| Failure::plain(format!("{error:#}")))?)
            }
            None => Verifier::Server(Box::new(Operator::connect(global).await?)),
        };
        let verified = whole(&verifier, anchor, output).await;
        if let Verifier::Here(trail) = verifier {
            trail.close().await;
        }
        report(&verified?, anchor, output)
    }

    fn place(self) -> Result<Option<Place>, Failure> {
        let Some(data_dir) = self.data_dir else { return Ok(None) };
        // Parsed here and not by clap, which would quote the password of a text that does not hold.
        let database = self.database.as_deref().map(Location::parse).transpose();
        let database = database.map_err(|error| Failure::usage(error.to_string(), "correct --database"))?;
        Ok(Some(Place { data_dir, database, master_key_file: self.master_key_file }))
    }
}

fn head(text: &str) -> Result<AuditAnchor, &'static str> {
    text.parse().map_err(|_| "expected POSITION:MAC, as `muster audit verify` prints it as the head")
}

/// Verifies part after part, up to the end.
async fn whole(
    verifier: &Verifier,
    anchor: Option<AuditAnchor>,
    output: Output,
) -> Result<AuditVerification, Failure> {
    let mut whole = verifier.verify(0, anchor).await?;
    while !whole.is_end {
        if output.is_table() && io::stderr().is_terminal() {
            eprint!("\r{} of {} verified", whole.through, whole.head.position());
        }
        let part = verifier.verify(whole.through, anchor).await?;
        if part.through <= whole.through && !part.is_end {
            return Err(Failure::plain("the server does not get on with the audit trail"));
        }
        let checked = whole.checked + part.checked;
        // An end of the chain that does not hold is told with every part.
        let known = whole.breaks.clone();
        let mut breaks = whole.breaks;
        breaks.extend(part.breaks.iter().filter(|found| !known.contains(found)));
        breaks.truncate(SHOWN);
        whole = AuditVerification { checked, breaks, ..part };
    }
    if output.is_table() && io::stderr().is_terminal() {
        eprint!("\r\u{1b}[K");
    }
    Ok(whole)
}

fn report(whole: &AuditVerification, anchor: Option<AuditAnchor>, output: Output) -> Result<(), Failure> {
    let is_broken = !whole.breaks.is_empty() || whole.anchor == Some(AnchorState::Broken);
    if output.is_json() {
        let document = json!({ "holds": !is_broken, "checked": whole.checked, "begin": whole.begin,
            "through": whole.through, "breaks": whole.breaks, "unsealed": whole.unsealed, "head": whole.head, "anchor": whole.anchor });
        output.line(&document.to_string())?;
    } else if output.is_table() {
        output.line(&record(&[
            ("Verified", format!("{} entries, up to position {}", whole.checked, whole.through)),
            (
                "Begins",
                if whole.begin > 0 {
                    format!("after {}, which was dropped for its age", whole.begin)
                } else {
                    String::new()
                },
            ),
            (
                "Not sealed",
                if whole.unsealed > 0 {
                    format!("{} entries have no position yet and are not verified", whole.unsealed)
                } else {
                    String::new()
                },
            ),
            ("Head", whole.head.to_string()),
            ("Anchor", whole.anchor.map(|state| in_words(state).to_owned()).unwrap_or_default()),
        ]))?;
        whole.breaks.iter().try_for_each(|found| output.line(&said(found)))?;
    } else {
        output.line(&whole.head.to_string())?;
    }
    if !is_broken {
        return Ok(());
    }
    let cause = match (whole.breaks.first(), anchor) {
        (Some(found), _) => format!("the audit trail does not hold: {}", said(found)),
        (None, Some(anchor)) => format!("the audit trail does not hold: {anchor} is not part of it any more"),
        (None, None) => "the audit trail does not hold".to_owned(),
    };
    Err(Failure::broken(
        cause,
        "compare with an export or a backup of before, and find out who can write to the database",
    ))
}

fn in_words(state: AnchorState) -> &'static str {
    match state {
        AnchorState::Holds => "is still part of the chain",
        AnchorState::Dropped => "was dropped for its age: nothing can be said",
        AnchorState::Broken => "is not part of the chain",
    }
}

fn said(found: &AuditBreak) -> String {
    let place = match found.until {
        Some(until) => format!("positions {} to {until}", found.position),
        None => format!("position {}", found.position),
    };
    let what = match found.kind {
        BreakKind::Changed => "was changed",
        BreakKind::Missing => "missing",
        BreakKind::Moved => "was sealed at another place",
        BreakKind::Inserted => "was not written by the server",
        BreakKind::Truncated => "cut off the end",
        BreakKind::Head => "the head that is kept is not the server's last",
        BreakKind::Tail => "the beginning that is kept is not the server's",
    };
    format!("{place}: {what}")
}
