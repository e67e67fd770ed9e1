use super::*;

#[test]
fn a_location_is_a_file_or_a_postgres_url() {
    let file = |name: &str| Ok(Location::Sqlite(PathBuf::from(name)));
    assert_eq!(Location::parse("/var/lib/muster/muster.db"), file("/var/lib/muster/muster.db"));
    assert_eq!(Location::parse("sqlite:data.db"), file("data.db"));
    assert_eq!(Location::parse("sqlite:///srv/data.db"), file("/srv/data.db"));
    let url = "postgres://muster@db/muster?sslmode=require";
    assert_eq!(Location::parse(url), Ok(Location::Postgres(url.to_owned())));
    for text in ["", "sqlite:", "mysql://db/muster", "postgres://db:port/muster"] {
        assert_eq!(Location::parse(text), Err(InvalidLocation), "{text}");
    }
}

#[test]
fn the_password_in_a_location_is_never_printed() {
    let location = Location::parse("postgres://muster:hunter2@db/muster").unwrap();
    assert!(!format!("{location:?}").contains("hunter2"));
}
