use clap::Subcommand;
use muster_wire::server_keys::{TlsKind, TlsStatus};

use super::informed;
use crate::failure::Failure;
use crate::operator::Operator;
use crate::output::{record, visible};
use crate::words::optional_moment;

const EXAMPLES: &str = "\
Without other files the server makes its own key and certificate; agents pin the key, and the next
one, which is made in advance. A certificate in files (`muster serve --tls-cert --tls-key`) is read
again when the files change, or on SIGHUP; it needs no command.

Examples:
  muster tls show
  muster tls rotate";

/// The certificate machines see; for admins
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Tls {
    /// Show what is shown, until when, and how many hosts know the next key
    #[command(after_help = "Examples:\n  muster tls show\n  muster tls show -o json")]
    Show,
    /// Show the next key from now on and announce another one; open connections stay
    #[command(
        after_help = "Refused while hosts do not know the next key: they learn it when they connect. A host that was\naway for two rotations needs a join string again.\n\nExamples:\n  muster tls rotate\n  muster tls rotate --force"
    )]
    Rotate {
        /// Also when some hosts do not know the next key: they need a join string again
        #[arg(long)]
        force: bool,
    },
}

impl Tls {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let (client, output) = (&operator.client, operator.output);
        let status = match self {
            Self::Show => client.tls().await?,
            Self::Rotate { force } => client.rotate_tls(force).await?,
        };
        output.show(&status, |status| status.pins.join("\n"), describe)
    }
}

fn describe(status: &TlsStatus) -> String {
    let TlsStatus { kind, pins, next_pins, announced_at, expires_at, problem, hosts } = status;
    let kind = match kind {
        TlsKind::Own => "the server's own, pinned",
        TlsKind::PinnedFiles => "files, pinned",
        TlsKind::PublicFiles => "files, publicly valid",
        TlsKind::Absent => "none: something in front of the server speaks TLS",
    };
    record(&[
        ("Certificate", kind.to_owned()),
        ("Valid until", optional_moment(*expires_at)),
        ("Pin", pins.join(", ")),
        ("Next pin", next_pins.join(", ")),
        ("Announced", optional_moment(*announced_at)),
        ("Hosts", informed(*hosts, "know the next key")),
        ("Not shown", problem.as_deref().map(visible).unwrap_or_default().to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use muster_wire::server_keys::HostsInformed;

    use super::*;

    #[test]
    fn whoever_looks_is_told_why_the_files_are_not_shown() {
        let status = TlsStatus {
            kind: TlsKind::PinnedFiles,
            pins: vec!["a".to_owned()],
            next_pins: Vec::new(),
            announced_at: None,
            expires_at: None,
            problem: Some("the key does not belong to the certificate".to_owned()),
            hosts: HostsInformed { hosts: 3, informed: 3 },
        };
        let shown = describe(&status);
        assert!(shown.contains("files, pinned") && shown.contains("the key does not belong"), "{shown}");
    }
}
