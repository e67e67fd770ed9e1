use super::*;

const PASSWORD: &str = "seven green bottles";

fn normal(text: &str) -> SecretString {
    password::normalise(text)
}

fn verdict(typed: &str, phc: Option<&str>) -> Verdict {
    verify_here(&normal(typed), phc, [9; 16]).unwrap()
}

#[test]
fn a_password_is_known_again_and_only_it() {
    let phc = hash_here(&normal(PASSWORD), [1; 16]).unwrap();
    assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
    assert_eq!(verdict(PASSWORD, Some(&phc)), Verdict::Right { rehashed: None });
    assert_eq!(verdict("seven green bottles ", Some(&phc)), Verdict::Wrong);
    assert_eq!(verdict(PASSWORD, None), Verdict::Wrong);
    assert_ne!(hash_here(&normal(PASSWORD), [2; 16]).unwrap(), phc);
}

#[test]
fn a_hash_of_other_work_is_made_anew() {
    let weaker = Params::new(8 * 1024, 1, 1, Some(OUTPUT_LEN)).unwrap();
    for (algorithm, params) in
        [(Algorithm::Argon2id, weaker), (Algorithm::Argon2i, argon2().unwrap().params().clone())]
    {
        let old = Argon2::new(algorithm, Version::V0x13, params);
        let old = old.hash_password_with_salt(PASSWORD.as_bytes(), &[1; 16]).unwrap().to_string();
        let Verdict::Right { rehashed: Some(phc) } = verdict(PASSWORD, Some(&old)) else { panic!("{old}") };
        assert_eq!(verdict(PASSWORD, Some(&phc)), Verdict::Right { rehashed: None });
        assert_eq!(verdict("another password", Some(&old)), Verdict::Wrong);
    }
}

#[test]
fn what_is_stored_and_no_hash_is_a_failure_and_never_a_yes() {
    for broken in ["", "plain text", "$argon2id$v=19$m=19456,t=2,p=1$R1B3Zbo0HiDPrHaZa9J/sg", "$md5$abc$def"]
    {
        let result = verify_here(&normal(PASSWORD), Some(broken), [9; 16]);
        assert!(!matches!(result, Ok(Verdict::Right { .. })), "{broken}");
    }
}

#[test]
fn the_stand_in_takes_the_usual_work() {
    assert!(is_of_today(&PasswordHash::new(STAND_IN).unwrap()));
}
