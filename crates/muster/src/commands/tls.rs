use clap::Subcommand;
use muster_wire::server_keys::{CertificateOrder, TlsKind, TlsStatus};

use super::informed;
use crate::failure::Failure;
use crate::operator::Operator;
use crate::output::{record, visible};
use crate::words::optional_moment;

const EXAMPLES: &str = "\
Without other files the server makes its own key and certificate; agents pin the key, and the next
one, which is made in advance. A certificate in files (`muster serve --tls-cert --tls-key`) is read
again when the files change, or on SIGHUP; it needs no command. Neither does one that is ordered
(`muster serve --acme-domain`): it is renewed by itself.

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
    let TlsStatus { kind, pins, next_pins, announced_at, expires_at, problem, order, hosts } = status;
    let kind = match kind {
        TlsKind::Own => "the server's own, pinned",
        TlsKind::PinnedFiles => "files, pinned",
        TlsKind::PublicFiles => "files, publicly valid",
        TlsKind::Acme if order.as_ref().is_some_and(|order| order.temporary) => {
            "none yet: a temporary one that nobody trusts"
        }
        TlsKind::Acme => "ordered, publicly valid",
        TlsKind::Absent => "none: something in front of the server speaks TLS",
    };
    let mut lines = vec![
        ("Certificate", kind.to_owned()),
        ("Valid until", optional_moment(*expires_at)),
        ("Pin", pins.join(", ")),
        ("Next pin", next_pins.join(", ")),
        ("Announced", optional_moment(*announced_at)),
        ("Hosts", informed(*hosts, "know the next key")),
        ("Not shown", problem.as_deref().map(visible).unwrap_or_default().to_string()),
    ];
    if let Some(order) = order {
        lines.extend([
            ("Ordered for", order.names.join(", ")),
            ("Ordered from", visible(&order.directory)),
            ("Renewed", optional_moment(order.renew_at)),
            ("Last order", optional_moment(order.tried_at)),
            ("Order failed", failed(order)),
            ("Tried again", optional_moment(order.next_try_at)),
        ]);
    }
    record(&lines)
}

fn failed(order: &CertificateOrder) -> String {
    match (&order.problem, order.failures) {
        (Some(why), times @ 2..) => format!("{times} times: {}", visible(why)),
        (Some(why), _) => visible(why),
        (None, _) => String::new(),
    }
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
            order: None,
            hosts: HostsInformed { hosts: 3, informed: 3 },
        };
        let shown = describe(&status);
        assert!(shown.contains("files, pinned") && shown.contains("the key does not belong"), "{shown}");
    }

    #[test]
    fn whoever_looks_is_told_why_there_is_no_certificate_yet() {
        let order = CertificateOrder {
            directory: "https://acme.example/directory".to_owned(),
            names: vec!["muster.example".to_owned()],
            temporary: true,
            renew_at: None,
            failures: 3,
            problem: Some("the directory could not verify muster.example: \u{1b}[2J".to_owned()),
            tried_at: None,
            next_try_at: None,
        };
        let hosts = HostsInformed { hosts: 0, informed: 0 };
        let status = TlsStatus {
            kind: TlsKind::Acme,
            pins: Vec::new(),
            next_pins: Vec::new(),
            announced_at: None,
            expires_at: None,
            problem: None,
            order: Some(order),
            hosts,
        };
        let shown = describe(&status);
        assert!(shown.contains("a temporary one that nobody trusts"), "{shown}");
        assert!(shown.contains("3 times: the directory could not verify muster.example"), "{shown}");
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
}
