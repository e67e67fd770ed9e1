//! What a person typed of a ticket that is not made yet; no secret is in it, so that it may stand in an address.

use muster_wire::ticket::TicketKind;
use serde_json::{Value, json};

use crate::form::{Form, words};
use crate::query::Query;

/// The fields of the form, as they were typed.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    pub(super) kind: TicketKind,
    pub(super) host_name: String,
    pub(super) site_id: String,
    pub(super) provider: String,
    pub(super) zone: String,
    pub(super) tags: String,
    pub(super) life: String,
    pub(super) max_uses: String,
    pub(super) ephemeral_hours: String,
    pub(super) require_key: bool,
}

impl Typed {
    pub(super) fn of_query(query: &Query, first: TicketKind) -> Self {
        Self::of(|name| query.text(name).trim().to_owned(), query.get("require_key").is_some(), first)
    }

    pub(super) fn of_form(form: &Form) -> Self {
        let first = TicketKind::EnrolmentToken;
        Self::of(|name| form.raw(name).trim().to_owned(), form.is_ticked("require_key"), first)
    }

    fn of(text: impl Fn(&str) -> String, require_key: bool, first: TicketKind) -> Self {
        let kind = match text("door").as_str() {
            "1" => TicketKind::EnrolmentToken,
            "2" => TicketKind::RegistrationToken,
            "3" => TicketKind::SiteKey,
            _ => first,
        };
        Self {
            kind,
            host_name: text("host_name"),
            site_id: text("site_id"),
            provider: text("provider"),
            zone: text("zone"),
            tags: text("tags"),
            life: text("life"),
            max_uses: text("max_uses"),
            ephemeral_hours: text("ephemeral_hours"),
            require_key,
        }
    }

    /// The fields of the form with their names: to carry them from one step to the next.
    pub(super) fn fields(&self) -> Vec<(&'static str, &str)> {
        let door = match self.kind {
            TicketKind::EnrolmentToken => "1",
            TicketKind::RegistrationToken => "2",
            TicketKind::SiteKey => "3",
        };
        let mut fields = vec![
            ("door", door),
            ("host_name", self.host_name.as_str()),
            ("site_id", self.site_id.as_str()),
            ("provider", self.provider.as_str()),
            ("zone", self.zone.as_str()),
            ("tags", self.tags.as_str()),
            ("life", self.life.as_str()),
            ("max_uses", self.max_uses.as_str()),
            ("ephemeral_hours", self.ephemeral_hours.as_str()),
        ];
        if self.require_key {
            fields.push(("require_key", "on"));
        }
        fields.retain(|(_, value)| !value.is_empty());
        fields
    }

    /// Returns the address of the form, to change what was typed.
    pub(super) fn edit_path(&self) -> String {
        let query = self.fields().into_iter();
        query.fold(Query::default(), |query, (name, value)| query.with(name, value)).on("/hosts/add")
    }

    pub(super) fn tag_list(&self) -> Vec<&str> {
        words(&self.tags)
    }

    /// Returns the one-time token that demands the same of its machine.
    pub(super) fn as_one_time_token(&self) -> Self {
        Self { kind: TicketKind::EnrolmentToken, ..self.clone() }
    }

    /// Makes the request that mints, as the API takes it for this kind.
    pub(super) fn request(&self) -> Value {
        let mut request = json!({ "require_key": self.require_key });
        let mut set = |name: &str, text: &str| {
            if !text.is_empty() {
                request[name] = text.into();
            }
        };
        set("site_id", &self.site_id);
        match self.kind {
            TicketKind::EnrolmentToken => set("host_name", &self.host_name),
            TicketKind::RegistrationToken => {
                // A host has a name: the API says so where there is none.
                set("name", &self.host_name);
                set("provider", &self.provider);
                set("zone", &self.zone);
            }
            TicketKind::SiteKey => {}
        }
        let mut count = |name: &str, text: &str| {
            if !text.is_empty() {
                request[name] = text.parse::<u64>().map_or_else(|_| text.into(), Value::from);
            }
        };
        count("expires_in_secs", &self.life);
        count("ephemeral_hours", &self.ephemeral_hours);
        if self.kind == TicketKind::SiteKey {
            count("max_uses", &self.max_uses);
        } else if !self.tags.is_empty() {
            request["tags"] = json!(self.tag_list());
        }
        request
    }
}
