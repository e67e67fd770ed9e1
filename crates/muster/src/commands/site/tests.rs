use super::*;

const NOTHING: PolicyChange = PolicyChange {
    new: None,
    reimage: None,
    reimage_after: None,
    surge: None,
    require_key: None,
    on_clone: None,
};

#[test]
fn what_is_not_named_stays() {
    let mut policy =
        SitePolicy { new: NewPolicy::Approve, surge: Whole::clamped(7), ..SitePolicy::default() };
    let change = PolicyChange { require_key: Some(false), reimage_after: "2d".parse().ok(), ..NOTHING };
    assert!(NOTHING.is_empty() && !change.is_empty());
    change.apply(&mut policy).expect("within bounds");
    assert_eq!(
        (policy.new, policy.surge.get(), policy.reimage_after_secs.get()),
        (NewPolicy::Approve, 7, 172_800)
    );
    assert!(!policy.require_key);
}

#[test]
fn bounds_are_told() {
    for change in [
        PolicyChange { surge: Some(0), ..NOTHING },
        PolicyChange { reimage_after: "500d".parse().ok(), ..NOTHING },
    ] {
        let failure = change.apply(&mut SitePolicy::default()).expect_err("out of bounds").to_string();
        assert!(failure.contains("choose"), "{failure}");
    }
}
