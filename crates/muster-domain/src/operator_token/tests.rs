use uuid::Uuid;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn team(n: u128) -> TeamId {
    TeamId::from_uuid(Uuid::from_u128(n))
}

fn maker(role: Role, scopes: Option<&[Permission]>) -> Maker {
    Maker {
        reach: Reach { role, scopes: scopes.map(<[_]>::to_vec) },
        team_id: team(1),
        expires_at: None,
        bound_team_id: None,
        live: 0,
        made_today: 0,
        by_provider: false,
    }
}

fn wanted(scopes: Option<&[Permission]>) -> Wanted {
    Wanted { scopes: scopes.map(<[_]>::to_vec), lives_for: None, team_id: None }
}

fn bound_to(maker: Maker, team_id: TeamId) -> Maker {
    let role = role_in_one_team(maker.reach.role);
    Maker { reach: Reach { role, ..maker.reach }, bound_team_id: Some(team_id), ..maker }
}

#[test]
fn no_token_may_more_than_its_maker() {
    use Permission::{ManagePeople, OwnAccount, RunJobs, SeeFleet};
    let check = |maker: &Maker, scopes: Option<&[Permission]>, expected: Result<(), Refusal>| {
        assert_eq!(mint(maker, &wanted(scopes), NOW).map(drop), expected, "{maker:?} makes {scopes:?}");
    };
    let viewer = maker(Role::Viewer, None);
    check(&viewer, None, Ok(()));
    check(&viewer, Some(&[SeeFleet]), Ok(()));
    check(&viewer, Some(&[RunJobs]), Err(Refusal::BeyondReach));
    check(&viewer, Some(&[ManagePeople]), Err(Refusal::BeyondReach));
    check(&viewer, Some(&[]), Err(Refusal::NoScopes));
    let scoped = maker(Role::Owner, Some(&[OwnAccount, SeeFleet]));
    check(&scoped, Some(&[OwnAccount, SeeFleet]), Ok(()));
    check(&scoped, Some(&[OwnAccount, RunJobs]), Err(Refusal::BeyondReach));
    check(&scoped, None, Err(Refusal::BeyondReach));
    check(&maker(Role::Owner, Some(Permission::ALL)), None, Err(Refusal::BeyondReach));
    check(&Maker { live: MOST_LIVE, ..maker(Role::Admin, None) }, None, Err(Refusal::TooMany));
    let busy = Maker { made_today: MOST_A_DAY - 1, ..maker(Role::Admin, None) };
    check(&busy, None, Ok(()));
    check(&Maker { made_today: MOST_A_DAY, ..busy }, None, Err(Refusal::TooManyToday));
}

/// Every role and every pair of scopes on either side: what a child covers its maker covers too.
#[test]
fn what_a_token_covers_its_maker_covers() {
    let mut choices: Vec<Option<Vec<Permission>>> = vec![None];
    for first in Permission::ALL {
        choices.extend(Permission::ALL.iter().map(|second| Some(vec![*first, *second])));
    }
    for role in Role::ALL {
        for held in &choices {
            let maker = maker(role, held.as_deref());
            for asked in &choices {
                let Ok(grant) = mint(&maker, &wanted(asked.as_deref()), NOW) else { continue };
                let child = Reach { role, scopes: grant.scopes };
                let escaped = Permission::ALL.iter().find(|p| child.covers(**p) && !maker.reach.covers(**p));
                assert_eq!(escaped, None, "{role:?} with {held:?} made {asked:?}");
            }
        }
    }
}

#[test]
fn no_token_outlives_the_one_that_makes_it() {
    let short = Maker { expires_at: Some(NOW.plus(DAY)), ..maker(Role::Owner, None) };
    let lives = |maker: &Maker, lives_for: Option<Duration>| {
        mint(maker, &Wanted { lives_for, ..wanted(None) }, NOW).map(|grant| grant.expires_at)
    };
    assert_eq!(lives(&short, None), Ok(NOW.plus(DAY)));
    assert_eq!(lives(&short, Some(DAY)), Ok(NOW.plus(DAY)));
    assert_eq!(lives(&short, Some(2 * DAY)), Err(Refusal::OutlivesMaker));
    let session = maker(Role::Owner, None);
    assert_eq!(lives(&session, None), Ok(NOW.plus(LIVES_FOR)));
    assert_eq!(lives(&session, Some(365 * DAY)), Ok(NOW.plus(365 * DAY)));
    let by_provider = Maker { by_provider: true, ..session.clone() };
    assert_eq!(lives(&by_provider, None), Ok(NOW.plus(LIVES_FOR_BY_PROVIDER)));
    assert_eq!(lives(&by_provider, Some(365 * DAY)), Ok(NOW.plus(365 * DAY)));
    let long = Maker { expires_at: Some(NOW.plus(300 * DAY)), ..session };
    assert_eq!(lives(&long, None), Ok(NOW.plus(LIVES_FOR)));
}

#[test]
fn a_token_is_bound_where_its_maker_acts() {
    let bind = |maker: &Maker, team_id: Option<TeamId>| {
        mint(maker, &Wanted { team_id, ..wanted(None) }, NOW).map(|grant| grant.bound_team_id)
    };
    let owner = maker(Role::Owner, None);
    assert_eq!(bind(&owner, None), Ok(None));
    assert_eq!(bind(&owner, Some(team(1))), Ok(Some(team(1))));
    assert_eq!(bind(&owner, Some(team(2))), Err(Refusal::ForeignTeam));
    let admin = maker(Role::Admin, None);
    assert_eq!(bind(&admin, Some(team(2))), Ok(Some(team(2))));
    let bound = bound_to(admin.clone(), team(2));
    assert_eq!(bind(&bound, None), Ok(Some(team(2))), "a bound token makes bound ones");
    assert_eq!(bind(&bound, Some(team(2))), Ok(Some(team(2))));
    assert_eq!(bind(&bound, Some(team(1))), Err(Refusal::ForeignTeam), "not even its owner's team");
    let teams = Wanted { team_id: Some(team(2)), ..wanted(Some(&[Permission::ManageTeams])) };
    assert_eq!(mint(&admin, &teams, NOW), Err(Refusal::BeyondReach), "teams are not made within one");
    assert_eq!(mint(&bound, &wanted(Some(&[Permission::ManageTeams])), NOW), Err(Refusal::BeyondReach));
}
