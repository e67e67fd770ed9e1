//! `/settings/certificate`: what the listener of the machines shows, and who knows what it will show next.

use askama::Template;
use http::HeaderMap;
use muster_wire::server_keys::{RotateServerKey, TlsKind, TlsStatus};

use crate::form::Form;
use crate::markup::{self, Markup};
use crate::refusal::Refusal;
use crate::respond::see_other;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};
use crate::words::Tone;

const PATH: &str = "/v1/installation/tls";
/// A certificate that ends within these days, and is not renewed by itself, is somebody's business.
const SOON: std::time::Duration = std::time::Duration::from_secs(21 * 86_400);

#[derive(Template)]
#[template(path = "settings_certificate.html")]
pub(crate) struct CertificatePage {
    shell: Shell,
    tab: &'static str,
    tls: TlsStatus,
    is_done: bool,
}

#[derive(Template)]
#[template(path = "settings_certificate_rotate.html")]
pub(crate) struct RotatePage {
    shell: Shell,
    tls: TlsStatus,
    refusal: Option<Refusal>,
}

/// `GET /settings/certificate`
pub(crate) async fn get(visit: Visit) -> Answered {
    let tls: TlsStatus = visit.api.get(PATH).await?;
    let is_done = visit.query.is("done", "rotated");
    visit.page(&CertificatePage { shell: visit.shell("Certificate"), tab: "certificate", tls, is_done })
}

/// `GET /settings/certificate/rotate`
pub(crate) async fn preview(visit: Visit) -> Answered {
    show(&visit, None).await
}

/// `POST /settings/certificate/rotate`
pub(crate) async fn rotate(visit: Visit, form: Form) -> Answered {
    let request = RotateServerKey { force: form.is_ticked("force") };
    match visit.api.post::<TlsStatus>(&format!("{PATH}/rotate"), &request).await {
        Ok(_) => Ok(see_other("/settings/certificate?done=rotated", &HeaderMap::new())),
        Err(refusal) if refusal.is_of_form() => show(&visit, Some(refusal)).await,
        Err(refusal) => Err(refusal.into()),
    }
}

async fn show(visit: &Visit, refusal: Option<Refusal>) -> Answered {
    let tls: TlsStatus = visit.api.get(PATH).await?;
    visit.page(&RotatePage { shell: visit.shell("Replace the TLS key"), tls, refusal })
}

fn missing(tls: &TlsStatus) -> u64 {
    tls.hosts.hosts.saturating_sub(tls.hosts.informed)
}

impl CertificatePage {
    fn state(&self) -> Markup {
        let ends_soon = self.tls.expires_at.is_some_and(|at| at < self.shell.now.plus(SOON));
        let ended = self.tls.expires_at.is_some_and(|at| at < self.shell.now);
        let is_temporary = self.tls.order.as_ref().is_some_and(|order| order.temporary);
        match () {
            () if ended && self.tls.kind != TlsKind::Own => markup::tinted("ended", Tone::Bad),
            () if is_temporary => markup::tinted("temporary", Tone::Bad),
            () if self.tls.problem.is_some() => markup::tinted("not what the files say", Tone::Warn),
            () if ends_soon && self.tls.kind == TlsKind::PublicFiles => {
                markup::tinted("ends soon", Tone::Warn)
            }
            () => markup::tinted("shown", Tone::Good),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::samples::{self, HOSTILE, NOW, ago, of};

    const PIN: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

    fn own() -> TlsStatus {
        of(json!({
            "kind": "own", "pins": [PIN], "next_pins": [PIN], "announced_at": ago(80_000),
            "expires_at": NOW.plus(std::time::Duration::from_secs(8_000_000)), "problem": null, "order": null,
            "hosts": { "hosts": 12, "informed": 11 },
        }))
    }

    fn ordered() -> TlsStatus {
        of(json!({
            "kind": "acme", "pins": [], "next_pins": [], "announced_at": null, "expires_at": ago(0),
            "problem": null, "hosts": { "hosts": 12, "informed": 0 },
            "order": {
                "directory": "https://acme.example/directory", "names": ["muster.example"], "temporary": true,
                "renew_at": null, "failures": 3, "problem": HOSTILE, "tried_at": ago(60),
                "next_try_at": NOW.plus(std::time::Duration::from_secs(600)),
            },
        }))
    }

    fn page(tls: TlsStatus) -> CertificatePage {
        let shell = Shell::sample("Certificate", "/settings/certificate");
        CertificatePage { shell, tab: "certificate", tls, is_done: false }
    }

    #[test]
    fn the_servers_own_certificate() {
        samples::check("settings_certificate", &page(own()));
        let shell = Shell::sample("Replace the TLS key", "/settings/certificate/rotate");
        samples::check("settings_certificate_rotate", &RotatePage { shell, tls: own(), refusal: None });
    }

    #[test]
    fn an_ordered_certificate_says_why_there_is_none() {
        let page = page(ordered());
        samples::check("settings_certificate_ordered", &page);
        let html = page.render().unwrap();
        assert!(html.contains("temporary") && !html.contains("/rotate"), "there is nothing to rotate");
    }
}
