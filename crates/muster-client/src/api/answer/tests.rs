use muster_wire::page::Page;
use muster_wire::people::SetupStatus;

use super::Answer;

const NEWER: &str = r#"{"items":[{"since":1, "configured":true}],"next_cursor":"c"}"#;

#[test]
fn a_document_is_passed_on_as_it_came() {
    let page: Page<Answer<SetupStatus>> = serde_json::from_str(NEWER).expect("a page");
    assert!(page.items[0].configured);
    assert_eq!(page.items[0].document(), r#"{"since":1, "configured":true}"#);
    assert_eq!(serde_json::to_string(&page).expect("JSON"), NEWER);
}

#[test]
fn a_document_of_another_form_is_refused() {
    assert!(serde_json::from_str::<Answer<SetupStatus>>(r#"{"configured":"yes"}"#).is_err());
}
