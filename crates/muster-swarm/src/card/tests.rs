use super::*;

fn machine() -> ThisMachine {
    ThisMachine {
        cores: 2,
        processor: "any".to_owned(),
        kernel: "6.1".to_owned(),
        memory_gib: 23.5,
        file_system: "ext4".to_owned(),
        descriptors: 20_000,
        load_before: "0.01".to_owned(),
    }
}

#[track_caller]
fn judged(kind: GoalKind, value: f64, denominator: Option<f64>, met: bool, extreme: bool) {
    let goal = kind.rule().judge("SQLite", value, denominator);
    assert_eq!((goal.met, goal.extreme_met), (met, extreme), "{goal:?}");
}

#[test]
fn a_goal_is_judged_by_its_ratio_where_it_has_one() {
    judged(GoalKind::HttpHeartbeats, 74.0, Some(100.0), false, false);
    judged(GoalKind::HttpHeartbeats, 75.0, Some(100.0), true, false);
    judged(GoalKind::HttpHeartbeats, 88.0, Some(100.0), true, true);
    judged(GoalKind::PushToAll, 201.0, Some(100.0), false, false);
    judged(GoalKind::PushToAll, 120.0, Some(100.0), true, true);
    judged(GoalKind::MemoryPlain, 10.1, None, false, false);
    judged(GoalKind::MemoryPlain, 6.0, None, true, true);
    judged(GoalKind::ConnectFailures, 0.0, None, true, false);
    judged(GoalKind::ConnectFailures, 1.0, None, false, false);
}

#[test]
fn a_figure_that_could_not_be_divided_is_not_met() {
    judged(GoalKind::JoinsSqlite, 0.0, Some(0.0), false, false);
    judged(GoalKind::PushToAll, 0.0, Some(0.0), false, false);
}

#[test]
fn every_extreme_is_at_least_as_hard_as_its_must() {
    for kind in GOALS {
        match kind.rule().bound {
            Bound::AtLeast(must, extreme) => assert!(extreme >= must, "{kind:?}"),
            Bound::AtMost(must, extreme) => assert!(extreme <= must, "{kind:?}"),
            Bound::NoMoreThan(_) => {}
        }
    }
}

#[test]
fn the_card_shows_what_was_not_measured() {
    let mut card = Card::new(machine(), "today".to_owned(), false);
    card.goal(GoalKind::JoinsSqlite, "SQLite", 4000.0, Some(3500.0));
    card.missing("list pages", "PostgreSQL", &anyhow::anyhow!("no | room"));
    card.figure("joins, p99", "SQLite", 12.34, "ms");
    card.reconnects.insert("SQLite", Histogram { per_second: vec![10, 5] });
    let text = card.markdown();
    for wanted in [
        "1 of 1 musts",
        "| 4000 /s | 3500 /s of the bare",
        "| 1.14 |",
        "not measured: no   room",
        "12.3 ms",
        "0 s     15 ####",
    ] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    let json = serde_json::to_value(&card).unwrap();
    assert_eq!(json["goals"][0]["met"], true);
    assert_eq!(json["goals"][0]["denominator"], 3500.0);
}
