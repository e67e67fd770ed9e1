//! What stands in the way of signing in with a provider, in words.

use muster_domain::oidc::MOST_PROVIDERS;
use muster_http::ListenerKind;
use muster_store::rows::OidcProviderRow;
use muster_wire::oidc::{OidcCheck, OidcFinding};
use openidconnect::core::{CoreClientAuthMethod, CoreJwsSigningAlgorithm, CoreResponseType};

use super::exchange::opens_secret;
use super::{ALGORITHMS, Freshness, Metadata, redirect_uris};
use crate::app::App;

/// Most words a provider's document is repeated with.
const MOST_SHOWN: usize = MOST_PROVIDERS;

/// Runs discovery now and says what is right and what is wrong.
pub async fn check(app: &App, provider: &OidcProviderRow) -> OidcCheck {
    let mut findings = vec![secret(app, provider)];
    match app.oidc.metadata(app, &provider.issuer, Freshness::Now).await {
        Ok(metadata) => {
            findings.push(good("the discovery document and the keys of the provider can be read"));
            findings.extend(of_metadata(&metadata, provider));
        }
        Err(why) => findings.push(bad(&why.0)),
    }
    findings.push(mappings(provider));
    findings.push(addresses(app));
    OidcCheck { works: findings.iter().all(|finding| finding.ok), findings }
}

fn good(says: &str) -> OidcFinding {
    OidcFinding { ok: true, says: says.to_owned() }
}

fn bad(says: &str) -> OidcFinding {
    OidcFinding { ok: false, says: says.to_owned() }
}

fn judge(ok: bool, fine: &str, wrong: &str) -> OidcFinding {
    if ok { good(fine) } else { bad(wrong) }
}

fn secret(app: &App, provider: &OidcProviderRow) -> OidcFinding {
    judge(
        opens_secret(app, provider),
        "the client secret is stored; whether the provider takes it shows when somebody signs in",
        "the stored client secret does not open: set it anew",
    )
}

/// Judges what a discovery document says; pure.
fn of_metadata(metadata: &Metadata, provider: &OidcProviderRow) -> Vec<OidcFinding> {
    let said = metadata.additional_metadata();
    let takes_code = metadata
        .response_types_supported()
        .iter()
        .any(|types| matches!(types.as_slice(), [CoreResponseType::Code]));
    let algorithms = metadata.id_token_signing_alg_values_supported();
    let methods = metadata.token_endpoint_auth_methods_supported();
    let takes_secret = methods.is_none_or(|methods| {
        methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
            || methods.contains(&CoreClientAuthMethod::ClientSecretPost)
    });
    let pkce = &said.code_challenge_methods_supported;
    let mut findings = vec![
        judge(
            takes_code && metadata.token_endpoint().is_some(),
            "it knows the authorization code flow",
            "it does not know the authorization code flow (response type `code`, token endpoint)",
        ),
        judge(
            pkce.is_empty() || pkce.iter().any(|method| method == "S256"),
            if pkce.is_empty() {
                "it does not say that it knows PKCE; it is sent anyway"
            } else {
                "it knows PKCE (S256)"
            },
            "it knows PKCE, but not S256",
        ),
        judge(
            takes_secret,
            "it takes a client secret",
            "it takes no client secret (client_secret_basic or client_secret_post)",
        ),
        judge(
            algorithms.iter().any(|algorithm| ALGORITHMS.contains(algorithm)),
            &format!("it signs with {}", names(algorithms)),
            "it signs with none of RS256, PS256, ES256 and EdDSA",
        ),
    ];
    findings.extend(claims(metadata, provider));
    findings
}

fn claims(metadata: &Metadata, provider: &OidcProviderRow) -> Vec<OidcFinding> {
    let mut findings = Vec::new();
    let missing: Vec<&str> = metadata.scopes_supported().map_or_else(Vec::new, |scopes| {
        let knows = |wanted: &&String| !scopes.iter().any(|scope| scope.as_str() == wanted.as_str());
        provider.scopes.iter().filter(knows).map(String::as_str).collect()
    });
    if !missing.is_empty() {
        findings.push(bad(&format!("it does not say that it knows these scopes: {}", missing.join(", "))));
    }
    let tells = metadata.claims_supported().map(|claims| {
        let groups = provider.groups_claim.as_str();
        claims.iter().any(|claim| claim.as_str() == groups)
    });
    findings.push(match tells {
        // Many providers leave claims that an administrator defined out of their document.
        Some(false) | None => good(&format!(
            "it does not say that it tells the claim `{}`; if people get no role, look there",
            provider.groups_claim
        )),
        Some(true) => good(&format!("it tells the claim `{}`", provider.groups_claim)),
    });
    findings
}

fn names(algorithms: &[CoreJwsSigningAlgorithm]) -> String {
    let known = algorithms.iter().filter(|algorithm| ALGORITHMS.contains(algorithm)).take(MOST_SHOWN);
    let names =
        known.filter_map(|algorithm| serde_json::to_value(algorithm).ok()?.as_str().map(str::to_owned));
    names.collect::<Vec<_>>().join(", ")
}

fn mappings(provider: &OidcProviderRow) -> OidcFinding {
    match provider.mappings.len() {
        0 => bad("no group is mapped to a role: nobody can sign in"),
        1 => good("one group is mapped to a role"),
        count => good(&format!("{count} groups are mapped to roles")),
    }
}

fn addresses(app: &App) -> OidcFinding {
    let listeners = [ListenerKind::Machines, ListenerKind::Operators];
    let all = listeners.iter().flat_map(|listener| redirect_uris(&app.installation, *listener));
    let all: Vec<String> = all.map(|url| url.to_string()).collect();
    good(&format!("register these redirect URIs at the provider: {}", all.join(" ")))
}
