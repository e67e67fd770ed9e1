//! To the provider and back: the address to go to, and what the code that comes back is worth.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use muster_domain::oidc::{CLOCK_LEEWAY, name};
use muster_ids::Timestamp;
use muster_outbound::OutboundError;
use muster_store::rows::OidcProviderRow;
use openidconnect::core::{CoreAuthenticationFlow, CoreClientAuthMethod, CoreGenderClaim};
use openidconnect::{
    AccessTokenHash, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken,
    IdTokenClaims, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RequestTokenError, Scope, SignatureVerificationError, TokenResponse, UserInfoClaims,
};
use serde_json::Value;
use subtle::ConstantTimeEq;
use url::Url;
use zeroize::Zeroizing;

use super::providers::call;
use super::{
    ALGORITHMS, Comer, Freshness, Metadata, OtherClaims, Pending, Refused, RelyingParty, Tokens, Unavailable,
};
use crate::app::App;
use crate::failure::Failure;

/// Longest code that is sent on, and most groups that count.
const LONGEST_CODE: usize = 4096;
const MOST_GROUPS: usize = 2000;

type Claims = IdTokenClaims<OtherClaims, CoreGenderClaim>;

/// What a provider sends a browser back with.
#[derive(Debug, Clone, Default)]
pub struct Callback {
    /// The code.
    pub code: Option<String>,
    /// What the browser was sent with.
    pub state: Option<String>,
    /// Who answers (RFC 9207).
    pub iss: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
}

/// Returns the address of the provider a browser goes to.
pub fn authorize(metadata: &Metadata, provider: &OidcProviderRow, pending: &Pending) -> Url {
    let verifier = PkceCodeVerifier::new(pending.verifier.clone());
    let client = relying_party(metadata, provider, None, &pending.redirect_uri);
    let (state, nonce) = (pending.state.clone(), pending.nonce.clone());
    let request = client.authorize_url(
        CoreAuthenticationFlow::AuthorizationCode,
        || CsrfToken::new(state),
        || Nonce::new(nonce),
    );
    let scopes = provider.scopes.iter().filter(|scope| *scope != "openid").cloned().map(Scope::new);
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
    request.add_scopes(scopes).set_pkce_challenge(challenge).url().0
}

/// Takes the code to the provider and returns whom it vouches for.
pub async fn exchange(
    app: &App,
    provider: &OidcProviderRow,
    pending: &Pending,
    callback: &Callback,
    now: Timestamp,
) -> Result<Comer, Refused> {
    if provider.issuer != pending.issuer {
        return Err(failed("the provider was set anew meanwhile"));
    }
    let metadata = app.oidc.metadata(app, &provider.issuer, Freshness::Believed).await?;
    let code = code(&metadata, provider, pending, callback)?;
    if !app.oidc.is_first_answer(&pending.state, pending.expires_at, now) {
        return Err(failed("this sign-in was answered already"));
    }
    let secret =
        client_secret(app, provider).map_err(|failure| failed(format!("the client secret: {failure}")))?;
    let client = relying_party(&metadata, provider, Some(secret), &pending.redirect_uri);
    let http = |request| call(app.clone(), request);
    let request = client.exchange_code(code).map_err(|_| failed("the provider has no token endpoint"))?;
    let verifier = PkceCodeVerifier::new(pending.verifier.clone());
    let tokens: Tokens =
        request.set_pkce_verifier(verifier).request_async(&http).await.map_err(not_exchanged)?;
    let (claims, client) = match verified(&client, &tokens, pending, now) {
        Err(Unverified::UnknownKey) => {
            let newer = app.oidc.metadata(app, &provider.issuer, Freshness::NewKeys).await?;
            let client = relying_party(&newer, provider, None, &pending.redirect_uri);
            let claims = verified(&client, &tokens, pending, now).map_err(Refused::from)?.clone();
            (claims, client)
        }
        verified => (verified.map_err(Refused::from)?.clone(), client),
    };
    let told = match claims.additional_claims().0.get(&provider.groups_claim) {
        Some(_) => None,
        None => user_info(app, &client, &tokens, &claims).await?,
    };
    Ok(comer(provider, &claims, told.as_ref()))
}

/// Judges what came back before anything is sent anywhere.
fn code(
    metadata: &Metadata,
    provider: &OidcProviderRow,
    pending: &Pending,
    callback: &Callback,
) -> Result<AuthorizationCode, Refused> {
    let state = callback.state.as_deref().unwrap_or_default();
    if !bool::from(state.as_bytes().ct_eq(pending.state.as_bytes())) {
        return Err(failed("the state is not that of this browser"));
    }
    let says_who = metadata.additional_metadata().authorization_response_iss_parameter_supported;
    match callback.iss.as_deref() {
        Some(issuer) if issuer != provider.issuer => return Err(failed("another issuer answered")),
        None if says_who => return Err(failed("the answer does not say who gave it")),
        _ => {}
    }
    if callback.error.is_some() {
        return Err(failed("the provider refused"));
    }
    let code = callback.code.clone().filter(|code| !code.is_empty() && code.len() <= LONGEST_CODE);
    code.map(AuthorizationCode::new).ok_or_else(|| failed("there is no code"))
}

/// Opens the client secret of a provider: sealed for its name, its issuer and its client, it opens for no other.
fn client_secret(app: &App, provider: &OidcProviderRow) -> Result<ClientSecret, Failure> {
    let place = secret_place(&provider.name, &provider.issuer, &provider.client_id);
    let opened = app.keyring.open_installation(&place, &provider.sealed_secret).map_err(Failure::internal)?;
    let text = Zeroizing::new(String::from_utf8(opened.to_vec()).map_err(Failure::internal)?);
    Ok(ClientSecret::new(text.to_string()))
}

/// Whether the client secret of a provider opens.
pub(super) fn opens_secret(app: &App, provider: &OidcProviderRow) -> bool {
    client_secret(app, provider).is_ok()
}

/// The place a client secret is sealed for. No part holds a line break.
pub(crate) fn secret_place(name: &str, issuer: &str, client_id: &str) -> String {
    format!("oidc client secret\n{name}\n{issuer}\n{client_id}")
}

fn relying_party(
    metadata: &Metadata,
    provider: &OidcProviderRow,
    secret: Option<ClientSecret>,
    redirect_uri: &Url,
) -> RelyingParty {
    let client_id = ClientId::new(provider.client_id.clone());
    let methods = metadata.token_endpoint_auth_methods_supported();
    let takes = |method| methods.is_some_and(|methods| methods.contains(&method));
    let in_body =
        takes(CoreClientAuthMethod::ClientSecretPost) && !takes(CoreClientAuthMethod::ClientSecretBasic);
    RelyingParty::from_provider_metadata(metadata.clone(), client_id, secret)
        .set_auth_type(if in_body { AuthType::RequestBody } else { AuthType::BasicAuth })
        .set_redirect_uri(RedirectUrl::from_url(redirect_uri.clone()))
}

enum Unverified {
    UnknownKey,
    Failed(String),
}

impl From<Unverified> for Refused {
    fn from(unverified: Unverified) -> Self {
        match unverified {
            Unverified::UnknownKey => failed("the id token names a key the provider does not have"),
            Unverified::Failed(why) => failed(why),
        }
    }
}

fn verified<'t>(
    client: &RelyingParty,
    tokens: &'t Tokens,
    pending: &Pending,
    now: Timestamp,
) -> Result<&'t Claims, Unverified> {
    let id_token =
        tokens.id_token().ok_or_else(|| Unverified::Failed("the provider sent no id token".to_owned()))?;
    let clock = move || (SystemTime::UNIX_EPOCH + Duration::from_millis(millis(now))).into();
    let latest = millis(now.plus(CLOCK_LEEWAY));
    let verifier = client
        .id_token_verifier()
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(clock)
        .set_issue_time_verifier_fn(move |issued_at| {
            let is_future = issued_at.timestamp_millis().try_into().is_ok_and(|at: u64| at > latest);
            if is_future { Err("it was issued in the future".to_owned()) } else { Ok(()) }
        });
    let claims =
        id_token.claims(&verifier, &Nonce::new(pending.nonce.clone())).map_err(|error| match error {
            ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
                Unverified::UnknownKey
            }
            ClaimsVerificationError::SignatureVerification(error) => {
                Unverified::Failed(format!("the id token is not signed as it must be: {error}"))
            }
            error => Unverified::Failed(format!("the id token does not hold: {error}")),
        })?;
    if let Some(expected) = claims.access_token_hash() {
        let odd = |_| Unverified::Failed("the hash of the access token cannot be judged".to_owned());
        let alg = id_token.signing_alg().map_err(odd)?;
        let key = id_token.signing_key(&verifier).map_err(odd)?;
        let actual = AccessTokenHash::from_token(tokens.access_token(), alg, key)
            .map_err(|_| Unverified::Failed("the hash of the access token cannot be made".to_owned()))?;
        if actual != *expected {
            return Err(Unverified::Failed("the access token is another one's".to_owned()));
        }
    }
    Ok(claims)
}

/// Asks for claims that are not in the token; some providers keep groups there.
async fn user_info(
    app: &App,
    client: &RelyingParty,
    tokens: &Tokens,
    claims: &Claims,
) -> Result<Option<UserInfoClaims<OtherClaims, CoreGenderClaim>>, Refused> {
    let subject = claims.subject().clone();
    let Ok(request) = client.user_info(tokens.access_token().clone(), Some(subject)) else { return Ok(None) };
    let http = |request| call(app.clone(), request);
    let told = request.request_async(&http).await;
    told.map(Some).map_err(|error| failed(format!("the user info: {error}")))
}

fn comer(
    provider: &OidcProviderRow,
    claims: &Claims,
    told: Option<&UserInfoClaims<OtherClaims, CoreGenderClaim>>,
) -> Comer {
    let said = claims.additional_claims().0.get(&provider.groups_claim);
    let said = said.or_else(|| told?.additional_claims().0.get(&provider.groups_claim));
    let groups = match said {
        Some(Value::String(group)) => BTreeSet::from([group.clone()]),
        Some(Value::Array(groups)) => {
            groups.iter().filter_map(Value::as_str).map(str::to_owned).take(MOST_GROUPS).collect()
        }
        _ => BTreeSet::new(),
    };
    let login = claims.preferred_username().or_else(|| told?.preferred_username());
    let full = claims.name().or_else(|| told?.name()).and_then(|name| name.get(None));
    Comer {
        provider: provider.name.clone(),
        issuer: provider.issuer.clone(),
        subject: claims.subject().to_string(),
        groups,
        name: name(login.map(|login| login.as_str()), full.map(|full| full.as_str())),
    }
}

fn not_exchanged<T>(error: RequestTokenError<OutboundError, T>) -> Refused
where
    T: openidconnect::ErrorResponse + std::fmt::Display + 'static,
{
    match error {
        RequestTokenError::Request(error) => {
            Refused::Unavailable(Unavailable::outbound("the code cannot be exchanged", &error))
        }
        RequestTokenError::ServerResponse(said) => {
            let said: String = said.to_string().chars().take(200).collect();
            failed(format!("the provider does not take the code: {said}"))
        }
        // What was sent may hold tokens: it is not repeated.
        RequestTokenError::Parse(error, _) => {
            failed(format!("the answer cannot be read at {}", error.path()))
        }
        RequestTokenError::Other(_) => failed("the answer is none of a token endpoint"),
    }
}

fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or_default()
}

fn failed(why: impl Into<String>) -> Refused {
    Refused::Failed(why.into())
}
