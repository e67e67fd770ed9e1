//! `/settings/instruction-key`: the key that signs what agents must believe, and its replacement step by step.

use askama::Template;
use http::{HeaderMap, StatusCode};
use muster_wire::server_keys::{InstructionKeys, RotateServerKey};

use crate::form::Form;
use crate::path::Named;
use crate::refusal::Refusal;
use crate::respond::see_other;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

const PATH: &str = "/v1/installation/instruction-key";

/// A step of the replacement of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The next key is made, and every agent told.
    Announce,
    /// The next key signs.
    Switch,
    /// The former key is destroyed.
    Finish,
}

impl Step {
    /// Returns the step that comes next.
    fn of(keys: &InstructionKeys) -> Self {
        match (&keys.former, &keys.next) {
            (Some(_), _) => Self::Finish,
            (None, Some(_)) => Self::Switch,
            (None, None) => Self::Announce,
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Announce, Self::Switch, Self::Finish].into_iter().find(|step| step.word() == word)
    }

    /// The word of its address, here and in the API.
    const fn word(self) -> &'static str {
        match self {
            Self::Announce => "next",
            Self::Switch => "switch",
            Self::Finish => "finish",
        }
    }

    const fn button(self) -> &'static str {
        match self {
            Self::Announce => "Announce the next key",
            Self::Switch => "Let the next key sign",
            Self::Finish => "Destroy the former key",
        }
    }

    const fn says(self) -> &'static str {
        match self {
            Self::Announce => {
                "The server makes the next key and tells every agent of it as it connects. Nothing else changes: the \
                 key in use goes on signing."
            }
            Self::Switch => {
                "The next key signs from now on. The former one goes on signing for hosts that were not told, until the \
                 last step."
            }
            Self::Finish => {
                "The former key is destroyed. A host that still knows only that one believes no instruction any more."
            }
        }
    }

    /// What becomes of hosts that were not told.
    const fn leaves_behind(self) -> &'static str {
        match self {
            Self::Announce => "",
            Self::Switch | Self::Finish => {
                "They would not believe what the server says of its keys and of revocations any more, and need a new \
                 join string at the machine."
            }
        }
    }
}

#[derive(Template)]
#[template(path = "settings_instruction_key.html")]
pub(crate) struct InstructionKeyPage {
    shell: Shell,
    tab: &'static str,
    keys: InstructionKeys,
    step: Step,
    refusal: Option<Refusal>,
}

/// `GET /settings/instruction-key`
pub(crate) async fn get(visit: Visit) -> Answered {
    show(&visit, None).await
}

/// `POST /settings/instruction-key/{step}`
pub(crate) async fn take(visit: Visit, Named(step): Named<String>, form: Form) -> Answered {
    let step = Step::parse(&step).ok_or_else(|| Refusal::of(StatusCode::NOT_FOUND))?;
    let path = format!("{PATH}/{}", step.word());
    let request = RotateServerKey { force: form.is_ticked("force") };
    match visit.api.post::<InstructionKeys>(&path, &request).await {
        Ok(_) => Ok(see_other("/settings/instruction-key", &HeaderMap::new())),
        Err(refusal) if refusal.is_of_form() => show(&visit, Some(refusal)).await,
        Err(refusal) => Err(refusal.into()),
    }
}

async fn show(visit: &Visit, refusal: Option<Refusal>) -> Answered {
    let keys: InstructionKeys = visit.api.get(PATH).await?;
    visit.page(&InstructionKeyPage::new(visit.shell("Instruction key"), keys, refusal))
}

impl InstructionKeyPage {
    fn new(shell: Shell, keys: InstructionKeys, refusal: Option<Refusal>) -> Self {
        Self { shell, tab: "instruction-key", step: Step::of(&keys), keys, refusal }
    }

    /// Hosts that the next step would leave behind.
    fn missing(&self) -> u64 {
        match self.step {
            Step::Announce => 0,
            Step::Switch | Step::Finish => self.keys.hosts.hosts.saturating_sub(self.keys.hosts.informed),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::samples::{self, ago, of};

    const KEY: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

    fn keys(next: Option<&str>, former: Option<&str>, informed: u64) -> InstructionKeys {
        of(json!({
            "current": KEY, "next": next, "former": former, "announced_at": next.or(former).map(|_| ago(7_000)),
            "switched_at": former.map(|_| ago(600)), "hosts": { "hosts": 12, "informed": informed },
        }))
    }

    fn page(keys: InstructionKeys) -> InstructionKeyPage {
        InstructionKeyPage::new(Shell::sample("Instruction key", "/settings/instruction-key"), keys, None)
    }

    #[test]
    fn each_state_offers_its_one_step() {
        let check = |keys, step, missing| {
            let page = page(keys);
            assert_eq!((page.step, page.missing()), (step, missing));
            let html = page.render().unwrap();
            assert_eq!(html.contains("name=\"force\""), missing > 0);
            assert!(html.contains(&format!("/settings/instruction-key/{}\"", step.word())));
        };
        check(keys(None, None, 12), Step::Announce, 0);
        check(keys(None, None, 3), Step::Announce, 0);
        check(keys(Some(KEY), None, 12), Step::Switch, 0);
        check(keys(Some(KEY), None, 9), Step::Switch, 3);
        check(keys(None, Some(KEY), 10), Step::Finish, 2);
        samples::check("settings_instruction_key", &page(keys(Some(KEY), None, 9)));
    }
}
