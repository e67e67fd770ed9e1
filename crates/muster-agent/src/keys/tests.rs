use muster_ids::{HostId, KeyName, KeyThumbprint, Timestamp};
use muster_proof::HostKey;
use muster_proof::instruction::Revoked;
use tempfile::TempDir;
use uuid::Uuid;

use super::{Keys, Remaining};
use crate::enroll;
use crate::state::StateDir;

struct Scene {
    _parent: TempDir,
    state: StateDir,
}

fn host() -> HostId {
    HostId::from_uuid(Uuid::from_u128(7))
}

impl Scene {
    fn new() -> Self {
        let parent = TempDir::new().unwrap();
        let state = StateDir::open(&parent.path().join("state")).unwrap();
        enroll::make_key(&state).unwrap();
        Self { _parent: parent, state }
    }

    /// What a restart finds.
    fn keys(&self) -> Keys {
        Keys::load(&self.state).unwrap()
    }

    fn void(&self, host: HostId, key: KeyThumbprint) -> Remaining {
        let at = Timestamp::from_millis(1);
        let revoked = Revoked { host_id: host, key: KeyName::Pair(key), reason: "replaced".into(), at };
        self.keys().void(&self.state, Some(self::host()), &revoked).unwrap()
    }

    fn order(&self) -> Vec<KeyThumbprint> {
        self.keys().in_order().iter().map(|chosen| chosen.key.thumbprint()).collect()
    }
}

#[test]
fn the_next_key_is_on_disk_before_it_is_shown_and_the_same_again() {
    let scene = Scene::new();
    let former = scene.keys().current().thumbprint();
    assert_eq!(scene.order(), [former]);
    let next = scene.keys().make_next(&scene.state).unwrap().thumbprint();
    assert_eq!(scene.keys().make_next(&scene.state).unwrap().thumbprint(), next, "asked again after a crash");
    assert_eq!(scene.order(), [next, former], "the next one is tried first");
    let known = |named| scene.keys().next_is_known(&scene.state, named).unwrap();
    assert!(known(next) && known(next));
    assert!(!known(former) && !known(HostKey::generate().thumbprint()), "b29: a replayed answer");
    scene.keys().promote_next(&scene.state).unwrap();
    assert_eq!(scene.order(), [next], "the former one is gone");
    assert!(!known(next), "b29: a replayed answer");
    scene.keys().promote_next(&scene.state).unwrap();
    assert_eq!(scene.order(), [next]);
}

#[test]
fn b24_a_statement_takes_the_key_it_names_and_no_other() {
    let scene = Scene::new();
    let former = scene.keys().current().thumbprint();
    let stranger = HostKey::generate().thumbprint();
    let next = scene.keys().make_next(&scene.state).unwrap().thumbprint();
    assert_eq!(scene.void(host(), stranger), Remaining::Both);
    let other_host = HostId::from_uuid(Uuid::from_u128(8));
    assert_eq!(scene.void(other_host, former), Remaining::Both);
    assert_eq!(scene.order(), [next, former]);

    assert_eq!(scene.void(host(), next), Remaining::Current, "the former one still stands");
    assert_eq!(scene.order(), [former]);

    let next = scene.keys().make_next(&scene.state).unwrap().thumbprint();
    scene.keys().next_is_known(&scene.state, next).unwrap();
    assert_eq!(scene.void(host(), former), Remaining::Next, "the next one took its place");
    assert_eq!(scene.order(), [next]);
    assert_eq!(scene.void(host(), former), Remaining::Both);
    assert_eq!(scene.void(host(), next), Remaining::Nothing);
}

#[test]
fn a_next_key_the_server_never_knew_does_not_outlive_a_revocation() {
    let scene = Scene::new();
    scene.keys().make_next(&scene.state).unwrap();
    let former = scene.keys().current().thumbprint();
    assert_eq!(scene.void(host(), former), Remaining::Nothing);
}

#[test]
fn a_generation_belongs_to_its_key_and_the_former_ones_stays_until_its_place_is_taken() {
    let scene = Scene::new();
    let former = scene.keys().current().thumbprint();
    let next = scene.keys().make_next(&scene.state).unwrap().thumbprint();
    let holds = || {
        let chosen = scene.keys().in_order();
        chosen.iter().map(|chosen| chosen.generation(&scene.state).unwrap()).collect::<Vec<_>>()
    };
    let some = |generation: &str| Some(generation.to_owned());
    scene.keys().in_order()[1].store_generation(&scene.state, "g1").unwrap();
    assert_eq!(holds(), [None, some("g1")]);
    scene.keys().in_order()[0].store_generation(&scene.state, "n1").unwrap();
    assert_eq!(holds(), [some("n1"), some("g1")]);
    scene.keys().in_order()[0].forget_generation(&scene.state).unwrap();
    assert_eq!((holds(), scene.order()), (vec![None, some("g1")], vec![next, former]));
    scene.keys().in_order()[0].store_generation(&scene.state, "n2").unwrap();
    scene.keys().promote_next(&scene.state).unwrap();
    assert_eq!((holds(), scene.order()), (vec![some("n2")], vec![next]));
}

/// The power fails after each step of the exchange: one key is left that opens the channel, with its generation.
#[test]
fn c03_a_crash_between_the_files_of_an_exchange_leaves_the_next_key_whole() {
    let scene = Scene::new();
    let next = scene.keys().make_next(&scene.state).unwrap().thumbprint();
    scene.keys().in_order()[0].store_generation(&scene.state, "n1").unwrap();
    let first = |scene: &Scene| {
        let chosen = scene.keys().in_order().remove(0);
        (chosen.key.thumbprint(), chosen.generation(&scene.state).unwrap())
    };
    let expected = (next, Some("n1".to_owned()));
    scene.state.store_generation("n1", next).unwrap();
    assert_eq!(first(&scene), expected);
    let folder = scene.state.path();
    std::fs::rename(folder.join("next.pk8"), folder.join("key.pk8")).unwrap();
    assert_eq!(first(&scene), expected);
    assert_eq!(scene.order(), [next]);
}
