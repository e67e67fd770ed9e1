use super::*;

#[test]
fn connections_and_files_fit_into_the_descriptors_of_the_process() {
    for descriptors in [0, 100, 256, 1024, 4096, 20_000, 1_000_000, usize::MAX] {
        let [of_operators, of_machines] = connections(20_000, descriptors);
        assert!(of_machines >= 1 && of_operators >= 1, "{descriptors}");
        assert!(of_operators <= OPERATORS_CONNECTIONS && of_machines <= 20_000, "{descriptors}");
        let kept = KEPT_DESCRIPTORS.min(descriptors / 2);
        assert!(of_operators + of_machines <= (descriptors - kept).max(4), "{descriptors}");
    }
    assert_eq!(connections(20_000, 256), [32, 96]);
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
