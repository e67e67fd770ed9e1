use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn write_pair(dir: &Path, key: &KeyPair) {
    let mut params = CertificateParams::new(vec!["muster.example".to_owned()]).expect("params");
    let at = |secs: i64| {
        let secs = u64::try_from(NOW.as_secs() + secs).expect("after 1970");
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(secs)
    };
    (params.not_before, params.not_after) = (at(-3600), at(90 * 86_400));
    let certificate = params.self_signed(key).expect("signed");
    fs::write(dir.join("server.crt"), certificate.pem()).expect("written");
    fs::write(dir.join("server.key"), key.serialize_pem()).expect("written");
    fs::set_permissions(dir.join("server.key"), fs::Permissions::from_mode(0o600)).expect("mode");
}

fn files(dir: &Path, pinned: bool) -> TlsSource {
    TlsSource::Files { certificate: dir.join("server.crt"), key: dir.join("server.key"), pinned }
}

#[test]
fn what_agents_pin_is_what_the_operator_said() {
    let dir = tempfile::tempdir().expect("folder");
    write_pair(dir.path(), &KeyPair::generate().expect("key"));
    let public = Tls::open(files(dir.path(), false), None, NOW).expect("opened");
    assert_eq!((public.kind(), public.pins(), public.all_pins()), (TlsKind::PublicFiles, vec![], vec![]));
    let pinned = Tls::open(files(dir.path(), true), None, NOW).expect("opened");
    assert_eq!((pinned.kind(), pinned.pins().len(), pinned.next_pins()), (TlsKind::PinnedFiles, 1, vec![]));
    assert!(
        !pinned.switch(NOW, &[]).expect("nothing to switch"),
        "the operator's key is not the server's to replace"
    );
    let absent = Tls::absent();
    assert_eq!((absent.kind(), absent.pins(), absent.expires_at()), (TlsKind::Absent, vec![], None));
}

#[test]
fn the_servers_own_next_key_is_announced_before_it_is_shown() {
    let dir = tempfile::tempdir().expect("folder");
    let source = TlsSource::Own { dir: dir.path().to_owned(), names: vec!["localhost".to_owned()] };
    let tls = Tls::open(source, None, NOW).expect("opened");
    let (first, next) = (tls.pins(), tls.next_pins());
    assert_eq!(tls.all_pins(), [first.clone(), next.clone()].concat());
    assert!(tls.switch(NOW, &next).expect("switched"));
    assert_eq!(tls.pins(), next);
    assert!(!tls.all_pins().contains(&first[0]));
    assert!(!tls.has_news(), "its own files are nobody's news");
}

#[test]
fn b23_a_rotation_that_broke_off_is_finished_not_repeated() {
    let dir = tempfile::tempdir().expect("folder");
    let source = TlsSource::Own { dir: dir.path().join("tls"), names: vec!["localhost".to_owned()] };
    fs::create_dir(dir.path().join("tls")).expect("folder");
    let file = dir.path().join("next.pem");
    fs::write(&file, KeyPair::generate().expect("key").public_key_pem()).expect("written");
    let tls = Tls::open(source, Some(file.clone()), NOW).expect("opened");
    let (shown, next) = (tls.pins(), tls.next_pins());
    let own = &next[..1];
    // What cannot be read is found out before the first key moves.
    let readable = fs::read(&file).expect("file");
    fs::write(&file, "unreadable").expect("written");
    let key = fs::read(dir.path().join("tls/tls.key")).expect("key");
    assert!(tls.switch(NOW, own).is_err());
    assert_eq!(fs::read(dir.path().join("tls/tls.key")).expect("key"), key);
    fs::write(&file, readable).expect("written");
    // Another next key cannot be made: the switch breaks off after its first step, twice.
    let draft = dir.path().join(format!("tls/next.draft-{}", std::process::id()));
    fs::create_dir(&draft).expect("in the way");
    for _ in 0..2 {
        assert!(tls.switch(NOW, own).is_err());
        assert_eq!((tls.pins(), tls.next_pins()), (shown.clone(), next.clone()));
    }
    fs::remove_dir(&draft).expect("removed");
    let found = tls.look(NOW).expect("whole").expect("found");
    assert_eq!(
        ([found.pin().to_owned()], tls.next_pins()),
        ([own[0].clone()], next.clone()),
        "not shown yet"
    );
    assert!(tls.switch(NOW, own).expect("finished"));
    assert_eq!(tls.pins(), own, "the key that was announced, not the one after it");
    assert_eq!(tls.next_pins()[1..], next[1..]);
    assert!(tls.next_pins()[0] != own[0] && tls.next_pins()[0] != shown[0]);
}

#[test]
fn a_pair_is_taken_as_a_whole_or_not_at_all() {
    let dir = tempfile::tempdir().expect("folder");
    write_pair(dir.path(), &KeyPair::generate().expect("key"));
    let tls = Tls::open(files(dir.path(), true), None, NOW).expect("opened");
    let before = tls.pins();
    assert!(!tls.has_news());
    // Half of a new pair: the key is not there yet.
    let newer = KeyPair::generate().expect("key");
    let old_key = fs::read(dir.path().join("server.key")).expect("key");
    write_pair(dir.path(), &newer);
    let new_key = fs::read(dir.path().join("server.key")).expect("key");
    fs::write(dir.path().join("server.key"), &old_key).expect("written");
    assert!(tls.has_news());
    assert!(matches!(tls.look(NOW), Err(TlsError::Mismatch { .. })));
    assert_eq!(tls.pins(), before);
    tls.note_problem(Some("half a pair".to_owned()));
    assert!(tls.has_news(), "what was not taken is looked at again, changed or not");
    fs::write(dir.path().join("server.key"), &new_key).expect("written");
    let found = tls.look(NOW).expect("whole").expect("found");
    assert_eq!(tls.pins(), before, "looking shows nothing");
    let pin = found.pin().to_owned();
    tls.show(found);
    tls.note_problem(None);
    assert_eq!(tls.pins(), [pin]);
    assert!(!tls.has_news());
}

#[test]
fn what_is_announced_counts_until_it_is_shown() {
    let dir = tempfile::tempdir().expect("folder");
    let (current, next) = (KeyPair::generate().expect("key"), KeyPair::generate().expect("key"));
    write_pair(dir.path(), &current);
    let announced = dir.path().join("next.pem");
    fs::write(&announced, next.public_key_pem()).expect("written");
    let tls = Tls::open(files(dir.path(), true), Some(announced), NOW).expect("opened");
    let [next_pin] = &tls.next_pins()[..] else { panic!("one next pin") };
    write_pair(dir.path(), &next);
    tls.show(tls.look(NOW).expect("whole").expect("found"));
    assert_eq!(*tls.pins(), [next_pin.as_str()]);
    assert_eq!(tls.next_pins(), Vec::<String>::new());
}

#[cfg(feature = "acme")]
#[test]
fn c28_acme_what_was_ordered_is_shown_from_the_start_while_it_is_good() {
    use muster_http::tls::write_private;

    use crate::acme::{AcmeOptions, AcmePace};

    let dir = tempfile::tempdir().expect("folder");
    fs::create_dir(dir.path().join("acme")).expect("folder");
    let url = "https://acme.example/directory";
    let acme = || {
        let options = AcmeOptions {
            names: vec!["muster.example".to_owned()],
            contact: None,
            directory: url.to_owned(),
            ca_file: None,
            pace: AcmePace::default(),
        };
        let directory = muster_acme::Directory::new(url, Vec::new(), muster_acme::Allowed::public_only());
        Acme::new(options, dir.path().to_owned(), directory.expect("made"))
    };
    let open = |now: Timestamp| Tls::ordering(acme(), now).expect("it opens whatever is there");
    let file = acme().certificate_file();
    let nothing = open(NOW);
    assert_eq!((nothing.kind(), nothing.pins(), nothing.expires_at()), (TlsKind::Acme, vec![], None));
    assert_eq!((nothing.problem(), nothing.has_news()), (None, false));
    assert!(nothing.look(NOW).expect("nothing to read").is_none());

    write_pair(dir.path(), &KeyPair::generate().expect("key"));
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).expect("read");
    let ordered = Ordered::write(&file, url, &read("server.key"), &read("server.crt"), NOW).expect("written");
    assert!(nothing.has_news());
    let found = nothing.look(NOW).expect("read").expect("found");
    nothing.show(found);
    assert_eq!(nothing.expires_at(), Some(ordered.identity.not_after));
    let good = open(NOW);
    assert_eq!(good.expires_at(), Some(ordered.identity.not_after));
    assert!(!good.order().expect("ordered").temporary);
    assert!(!good.acme().expect("ordered").is_due(Some(&ordered), NOW));
    let late = NOW.plus(Duration::from_secs(61 * 86_400));
    assert!(good.acme().expect("ordered").is_due(Some(&ordered), late), "a third is left");
    let elsewhere = Ordered { from: "https://staging.example/directory".to_owned(), ..ordered.clone() };
    assert!(good.acme().expect("ordered").is_due(Some(&elsewhere), NOW), "it is of another directory");

    // Over, damaged: the server starts, trusted by nobody, and says why.
    let over = open(NOW.plus(Duration::from_secs(91 * 86_400)));
    assert_eq!(over.expires_at(), None);
    assert!(over.problem().is_some_and(|why| why.contains("expired")));
    write_private(&file, b"damaged").expect("written");
    let damaged = open(NOW);
    assert!(damaged.order().expect("ordered").temporary && damaged.problem().is_some());
}
