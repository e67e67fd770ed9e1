//! `/hosts/{host_id}/secrets`: what secrets a host has and who received them, never their values; and how to set one.

use askama::Template;
use http::HeaderMap;
use muster_ids::HostId;
use muster_wire::host::HostState;
use muster_wire::page::Page;
use muster_wire::secret::{Document, SecretMetadata};
use serde_json::{Map, Value};

use super::frame::{self, Frame, Tab};
use crate::api::segment;
use crate::form::Form;
use crate::path::Named;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::respond::see_other;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

/// The typed secret: where and how a host backs up.
const REPO: &str = "repo";
/// Deliveries that are shown of one secret.
const DELIVERIES: usize = 5;

#[derive(Template)]
#[template(path = "host_secrets.html")]
pub(crate) struct SecretsPage {
    shell: Shell,
    frame: Frame,
    secrets: Vec<SecretMetadata>,
    next: Option<String>,
    first: Option<String>,
    typed: Typed,
}

/// What was typed into a form that was refused: no password, and nothing of a document, is written back into a page.
#[derive(Debug, Default)]
struct Typed {
    of_repo: bool,
    url: String,
    user: String,
    name: String,
    /// Whether a document was typed, which has to be typed again.
    had_document: bool,
    /// Why the document is none.
    no_document: Option<String>,
    refusal: Option<Refusal>,
}

/// `GET /hosts/{host_id}/secrets`
pub(crate) async fn get(visit: Visit, Named(id): Named<HostId>) -> Answered {
    let frame = Frame::load(&visit, id, Tab::Secrets).await?;
    show(&visit, frame, Typed::default()).await
}

async fn show(visit: &Visit, frame: Frame, typed: Typed) -> Answered {
    let list = visit.query.only(&["cursor"]).on(&format!("/v1/hosts/{}/secrets", frame.host.id));
    let secrets: Page<SecretMetadata> = visit.api.get(&list).await?;
    visit.page(&SecretsPage::new(frame::shell(visit, &frame), frame, &visit.query, secrets, typed))
}

/// `POST /hosts/{host_id}/secrets`
pub(crate) async fn set(visit: Visit, Named(id): Named<HostId>, form: Form) -> Answered {
    let mut frame = Frame::load(&visit, id, Tab::Secrets).await?;
    let mut typed = Typed::of(&form);
    if typed.name.is_empty() {
        frame.refused = Some("A secret needs a name.".to_owned());
        return show(&visit, frame, typed).await;
    }
    let document = match read(&form) {
        Ok(document) => document,
        Err(why) => {
            typed.no_document = Some(why);
            return show(&visit, frame, typed).await;
        }
    };
    let path = format!("/v1/hosts/{}/secrets/{}", frame.host.id, segment(&typed.name));
    match visit.api.put::<SecretMetadata>(&path, &document).await {
        Ok(_) => Ok(see_other(&frame.path("/secrets?done=secret"), &HeaderMap::new())),
        Err(refusal) if refusal.is_of_form() => {
            let says = typed.says(&refusal);
            frame.refuse(&refusal);
            typed.refusal = Some(refusal);
            frame.refused = Some(says);
            show(&visit, frame, typed).await
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// Makes the document of a form: of the typed secret the fields that were filled in, of any other what was written.
fn read(form: &Form) -> Result<Document, String> {
    if !form.is_ticked("repo") {
        let text = form.raw("document").trim();
        return serde_json::from_str(text).map_err(|error| words_of(&error));
    }
    let field = |name: &'static str| {
        // Passwords are taken as they are typed, spaces and all.
        let value = if name.ends_with("password") { form.raw(name) } else { form.raw(name).trim() };
        (!value.is_empty()).then(|| (name.to_owned(), Value::String(value.to_owned())))
    };
    let fields = ["url", "user", "http_password", "password"].into_iter().filter_map(field);
    let mut fields: Map<String, Value> = fields.collect();
    if form.is_ticked("no_user") {
        fields.insert("user".to_owned(), Value::Null);
        fields.insert("http_password".to_owned(), Value::Null);
    }
    Ok(Document::new(fields))
}

/// Says what is wrong with a document, without quoting any of it.
fn words_of(error: &serde_json::Error) -> String {
    let place = format!("line {}, column {}", error.line(), error.column());
    if error.to_string().starts_with("duplicate_field") {
        return format!("A field is there twice ({place}).");
    }
    match error.classify() {
        serde_json::error::Category::Eof => {
            "The document ends too early: a bracket or a quote is missing.".to_owned()
        }
        _ => format!("This is not a JSON object ({place}). It looks like {{\"field\": \"value\"}}."),
    }
}

impl Typed {
    fn of(form: &Form) -> Self {
        let of_repo = form.is_ticked("repo");
        Self {
            of_repo,
            url: form.raw("url").to_owned(),
            user: form.raw("user").to_owned(),
            name: if of_repo { REPO.to_owned() } else { form.raw("name").trim().to_owned() },
            had_document: form.text("document").is_some(),
            ..Self::default()
        }
    }

    /// Says why the secret was not set: the fields of the document are named by the API.
    fn says(&self, refusal: &Refusal) -> String {
        let errors = refusal.problem.iter().flat_map(|problem| &problem.errors);
        let fields: Vec<String> = errors
            .map(|error| {
                format!(
                    "{}: {}",
                    error.pointer.trim_start_matches('/'),
                    crate::words::field_error(&error.code)
                )
            })
            .collect();
        match fields.is_empty() {
            // The name is a part of the address there, which alone can be malformed.
            true if refusal.status == http::StatusCode::BAD_REQUEST => {
                "A name has at most 32 small letters, digits, dashes and underscores, and begins with a letter.".to_owned()
            }
            true => refusal.says(),
            false => fields.join(" "),
        }
    }

    fn error(&self, pointer: &str) -> Option<String> {
        self.refusal.as_ref().filter(|_| self.of_repo)?.of_field(pointer)
    }
}

impl SecretsPage {
    fn new(shell: Shell, frame: Frame, query: &Query, secrets: Page<SecretMetadata>, typed: Typed) -> Self {
        let (next, first) = query.ways(&frame.path("/secrets"), secrets.next_cursor.as_deref());
        Self { shell, frame, secrets: secrets.items, next, first, typed }
    }

    fn has_repo(&self) -> bool {
        self.secrets.iter().any(|secret| secret.name == REPO)
    }

    /// Says whether the present value arrived.
    fn arrival(&self, secret: &SecretMetadata) -> &'static str {
        let arrived =
            |key| secret.deliveries.iter().any(|one| one.key == key && one.version == secret.version);
        match self.frame.host.keys.iter().any(|key| arrived(*key)) {
            true => "the host has it",
            false if secret.deliveries.is_empty() => "not delivered yet",
            false => "the host has an older one",
        }
    }

    fn deliveries<'a>(&self, secret: &'a SecretMetadata) -> &'a [muster_wire::secret::Delivery] {
        &secret.deliveries[..secret.deliveries.len().min(DELIVERIES)]
    }

    fn may_set(&self) -> bool {
        self.frame.may.set_secrets && !self.frame.is(HostState::Retired)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;
    use crate::samples::{self, HOSTILE, KEY, ago, of};

    pub(crate) fn secrets() -> Vec<SecretMetadata> {
        let secret = |name: &str, exposed, version| -> SecretMetadata {
            of(json!({
                "id": "secret_01890a5dac96774bbcceb302099a8007", "name": name, "version": version, "fields": ["url", HOSTILE],
                "updated_at": ago(4_000), "exposed": exposed,
                "deliveries": [{ "version": 2, "key": KEY, "delivered_at": ago(3_900) }],
            }))
        };
        vec![secret("repo", false, 2), secret("smtp", true, 3)]
    }

    fn page(secrets: Vec<SecretMetadata>, typed: Typed) -> SecretsPage {
        let mut frame = Frame::sample(Tab::Secrets);
        frame.host.keys = vec![KEY.parse().unwrap()];
        let shell = Shell::sample("web-01", &frame.path("/secrets"));
        let secrets = Page { items: secrets, next_cursor: None };
        SecretsPage::new(shell, frame, &Query::default(), secrets, typed)
    }

    #[test]
    fn the_secrets_of_a_host() {
        let view = page(secrets(), Typed::default());
        assert_eq!(view.arrival(&view.secrets[0]), "the host has it");
        assert_eq!(view.arrival(&view.secrets[1]), "the host has an older one");
        samples::check("host_secrets", &view);
    }

    #[test]
    fn what_is_typed_comes_back_but_no_secret() {
        let form = Form::of(&[
            ("repo", "yes"),
            ("url", "rest:https://b.example"),
            ("password", "canary"),
            ("http_password", "canary"),
        ]);
        let html = page(Vec::new(), Typed::of(&form)).render().unwrap();
        assert!(html.contains("rest:https://b.example") && !html.contains("canary"), "{html}");
        let form = Form::of(&[("name", "smtp"), ("document", "{\"password\": \"canary\"")]);
        let html = page(Vec::new(), Typed::of(&form)).render().unwrap();
        assert!(html.contains("value=\"smtp\"") && html.contains("Type it again"), "{html}");
        assert!(!html.contains("canary"), "{html}");
    }

    #[test]
    fn a_field_left_empty_is_not_sent_and_a_user_can_be_taken_away() {
        let form = Form::of(&[("repo", "yes"), ("url", ""), ("password", " p "), ("no_user", "yes")]);
        let document = serde_json::to_value(read(&form).unwrap()).unwrap();
        assert_eq!(document, json!({ "password": " p ", "user": null, "http_password": null }));
    }

    #[test]
    fn what_is_no_document_is_said_without_its_words() {
        let why = |text| read(&Form::of(&[("name", "x"), ("document", text)])).unwrap_err();
        assert!(why("{\"a\": 1, \"a\": 2}").contains("twice"));
        assert!(why("{\"canary\": ").contains("too early"));
        assert!(!why("[canary]").contains("canary"));
        assert!(read(&Form::of(&[("document", "{\"a\": null}")])).is_ok());
    }
}
