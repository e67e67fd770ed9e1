//! What is shown once: an agent key.

use askama::Template;
use muster_wire::host_key::MintedAgentKey;

use super::frame::Frame;
use crate::shell::Shell;

#[derive(Template)]
#[template(path = "host_minted.html")]
pub(crate) struct ShownOnce {
    shell: Shell,
    frame: Frame,
    token: String,
    back: String,
}

impl ShownOnce {
    /// Shows an agent key.
    pub(crate) fn agent_key(shell: Shell, frame: Frame, minted: &MintedAgentKey) -> Self {
        Self { token: minted.token.clone(), back: frame.path("/keys"), shell, frame }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pages::host::frame::Tab;
    use crate::samples::{self, KEY, ago, of};

    #[test]
    fn a_key_is_shown_with_the_words_that_it_is_shown_once() {
        let minted: MintedAgentKey = of(json!({
            "token": "msa_canary", "key": { "name": KEY, "kind": "agent_key", "state": "active", "created_by": null, "ticket_id": null,
                "created_at": ago(1), "first_used_at": null, "last_used_at": null, "ended_at": null, "ended_by": null },
        }));
        let frame = Frame::sample(Tab::Keys);
        let view = ShownOnce::agent_key(Shell::sample("web-01", "/hosts/x/keys"), frame, &minted);
        samples::check("host_minted", &view);
        assert_eq!(view.render().unwrap().matches("msa_canary").count(), 2, "text and what is copied");
    }
}
