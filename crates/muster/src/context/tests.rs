use std::os::unix::fs::symlink;

use super::*;
use crate::failure::Exit;

const CANARY: &str = "mso_canary";

fn context() -> Context {
    Context {
        url: Url::parse("https://muster.example:8643").expect("a URL"),
        pins: vec!["pin".into()],
        team: Some("team_0192f0c1a2b37c4d8e5f60718293a4b5".parse().expect("an id")),
        token: SecretString::from(CANARY),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it exists").permissions().mode() & 0o777
}

fn commit(path: &Path, context: &Context) {
    Draft::new(path).expect("a draft").commit(context).expect("written");
}

#[test]
fn the_file_is_private_and_so_is_its_folder() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("config/muster/context.toml");
    commit(&path, &context());
    assert_eq!((mode(&path), mode(&home.path().join("config/muster"))), (0o600, 0o700));
    let read = Context::load(&path).expect("readable").expect("there");
    assert_eq!(read.token.expose_secret(), CANARY);
    assert_eq!((read.url, read.pins, read.team), (context().url, context().pins, context().team));
    let left = fs::read_dir(home.path().join("config/muster")).expect("a folder").count();
    assert_eq!(left, 1, "no draft is left");
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("context.toml");
    commit(&path, &context());
    for open in [0o640, 0o604, 0o660] {
        fs::set_permissions(&path, fs::Permissions::from_mode(open)).expect("chmod");
        let failure = Context::load(&path).expect_err("refused").to_string();
        assert!(failure.contains("chmod 600"), "{failure}");
    }
}

#[test]
fn a_damaged_file_is_not_quoted() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("context.toml");
    commit(&path, &context());
    fs::write(&path, format!("url = \"http://127.0.0.1:8600\"\ntoken = {CANARY}")).expect("damaged");
    let failure = Context::load(&path).expect_err("refused").to_string();
    assert!(failure.contains("muster login") && !failure.contains(CANARY), "{failure}");
}

#[test]
fn an_absent_file_is_no_context() {
    let home = tempfile::tempdir().expect("a folder");
    assert!(Context::load(&home.path().join("context.toml")).expect("no failure").is_none());
}

#[test]
fn a_new_context_replaces_a_link_and_not_what_it_points_to() {
    let home = tempfile::tempdir().expect("a folder");
    let (path, elsewhere) = (home.path().join("context.toml"), home.path().join("elsewhere"));
    fs::write(&elsewhere, "untouched").expect("written");
    symlink(&elsewhere, &path).expect("a link");
    commit(&path, &context());
    assert_eq!(fs::read_to_string(&elsewhere).expect("readable"), "untouched");
    assert!(Context::load(&path).expect("readable").is_some());
}

#[test]
fn a_folder_that_takes_no_files_is_known_before_anything_is_made() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("file");
    fs::write(&file, "").expect("written");
    let failure = Draft::new(&file.join("muster/context.toml")).expect_err("refused");
    assert_eq!(failure.exit(), Exit::Failed);
    assert!(failure.to_string().contains("--context"), "{failure}");
}

#[test]
fn the_default_place_follows_the_environment() {
    let with = |pairs: &'static [(&str, &str)]| {
        default_path(move |name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
        })
    };
    let expected = |text: &str| Ok(PathBuf::from(text));
    assert_eq!(with(&[("HOME", "/home/a")]), expected("/home/a/.config/muster/context.toml"));
    assert_eq!(with(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")]), expected("/x/muster/context.toml"));
    assert_eq!(
        with(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "relative")]),
        expected("/h/.config/muster/context.toml")
    );
    assert_eq!(with(&[]).map_err(|failure| failure.exit()), Err(Exit::Usage));
}

#[test]
fn a_context_is_never_printed() {
    assert!(!format!("{:?}", context()).contains(CANARY));
}
