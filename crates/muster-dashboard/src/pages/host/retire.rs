//! `/hosts/{host_id}/retire`: what retiring destroys, then doing exactly that.

use askama::Template;
use http::HeaderMap;
use muster_ids::HostId;
use muster_wire::host::{Host, HostState, RetirementPreview};
use serde_json::json;

use super::frame::{self, Frame, Tab};
use crate::form::Form;
use crate::path::Named;
use crate::respond::see_other;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

#[derive(Template)]
#[template(path = "host_retire.html")]
pub(crate) struct RetirePage {
    shell: Shell,
    frame: Frame,
    preview: RetirementPreview,
}

/// `GET /hosts/{host_id}/retire`
pub(crate) async fn get(visit: Visit, Named(id): Named<HostId>) -> Answered {
    let frame = Frame::load(&visit, id, Tab::Manage).await?;
    show(&visit, frame).await
}

async fn show(visit: &Visit, frame: Frame) -> Answered {
    if frame.is(HostState::Retired) {
        return Ok(see_other(&frame.path(""), &HeaderMap::new()));
    }
    let preview = visit.api.get(&format!("/v1/hosts/{}/retirement", frame.host.id)).await?;
    visit.page(&RetirePage { shell: frame::shell(visit, &frame), frame, preview })
}

/// `POST /hosts/{host_id}/retire`
pub(crate) async fn create(visit: Visit, Named(id): Named<HostId>, form: Form) -> Answered {
    let mut frame = Frame::load(&visit, id, Tab::Manage).await?;
    let path = format!("/v1/hosts/{}/retire", frame.host.id);
    let request = json!({ "preview_version": form.raw("preview_version") });
    match visit.api.post::<Host>(&path, &request).await {
        Ok(_) => Ok(see_other(&frame.path("?done=retired"), &HeaderMap::new())),
        Err(refusal) if refusal.is_of_form() => {
            frame.refuse(&refusal);
            show(&visit, frame).await
        }
        Err(refusal) => Err(refusal.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, HOSTILE, KEY, of};

    fn page(connected: bool, jobs: u32) -> RetirePage {
        let mut frame = Frame::sample(Tab::Manage);
        frame.host.name = HOSTILE.to_owned();
        let preview = of(json!({
            "host_id": samples::HOST, "name": HOSTILE, "connected": connected, "keys": [KEY], "secrets": ["repo"],
            "open_jobs": jobs, "open_claims": 0, "preview_version": "v1",
        }));
        RetirePage { shell: Shell::sample(HOSTILE, "/hosts/x/retire"), frame, preview }
    }

    #[test]
    fn retiring_shows_what_is_lost() {
        samples::check("host_retire", &page(true, 2));
        let html = page(false, 0).render().unwrap();
        assert!(!html.contains("connected now") && !html.contains("have not ended"), "{html}");
    }
}
