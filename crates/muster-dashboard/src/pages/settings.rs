//! `/settings`: what holds for the whole installation; its keys, its certificate and its providers beside it.

pub(crate) mod certificate;
pub(crate) mod instruction_key;
pub(crate) mod provider_form;
pub(crate) mod providers;

use askama::Template;
use http::HeaderMap;
use muster_wire::page::Page;
use muster_wire::settings::Setting;
use serde_json::{Map, Value};

use crate::form::Form;
use crate::refusal::Refusal;
use crate::respond::see_other;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

const PATH: &str = "/v1/settings";
/// The box by which somebody says that they saw what will be deleted.
const SEEN: &str = "seen";

#[derive(Template)]
#[template(path = "settings.html")]
pub(crate) struct SettingsPage {
    shell: Shell,
    tab: &'static str,
    rows: Vec<Row>,
    is_done: bool,
    refusal: Option<Refusal>,
}

/// A setting with what somebody typed.
pub(crate) struct Row {
    setting: Setting,
    typed: String,
    label: String,
    unit: &'static str,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "settings_preview.html")]
pub(crate) struct PreviewPage {
    shell: Shell,
    changes: Vec<Change>,
}

/// A setting that somebody changes.
pub(crate) struct Change {
    setting: Setting,
    label: String,
    unit: &'static str,
    to: u64,
}

impl Change {
    /// Whether something is deleted with it.
    fn deletes(&self) -> bool {
        self.to < self.setting.value && self.setting.name != "host_key_max_age_days"
    }
}

/// `GET /settings`
pub(crate) async fn get(visit: Visit) -> Answered {
    let settings = settings(&visit).await?;
    let is_done = visit.query.is("done", "set");
    let rows = rows(settings, &Form::default(), None);
    visit.page(&SettingsPage {
        shell: visit.shell("Settings"),
        tab: "settings",
        rows,
        is_done,
        refusal: None,
    })
}

/// `POST /settings`
///
/// Only what somebody changed is sent on, so that nobody undoes what another did meanwhile. What deletes something is
/// shown first.
pub(crate) async fn set(visit: Visit, form: Form) -> Answered {
    let settings = settings(&visit).await?;
    let changes = changes(&settings, &form);
    if changes.iter().any(Change::deletes) && !form.is_ticked(SEEN) {
        return visit.page(&PreviewPage { shell: visit.shell("Settings"), changes });
    }
    let request = request(&settings, &form);
    if request.is_empty() {
        return Ok(see_other("/settings", &HeaderMap::new()));
    }
    match visit.api.put::<Page<Setting>>(PATH, &request).await {
        Ok(_) => Ok(see_other("/settings?done=set", &HeaderMap::new())),
        Err(refusal) if refusal.is_of_form() => {
            let rows = rows(settings, &form, Some(&refusal));
            let (shell, tab) = (visit.shell("Settings"), "settings");
            visit.page(&SettingsPage { shell, tab, rows, is_done: false, refusal: Some(refusal) })
        }
        Err(refusal) => Err(refusal.into()),
    }
}

async fn settings(visit: &Visit) -> Result<Vec<Setting>, Refusal> {
    Ok(visit.api.get::<Page<Setting>>(PATH).await?.items)
}

/// Whether somebody typed another value than the form showed.
fn is_changed(setting: &Setting, form: &Form) -> bool {
    form.text(&setting.name).is_some_and(|typed| typed != form.raw(&was(&setting.name)))
}

/// Names the field that keeps what a form showed.
fn was(name: &str) -> String {
    format!("was_{name}")
}

fn request(settings: &[Setting], form: &Form) -> Map<String, Value> {
    let changed = settings.iter().filter(|setting| is_changed(setting, form));
    changed.filter_map(|setting| Some((setting.name.clone(), form.number(&setting.name)?))).collect()
}

fn changes(settings: &[Setting], form: &Form) -> Vec<Change> {
    let change = |setting: &Setting| {
        let to = form.number(&setting.name)?.as_u64()?;
        let within = (setting.least..=setting.most).contains(&to);
        let (label, unit) = label(&setting.name);
        (within && is_changed(setting, form)).then(|| Change { setting: setting.clone(), label, unit, to })
    };
    settings.iter().filter_map(change).collect()
}

fn rows(settings: Vec<Setting>, form: &Form, refusal: Option<&Refusal>) -> Vec<Row> {
    let row = |setting: Setting| {
        let typed = form.text(&setting.name).unwrap_or_else(|| setting.value.to_string());
        let (label, unit) = label(&setting.name);
        let error = refusal.and_then(|refusal| refusal.of_field(&format!("/{}", setting.name)));
        Row { typed, label, unit, error, setting }
    };
    settings.into_iter().map(row).collect()
}

/// Makes a label of the name of a setting, and says what it is counted in.
fn label(name: &str) -> (String, &'static str) {
    let (words, unit) = match name {
        "audit_keep_days" => ("Audit trail", "days"),
        "claims_keep_days" => ("Claims", "days"),
        "deliveries_keep_days" => ("Deliveries of webhooks", "days"),
        "events_keep_days" => ("Events", "days"),
        "facts_keep_days" => ("Former facts of machines", "days"),
        "history_keep_days" => ("Presence and vitals of hosts", "days"),
        "jobs_keep_days" => ("Jobs", "days"),
        "job_logs_keep_days" => ("Logs of jobs", "days"),
        "refusals_keep_days" => ("Refusals of tickets", "days"),
        "revocations_keep_days" => ("Revocations", "days"),
        "secret_ledger_versions" => ("Who received secrets", "versions"),
        "sessions_keep_days" => ("Ended sessions of browsers", "days"),
        "tickets_keep_days" => ("Tickets that ended unused", "days"),
        "tokens_keep_days" => ("Ended API tokens and invitations", "days"),
        "host_key_max_age_days" => ("Age of a host's key", "days"),
        // One that is newer than these words is called by its name.
        name => return (name.replace('_', " "), ""),
    };
    (words.to_owned(), unit)
}

#[cfg(test)]
mod tests {
    use muster_wire::settings::SettingName;

    use super::*;
    use crate::samples::{self, ago};

    fn some() -> Vec<Setting> {
        let setting = |name: &SettingName| {
            let (least, most) = name.bounds();
            Setting {
                name: name.to_string(),
                says: name.says().to_owned(),
                value: name.default_value(),
                default: name.default_value(),
                least,
                most,
                changed_at: None,
            }
        };
        let mut all: Vec<Setting> = SettingName::ALL.iter().map(setting).collect();
        all[1].value = 120;
        all[1].changed_at = Some(ago(90_000));
        all
    }

    impl SettingsPage {
        pub(crate) fn sample() -> Self {
            Self {
                shell: Shell::sample("Settings", "/settings"),
                tab: "settings",
                rows: rows(some(), &Form::default(), None),
                is_done: false,
                refusal: None,
            }
        }
    }

    #[test]
    fn all_settings() {
        samples::check("settings", &SettingsPage::sample());
    }

    #[test]
    fn every_setting_has_words_of_its_own() {
        for name in SettingName::ALL {
            let (words, unit) = label(name.as_str());
            assert!(words != name.as_str().replace('_', " ") && !unit.is_empty(), "{name}");
        }
    }

    #[test]
    fn only_what_somebody_changed_is_asked_for() {
        let form = Form::of(&[
            ("audit_keep_days", "500"),
            ("was_audit_keep_days", "400"),
            ("claims_keep_days", "90"),
            ("was_claims_keep_days", "90"),
            ("jobs_keep_days", "x"),
            ("was_jobs_keep_days", "90"),
        ]);
        let request = Value::Object(request(&some(), &form));
        assert_eq!(request, serde_json::json!({ "audit_keep_days": 500, "jobs_keep_days": "x" }));
    }

    #[test]
    fn what_deletes_something_is_shown_first() {
        let form = Form::of(&[
            ("audit_keep_days", "30"),
            ("was_audit_keep_days", "400"),
            ("jobs_keep_days", "100"),
            ("was_jobs_keep_days", "90"),
        ]);
        let changes = changes(&some(), &form);
        assert_eq!(changes.iter().map(Change::deletes).collect::<Vec<_>>(), [true, false]);
        samples::check(
            "settings_preview",
            &PreviewPage { shell: Shell::sample("Settings", "/settings"), changes },
        );
    }
}
