use super::*;

#[test]
fn connections_and_files_fit_into_the_descriptors_of_the_process() {
    for descriptors in [0, 100, 256, 1024, 4096, 20_000, 1_000_000, usize::MAX] {
        let [of_operators, of_machines] = connections(20_000, descriptors);
        assert!(of_machines >= 1, "{descriptors}");
        assert!(of_operators <= OPERATORS_CONNECTIONS && of_machines <= 20_000, "{descriptors}");
        let fits = of_operators.saturating_add(of_machines) <= descriptors.saturating_sub(KEPT_DESCRIPTORS);
        assert!(fits || descriptors < KEPT_DESCRIPTORS + 2, "{descriptors}");
    }
    assert_eq!(connections(20_000, 1024), [192, 576]);
    assert_eq!(connections(20_000, 65_536), [4096, 20_000]);
    assert_eq!(connections(10, 65_536), [10, 10]);
}

#[test]
fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let raised = raise_descriptors();
    let limit = getrlimit(Resource::Nofile);
    assert_eq!(limit.current, limit.maximum);
    assert!(raised > KEPT_DESCRIPTORS);
}
