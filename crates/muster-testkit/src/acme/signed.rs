//! Requests with a signature (RFC 8555, section 6.2).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

use super::{Answer, Shared};
use crate::receiver::Received;

/// A request whose signature, nonce and URL hold.
pub(super) struct Signed {
    /// The account; `None`: it is about to be made.
    pub(super) account: Option<usize>,
    /// The public key: an uncompressed point.
    pub(super) key: Vec<u8>,
    /// What is asked; `null` for POST-as-GET.
    pub(super) payload: Value,
}

impl Signed {
    pub(super) fn read(shared: &Shared, request: &Received) -> Result<Self, Answer> {
        let malformed = |what: &str| Answer::problem(400, "malformed", what);
        if request.header("content-type") != Some("application/jose+json") {
            return Err(Answer::problem(415, "malformed", "not application/jose+json"));
        }
        if request.header("user-agent").is_none() {
            return Err(malformed("no user agent"));
        }
        let body = request.json();
        let part = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let decode =
            |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| malformed("not base64url"));
        let (protected, payload) = (part("protected"), part("payload"));
        let header: Value =
            serde_json::from_slice(&decode(&protected)?).map_err(|_| malformed("no protected header"))?;
        if header["alg"] != "ES256" || header["url"] != shared.url(&request.path) {
            return Err(malformed("another algorithm, or another URL"));
        }
        let (account, key) = match (header["kid"].as_str(), &header["jwk"]) {
            (Some(kid), Value::Null) => {
                let known = kid.strip_prefix(&shared.url("/account/")).and_then(|id| id.parse().ok());
                let known = known.and_then(|id: usize| Some((id, shared.book().account_key(id)?)));
                let (id, key) = known
                    .ok_or_else(|| Answer::problem(400, "accountDoesNotExist", "nobody of that name"))?;
                (Some(id), key)
            }
            (None, jwk) => (None, point(jwk).ok_or_else(|| malformed("no key"))?),
            _ => return Err(malformed("two keys")),
        };
        let signature = decode(&part("signature"))?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &key)
            .verify(format!("{protected}.{payload}").as_bytes(), &signature)
            .map_err(|_| malformed("the signature does not hold"))?;
        let nonce = header["nonce"].as_str().unwrap_or_default();
        if !shared.book().take_nonce(nonce) || shared.take_bad_nonce() {
            return Err(Answer::problem(400, "badNonce", "a nonce nobody gave"));
        }
        let payload = match payload.as_str() {
            "" => Value::Null,
            text => serde_json::from_slice(&decode(text)?).map_err(|_| malformed("no payload"))?,
        };
        Ok(Self { account, key, payload })
    }
}

fn point(jwk: &Value) -> Option<Vec<u8>> {
    let coordinate = |name: &str| BASE64URL_NOPAD.decode(jwk[name].as_str()?.as_bytes()).ok();
    let is_p256 = jwk["kty"] == "EC" && jwk["crv"] == "P-256";
    let (x, y) = (coordinate("x")?, coordinate("y")?);
    (is_p256 && x.len() == 32 && y.len() == 32).then(|| [&[4], &x[..], &y[..]].concat())
}

/// The thumbprint of a key (RFC 7638).
pub(super) fn thumbprint(key: &[u8]) -> String {
    let (x, y) = (BASE64URL_NOPAD.encode(&key[1..33]), BASE64URL_NOPAD.encode(&key[33..65]));
    let jwk = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    BASE64URL_NOPAD.encode(digest(&SHA256, jwk.as_bytes()).as_ref())
}
