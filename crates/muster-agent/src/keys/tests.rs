use muster_ids::{HostId, KeyName, KeyThumbprint, Timestamp};
use muster_proof::HostKey;
use muster_proof::instruction::Revoked;
use tempfile::TempDir;
use uuid::Uuid;

use super::{Keys, Left};
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

    fn void(&self, host: HostId, key: KeyThumbprint) -> Left {
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
fn a_next_key_the_server_does_not_know_is_given_up() {
    let scene = Scene::new();
    let former = scene.keys().current().thumbprint();
    let first = scene.keys().make_next(&scene.state).unwrap().thumbprint();
    scene.keys().forget_next(&scene.state).unwrap();
    assert_eq!(scene.order(), [former]);
    assert_ne!(scene.keys().make_next(&scene.state).unwrap().thumbprint(), first);
}

#[test]
fn b24_a_statement_takes_the_key_it_names_and_no_other() {
    let scene = Scene::new();
    let former = scene.keys().current().thumbprint();
    let stranger = HostKey::generate().thumbprint();
    let next = scene.keys().make_next(&scene.state).unwrap().thumbprint();
    assert_eq!(scene.void(host(), stranger), Left::Both);
    let other_host = HostId::from_uuid(Uuid::from_u128(8));
    assert_eq!(scene.void(other_host, former), Left::Both);
    assert_eq!(scene.order(), [next, former]);

    assert_eq!(scene.void(host(), next), Left::Current, "the former one still stands");
    assert_eq!(scene.order(), [former]);

    let next = scene.keys().make_next(&scene.state).unwrap().thumbprint();
    scene.keys().next_is_known(&scene.state, next).unwrap();
    assert_eq!(scene.void(host(), former), Left::Next, "the next one took its place");
    assert_eq!(scene.order(), [next]);
    assert_eq!(scene.void(host(), former), Left::Both);
    assert_eq!(scene.void(host(), next), Left::Nothing);
}

#[test]
fn a_next_key_the_server_never_knew_does_not_outlive_a_revocation() {
    let scene = Scene::new();
    scene.keys().make_next(&scene.state).unwrap();
    let former = scene.keys().current().thumbprint();
    assert_eq!(scene.void(host(), former), Left::Nothing);
}

#[test]
fn a_generation_belongs_to_its_key() {
    let scene = Scene::new();
    let former = scene.keys().current().thumbprint();
    let next = scene.keys().make_next(&scene.state).unwrap().thumbprint();
    let holds = |key, is_next| scene.state.generation_of(key, is_next).unwrap();
    scene.state.store_generation("g1", former).unwrap();
    assert_eq!((holds(former, false).as_deref(), holds(next, true)), (Some("g1"), None));
    scene.state.store_generation("n1", next).unwrap();
    assert_eq!((holds(former, false), holds(next, true).as_deref()), (None, Some("n1")));
    scene.keys().promote_next(&scene.state).unwrap();
    assert_eq!(holds(next, false).as_deref(), Some("n1"));
}
