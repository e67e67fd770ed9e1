//! The form of a provider people sign in with.

use askama::Template;
use muster_wire::oidc::OidcProvider;
use muster_wire::people::{Role, Team};
use serde_json::{Value, json};

use crate::form::Form;
use crate::refusal::Refusal;
use crate::shell::Shell;
use crate::visit::Visit;

/// Empty rows for more groups.
const BLANK_ROWS: usize = 3;

#[derive(Template)]
#[template(path = "settings_provider.html")]
pub(crate) struct FormPage {
    shell: Shell,
    /// The provider that is changed; none for a new one.
    provider: Option<OidcProvider>,
    name: String,
    issuer: String,
    client_id: String,
    scopes: String,
    groups_claim: String,
    rows: Vec<Row>,
    is_allowed: bool,
    teams: Vec<Team>,
    refusal: Option<Refusal>,
}

/// Who is in a group becomes something in a team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    group: String,
    team_id: String,
    role: String,
}

impl Row {
    fn blank() -> Self {
        Self { group: String::new(), team_id: String::new(), role: Role::Operator.as_str().to_owned() }
    }
}

/// Returns the groups somebody filled in, in their order.
fn rows(form: &Form) -> Vec<Row> {
    let columns = form.all("team_id").into_iter().zip(form.all("role"));
    let rows = form.all("group").into_iter().zip(columns);
    let rows = rows.map(|(group, (team_id, role))| Row { group: group.trim().to_owned(), team_id, role });
    rows.filter(|row| !row.group.is_empty()).collect()
}

/// Makes the request of a form. A secret that is not typed stays what it was.
pub(super) fn request(form: &Form) -> Value {
    let mapping = |row: Row| json!({ "group": row.group, "team_id": row.team_id, "role": row.role });
    let mut request = json!({
        "issuer": form.raw("issuer").trim(),
        "client_id": form.raw("client_id").trim(),
        "scopes": form.words("scopes"),
        "groups_claim": form.raw("groups_claim").trim(),
        "mappings": rows(form).into_iter().map(mapping).collect::<Vec<_>>(),
        "allowed": form.is_ticked("allowed"),
    });
    if !form.raw("client_secret").is_empty() {
        request["client_secret"] = form.raw("client_secret").into();
    }
    request
}

impl FormPage {
    /// Makes a form of what was typed, or of what is there.
    pub(super) fn new(
        visit: &Visit,
        provider: Option<OidcProvider>,
        form: &Form,
        refusal: Option<Refusal>,
    ) -> Self {
        let title = provider.as_ref().map_or("New provider".to_owned(), |provider| provider.name.to_string());
        let mut teams = visit.teams.clone();
        if teams.is_empty() {
            let (id, name) = (visit.me.team_id, visit.me.team_name.clone());
            teams.push(Team { id, name, created_at: visit.now });
        }
        Self::filled(visit.shell(&title), provider, teams, form, refusal)
    }

    fn filled(
        shell: Shell,
        provider: Option<OidcProvider>,
        teams: Vec<Team>,
        form: &Form,
        refusal: Option<Refusal>,
    ) -> Self {
        let mut rows = rows(form);
        rows.extend(std::iter::repeat_n(Row::blank(), BLANK_ROWS));
        Self {
            shell,
            provider,
            name: form.raw("name").to_owned(),
            issuer: form.raw("issuer").to_owned(),
            client_id: form.raw("client_id").to_owned(),
            scopes: form.raw("scopes").to_owned(),
            groups_claim: form.raw("groups_claim").to_owned(),
            rows,
            is_allowed: form.is_ticked("allowed"),
            teams,
            refusal,
        }
    }

    /// Returns the form of a provider nobody made yet.
    pub(super) fn blank() -> Form {
        Form::of(&[("scopes", "profile groups"), ("groups_claim", "groups"), ("allowed", "yes")])
    }

    /// Returns the form of a provider as it stands.
    pub(super) fn of(provider: &OidcProvider) -> Form {
        let scopes = provider.scopes.join(" ");
        let teams: Vec<String> =
            provider.mappings.iter().map(|mapping| mapping.team_id.to_string()).collect();
        let mut fields = vec![
            ("name", provider.name.as_str()),
            ("issuer", &provider.issuer),
            ("client_id", &provider.client_id),
            ("scopes", &scopes),
            ("groups_claim", &provider.groups_claim),
        ];
        if provider.allowed {
            fields.push(("allowed", "yes"));
        }
        for (mapping, team_id) in provider.mappings.iter().zip(&teams) {
            fields.extend([
                ("group", mapping.group.as_str()),
                ("team_id", team_id),
                ("role", mapping.role.as_str()),
            ]);
        }
        Form::of(&fields)
    }

    fn action(&self) -> String {
        let name = self.provider.as_ref().map(|provider| format!("/{}", provider.name));
        format!("/settings/providers{}", name.unwrap_or_default())
    }

    fn error(&self, pointer: &str) -> Option<String> {
        self.refusal.as_ref()?.of_field(pointer)
    }

    fn row_error(&self, index: &usize) -> Option<String> {
        self.error(&format!("/mappings/{index}"))
    }

    fn name_error(&self) -> Option<String> {
        let refusal = self.refusal.as_ref().filter(|_| self.provider.is_none())?;
        let is_no_name = refusal.status == http::StatusCode::NOT_FOUND;
        let says = "Take a word of small letters, digits, - and _, which begins with a letter.";
        if is_no_name { Some(says.to_owned()) } else { refusal.of_field("name") }
    }

    /// Says what was refused; a name that is none is told beside its field.
    fn says(&self) -> Option<String> {
        let refusal = self.refusal.as_ref()?;
        let is_no_name = refusal.status == http::StatusCode::NOT_FOUND;
        Some(if is_no_name { "Something does not hold: look below.".to_owned() } else { refusal.says() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::providers::tests::provider;
    use super::*;
    use crate::samples::{self, TEAM, ago, of};

    fn page(provider: Option<OidcProvider>, form: &Form) -> FormPage {
        let teams = vec![of(json!({ "id": TEAM, "name": samples::HOSTILE, "created_at": ago(9) }))];
        let shell = Shell::sample("corp", "/settings/providers/corp");
        FormPage::filled(shell, provider, teams, form, None)
    }

    #[test]
    fn the_form_of_a_provider() {
        let form = FormPage::of(&provider());
        samples::check("settings_provider", &page(Some(provider()), &form));
        samples::check("settings_provider_new", &page(None, &FormPage::blank()));
    }

    #[test]
    fn what_a_form_shows_is_what_it_asks_for() {
        let asked = request(&FormPage::of(&provider()));
        let provider = serde_json::to_value(provider()).unwrap();
        for field in ["issuer", "client_id", "scopes", "groups_claim", "mappings", "allowed"] {
            assert_eq!(asked[field], provider[field], "{field}");
        }
        assert!(asked.get("client_secret").is_none(), "a secret nobody typed stays what it was");
    }

    #[test]
    fn empty_rows_are_no_groups() {
        let fields = [
            ("group", "a"),
            ("team_id", "t1"),
            ("role", "viewer"),
            ("group", " "),
            ("team_id", ""),
            ("role", "operator"),
            ("group", "b"),
            ("team_id", "t2"),
            ("role", "owner"),
        ];
        let names: Vec<String> =
            rows(&Form::of(&fields)).into_iter().map(|row| row.group + &row.team_id).collect();
        assert_eq!(names, ["at1", "bt2"]);
    }
}
