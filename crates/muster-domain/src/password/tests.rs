use super::*;

#[track_caller]
fn check(typed: &str, expected: Result<(), Weakness>) {
    assert_eq!(judge(&normalise(typed), &["ada.lovelace", "Ada Lovelace"]), expected, "{typed:?}");
}

#[test]
fn length_is_counted_in_code_points_after_normalisation() {
    check("tulip-kettle-9", Err(Weakness::TooShort));
    check("tulip-kettle-91", Ok(()));
    // Fifteen bytes and more, but fewer characters.
    check("größenwahnsüß", Err(Weakness::TooShort));
    // A ligature is as many letters as it joins, an accent of its own is none.
    check("ﬃnch-kettle9", Err(Weakness::TooShort));
    check("ﬃnch-kettle-9", Ok(()));
    check("e\u{301}-tulip-kettle", Err(Weakness::TooShort));
    let long: String = (0..32).map(|n| format!("k{n:02}.")).collect();
    check(&long, Ok(()));
    check(&format!("{long}x"), Err(Weakness::TooLong));
}

#[test]
fn every_character_is_welcome_and_none_is_needed() {
    for good in [
        "seven green bottles fell",
        "kbgdwuznqoxjpte",
        "94618203575029164",
        "зелёный чайник поёт",
        "七つの緑の瓶が壁から落ちて割れました",
        "🐢 walks to the fridge",
        "I never told the muster server",
    ] {
        check(good, Ok(()));
    }
}

#[test]
fn what_is_tried_first_is_refused() {
    for (typed, why) in [
        ("aaaaaaaaaaaaaaa", Weakness::Repeated),
        ("abababababababab", Weakness::Repeated),
        ("passwordpassword", Weakness::Repeated),
        ("tulip9tulip9tulip9", Weakness::Repeated),
        ("abcdefghijklmnop", Weakness::Sequence),
        ("123456789012345", Weakness::Sequence),
        ("qwertyuiopasdfgh", Weakness::Sequence),
        ("zyxwvutsrqponmlk", Weakness::Sequence),
        ("Password12345678", Weakness::WellKnown),
        ("P@ssw0rd!P@ssw0rd", Weakness::WellKnown),
        ("Welcome2024!Admin", Weakness::WellKnown),
        ("CorrectHorseBatteryStaple", Weakness::WellKnown),
        ("correct horse battery staple", Weakness::WellKnown),
        ("1q2w3e4r5t6y7u8i", Weakness::WellKnown),
        ("thisismypassword", Weakness::WellKnown),
        ("mustermuster2026", Weakness::WellKnown),
        ("ＰＡＳＳＷＯＲＤ１２３４５６７８", Weakness::WellKnown),
        ("adalovelace2026", Weakness::NamesItsOwner),
        ("Ada.Lovelace!99", Weakness::NamesItsOwner),
        ("lovelace-muster-1", Weakness::NamesItsOwner),
    ] {
        check(typed, Err(why));
    }
}

#[test]
fn the_same_password_from_another_keyboard_is_the_same() {
    let typed = ["Å-tulip-kettle-9", "A\u{30a}-tulip-kettle-9", "\u{212b}-tulip-kettle-9"];
    let forms: Vec<String> = typed.map(|typed| normalise(typed).expose_secret().to_owned()).into();
    assert!(forms.iter().all(|form| *form == forms[0]), "{forms:?}");
}
