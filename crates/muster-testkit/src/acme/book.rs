//! Accounts, orders, authorizations, certificates (RFC 8555, section 7.1).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use data_encoding::BASE64URL_NOPAD;
use rcgen::{CertificateParams, PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm};
use serde_json::{Value, json};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use super::signed::{Signed, thumbprint};
use super::verify::verify;
use super::{Answer, Shared};

/// Everything a directory remembers.
#[derive(Default)]
pub(super) struct Book {
    nonces: HashSet<String>,
    given: u64,
    accounts: Vec<Option<Vec<u8>>>,
    orders: Vec<Order>,
    authorizations: Vec<Authorization>,
}

struct Order {
    account: usize,
    names: Vec<String>,
    authorizations: Vec<usize>,
    status: &'static str,
    error: Value,
    certificate: Option<String>,
}

struct Authorization {
    account: usize,
    order: usize,
    name: String,
    token: String,
    status: &'static str,
    error: Value,
}

impl Book {
    pub(super) fn nonce(&mut self) -> String {
        self.given += 1;
        let nonce = BASE64URL_NOPAD.encode(format!("nonce {}", self.given).as_bytes());
        self.nonces.insert(nonce.clone());
        nonce
    }

    pub(super) fn take_nonce(&mut self, nonce: &str) -> bool {
        self.nonces.remove(nonce)
    }

    pub(super) fn account_key(&self, id: usize) -> Option<Vec<u8>> {
        self.accounts.get(id).cloned().flatten()
    }

    pub(super) fn forget_accounts(&mut self) {
        self.accounts.iter_mut().for_each(|account| *account = None);
    }

    fn settle(&mut self, id: usize, found: Result<(), String>) {
        let authorization = &mut self.authorizations[id];
        authorization.status = if found.is_ok() { "valid" } else { "invalid" };
        if let Err(why) = found {
            authorization.error = problem("unauthorized", &why);
        }
        let order = authorization.order;
        let statuses: Vec<_> =
            self.orders[order].authorizations.iter().map(|id| self.authorizations[*id].status).collect();
        if statuses.contains(&"invalid") {
            self.orders[order].status = "invalid";
        } else if statuses.iter().all(|status| *status == "valid") {
            self.orders[order].status = "ready";
        }
    }
}

fn problem(kind: &str, detail: &str) -> Value {
    json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail })
}

/// Answers a request whose signature holds.
pub(super) fn answer(shared: &Arc<Shared>, path: &str, signed: &Signed) -> Answer {
    let (what, id) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    match signed.account {
        Some(account) => of_account(shared, account, what, id, &signed.payload),
        None => make_account(shared, what, signed),
    }
}

fn make_account(shared: &Shared, what: &str, signed: &Signed) -> Answer {
    if what != "account" || signed.payload["termsOfServiceAgreed"] != true {
        return Answer::problem(400, "malformed", "only an account that agrees is made with a key");
    }
    let mut book = shared.book();
    book.accounts.push(Some(signed.key.clone()));
    let mut seen = shared.seen();
    seen.accounts += 1;
    seen.contacts = serde_json::from_value(signed.payload["contact"].clone()).unwrap_or_default();
    let url = shared.url(&format!("/account/{}", book.accounts.len() - 1));
    Answer::json(201, &json!({ "status": "valid" })).with("location", url)
}

fn of_account(shared: &Arc<Shared>, account: usize, what: &str, id: &str, payload: &Value) -> Answer {
    if what == "order" && id.is_empty() {
        return make_order(shared, account, payload);
    }
    let absent = || Answer::problem(404, "malformed", "there is no such thing");
    let Ok(id) = id.parse::<usize>() else { return absent() };
    let mut book = shared.book();
    let owner = match what {
        "authorization" | "challenge" => book.authorizations.get(id).map(|found| found.account),
        _ => book.orders.get(id).map(|found| found.account),
    };
    if owner != Some(account) {
        return absent();
    }
    match what {
        "order" => show_order(shared, &book, id),
        "authorization" => Answer::json(200, &authorization(shared, &book.authorizations[id], id)),
        "challenge" => {
            let begun = &book.authorizations[id];
            let proof =
                format!("{}.{}", begun.token, thumbprint(&book.account_key(account).unwrap_or_default()));
            tokio::spawn(look(Arc::clone(shared), id, begun.name.clone(), proof));
            Answer::json(200, &challenge(shared, begun, id))
        }
        "finalize" => match sign(shared, &book.orders[id], payload) {
            Ok(chain) => {
                (book.orders[id].certificate, book.orders[id].status) = (Some(chain), "valid");
                show_order(shared, &book, id)
            }
            Err(refused) => {
                if shared.knobs().gives_up {
                    book.orders[id].status = "invalid";
                    book.orders[id].error = problem("serverInternal", "the order is given up");
                    return show_order(shared, &book, id);
                }
                refused
            }
        },
        "certificate" => match &book.orders[id].certificate {
            Some(chain) => Answer {
                status: 200,
                headers: vec![("content-type", "application/pem-certificate-chain".to_owned())],
                body: chain.clone(),
            },
            None => absent(),
        },
        _ => absent(),
    }
}

fn make_order(shared: &Shared, account: usize, payload: &Value) -> Answer {
    let mut book = shared.book();
    let order = book.orders.len();
    let identifiers = payload["identifiers"].as_array().cloned().unwrap_or_default();
    let names: Vec<String> = identifiers
        .iter()
        .filter(|identifier| identifier["type"] == "dns")
        .filter_map(|identifier| identifier["value"].as_str().map(str::to_owned))
        .collect();
    if names.is_empty() || names.len() != identifiers.len() {
        return Answer::problem(400, "rejectedIdentifier", "names only");
    }
    let first = book.authorizations.len();
    for name in &names {
        let token =
            BASE64URL_NOPAD.encode(format!("token {} of {order}", book.authorizations.len()).as_bytes());
        let (name, error) = (name.clone(), Value::Null);
        book.authorizations.push(Authorization { account, order, name, token, status: "pending", error });
    }
    let authorizations = (first..first + names.len()).collect();
    book.orders.push(Order {
        account,
        names,
        authorizations,
        status: "pending",
        error: Value::Null,
        certificate: None,
    });
    shared.seen().orders += 1;
    Answer { status: 201, ..show_order(shared, &book, order) }
        .with("location", shared.url(&format!("/order/{order}")))
}

fn show_order(shared: &Shared, book: &Book, id: usize) -> Answer {
    let order = &book.orders[id];
    let authorizations: Vec<_> =
        order.authorizations.iter().map(|id| shared.url(&format!("/authorization/{id}"))).collect();
    let identifiers: Vec<_> =
        order.names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
    let mut shown = json!({
        "status": order.status, "identifiers": identifiers, "authorizations": authorizations,
        "finalize": shared.url(&format!("/finalize/{id}")),
    });
    if order.certificate.is_some() {
        shown["certificate"] = shared.url(&format!("/certificate/{id}")).into();
    }
    if !order.error.is_null() {
        shown["error"] = order.error.clone();
    }
    Answer::json(200, &shown)
}

fn authorization(shared: &Shared, of: &Authorization, id: usize) -> Value {
    json!({
        "status": of.status, "identifier": { "type": "dns", "value": of.name },
        "challenges": [
            { "type": "http-01", "status": "pending", "url": shared.url("/nowhere"), "token": "other" },
            challenge(shared, of, id),
        ],
    })
}

fn challenge(shared: &Shared, of: &Authorization, id: usize) -> Value {
    let mut shown = json!({
        "type": "tls-alpn-01", "status": of.status, "token": of.token,
        "url": shared.url(&format!("/challenge/{id}")),
    });
    if !of.error.is_null() {
        shown["error"] = of.error.clone();
    }
    shown
}

async fn look(shared: Arc<Shared>, id: usize, name: String, mut proof: String) {
    let (listener, expects_another) = {
        let knobs = shared.knobs();
        (knobs.listener, knobs.expects_another)
    };
    if expects_another {
        proof.push_str("another");
    }
    shared.seen().looks += 1;
    let found = match listener {
        Some(listener) => verify(listener, &name, &proof).await,
        None => Err(format!("no address for {name}")),
    };
    shared.book().settle(id, found);
}

/// The key of a request.
struct Requested(Vec<u8>);

impl PublicKeyData for Requested {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

#[expect(clippy::disallowed_methods, reason = "what the directory signs is valid from now on")]
fn sign(shared: &Shared, order: &Order, payload: &Value) -> Result<String, Answer> {
    if order.status != "ready" {
        return Err(Answer::problem(403, "orderNotReady", order.status));
    }
    if shared.knobs().gives_up {
        return Err(Answer::problem(500, "serverInternal", "the order is given up"));
    }
    let bad = |what: &str| Answer::problem(400, "badCSR", what);
    let csr = payload["csr"].as_str().unwrap_or_default();
    let csr = BASE64URL_NOPAD.decode(csr.as_bytes()).map_err(|_| bad("not base64url"))?;
    let (_, csr) = X509CertificationRequest::from_der(&csr).map_err(|_| bad("not a request"))?;
    let info = &csr.certification_request_info;
    let key = info.subject_pki.subject_public_key.data.to_vec();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &key)
        .verify(info.raw, &csr.signature_value.data)
        .map_err(|_| bad("its signature does not hold"))?;
    let mut names: Vec<String> = Vec::new();
    for extension in csr.requested_extensions().into_iter().flatten() {
        if let ParsedExtension::SubjectAlternativeName(found) = extension {
            names.extend(found.general_names.iter().filter_map(|name| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            }));
        }
    }
    if names != order.names {
        return Err(bad("other names than were ordered"));
    }
    let mut params = CertificateParams::new(names).map_err(|_| bad("no names"))?;
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(since_epoch.as_secs());
    (params.not_before, params.not_after) = (now, now + shared.knobs().lives_for);
    let signed =
        params.signed_by(&Requested(key), &shared.authority.issuer).map_err(|_| bad("not signed"))?;
    shared.seen().signed += 1;
    Ok(signed.pem())
}
