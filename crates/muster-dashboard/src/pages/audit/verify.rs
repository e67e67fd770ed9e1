//! `/audit/verify`: whether the chain still is what was sealed, a bounded part at a time.

use askama::Template;
use http::StatusCode;
use muster_wire::audit::{AnchorState, AuditBreak, AuditVerification, BreakKind};

use crate::query::Query;
use crate::refusal::Refusal;
use crate::shell::Shell;
use crate::visit::{Answered, Visit};

/// Parts of a thousand rows that are verified before the page answers.
const PARTS: usize = 10;

#[derive(Template)]
#[template(path = "audit_verify.html")]
pub(crate) struct VerifyPage {
    shell: Shell,
    anchor: String,
    refusal: Option<Refusal>,
    found: Option<Found>,
}

/// What several parts came to.
pub(crate) struct Found {
    /// The position after which it was begun.
    after: u64,
    checked: u64,
    breaks: Vec<AuditBreak>,
    last: AuditVerification,
    go_on: Option<String>,
}

/// `GET /audit/verify`
pub(crate) async fn get(visit: Visit) -> Answered {
    let mut page = VerifyPage::new(visit.shell("Verify the audit trail"), visit.query.text("anchor"));
    if visit.query.is("go", "yes") {
        match verify(&visit).await {
            Ok(found) => page.found = Some(found),
            Err(refusal) if refusal.status == StatusCode::BAD_REQUEST => page.refusal = Some(refusal),
            Err(refusal) => return Err(refusal.into()),
        }
    }
    visit.page(&page)
}

async fn verify(visit: &Visit) -> Result<Found, Refusal> {
    let mut asked = visit.query.only(&["after", "anchor"]).and("limit", "1000");
    let mut part: AuditVerification = visit.api.get(&asked.on("/v1/audit/verify")).await?;
    let after = visit.query.text("after").parse().unwrap_or(part.begin);
    let (mut checked, mut breaks) = (part.checked, part.breaks.clone());
    for _ in 1..PARTS {
        if part.is_end {
            break;
        }
        asked = asked.and("after", &part.through.to_string());
        part = visit.api.get(&asked.on("/v1/audit/verify")).await?;
        checked += part.checked;
        breaks.extend(part.breaks.iter().copied());
    }
    Ok(Found::new(after, checked, breaks, part, &visit.query))
}

impl Found {
    fn new(
        after: u64,
        checked: u64,
        breaks: Vec<AuditBreak>,
        last: AuditVerification,
        query: &Query,
    ) -> Self {
        let go_on = (!last.is_end).then(|| query.and("after", &last.through.to_string()).on("/audit/verify"));
        Self { after, checked, breaks, last, go_on }
    }

    fn is_whole(&self) -> bool {
        self.breaks.is_empty() && self.last.anchor != Some(AnchorState::Broken)
    }

    /// Returns what came of it, in a sentence.
    fn says(&self) -> String {
        let rows = match self.checked {
            1 => "1 row".to_owned(),
            count => format!("{count} rows"),
        };
        match (self.breaks.len(), self.last.is_end) {
            (0, true) => format!("The chain holds to its end: {rows} verified."),
            (0, false) => {
                format!("The chain holds so far: {rows} verified, up to position {}.", self.last.through)
            }
            (1, _) => format!("The chain is broken at one place; {rows} verified."),
            (count, _) => format!("The chain is broken at {count} places; {rows} verified."),
        }
    }

    fn anchor_says(&self) -> Option<&'static str> {
        Some(match self.last.anchor? {
            AnchorState::Holds => "The mark you kept is still part of the chain.",
            AnchorState::Dropped => {
                "The row of the mark you kept was dropped because of its age: nothing can be said."
            }
            AnchorState::Broken => {
                "The mark you kept is not part of the chain: the trail was cut, or is another one."
            }
        })
    }

    fn break_says(&self, kind: &BreakKind) -> &'static str {
        match kind {
            BreakKind::Changed => "The row, or its link, is not what was sealed.",
            BreakKind::Missing => "Rows are gone.",
            BreakKind::Moved => "The row was sealed at another place.",
            BreakKind::Inserted => "The server did not write this row.",
            BreakKind::Truncated => "Rows at the end are gone.",
            BreakKind::Head => "What is kept of the end of the chain was not kept by the server.",
            BreakKind::Tail => "What is kept of the beginning of the chain was not kept by the server.",
        }
    }
}

impl VerifyPage {
    fn new(shell: Shell, anchor: &str) -> Self {
        Self { shell, anchor: anchor.to_owned(), refusal: None, found: None }
    }

    fn error(&self) -> Option<String> {
        self.refusal.as_ref()?.of_field("anchor")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::samples;

    fn part(is_end: bool, breaks: &serde_json::Value, anchor: Option<&str>) -> AuditVerification {
        samples::of(json!({
            "begin": 0, "through": 1000, "checked": 1000, "is_end": is_end, "breaks": breaks, "unsealed": 1,
            "head": "1200:0123456789abcdef", "anchor": anchor,
        }))
    }

    fn found(part: AuditVerification) -> Found {
        Found::new(0, part.checked, part.breaks.clone(), part, &Query::parse("go=yes&anchor=1"))
    }

    impl VerifyPage {
        pub(crate) fn sample() -> Self {
            let breaks = json!([
                { "position": 17, "until": null, "kind": "changed" }, { "position": 20, "until": 25, "kind": "missing" },
            ]);
            let mut page =
                Self::new(Shell::sample("Verify the audit trail", "/audit/verify"), samples::HOSTILE);
            page.found = Some(found(part(false, &breaks, Some("broken"))));
            page
        }
    }

    #[test]
    fn whether_the_chain_holds() {
        samples::check("audit_verify", &VerifyPage::sample());
        let whole = found(part(true, &json!([]), Some("holds")));
        assert!(whole.is_whole() && whole.go_on.is_none() && whole.says().contains("to its end"));
        let cut = found(part(true, &json!([]), Some("broken")));
        assert!(!cut.is_whole());
        let more = found(part(false, &json!([]), None));
        assert_eq!(more.go_on.as_deref(), Some("/audit/verify?go=yes&anchor=1&after=1000"));
        assert!(more.says().contains("so far"));
    }
}
