//! Which passwords are accepted (NIST SP 800-63B-4, section 3.1.1.2): long, and not one that is tried first.
//!
//! No rules of composition and no expiry: they make passwords that are easier to guess. A password may be the only
//! factor of an account, so it has at least fifteen characters.

use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization;

/// The shortest password, in code points after normalisation.
pub const MIN_CHARS: usize = 15;
/// The longest one.
pub const MAX_CHARS: usize = 128;
/// What must be left of a password besides words that everybody tries.
const MIN_BESIDES: usize = 8;
/// The fewest different characters.
const MIN_DIFFERENT: usize = 5;

/// Passwords of this length that are on every list.
const WELL_KNOWN: &[&str] = &[
    "correcthorsebatterystaple",
    "1q2w3e4r5t6y7u8i9o0p",
    "1q2w3e4r5t6y7u8i9o",
    "1q2w3e4r5t6y7u8i",
    "q1w2e3r4t5y6u7i8",
    "q1w2e3r4t5y6u7i8o9p0",
    "1qaz2wsx3edc4rfv",
    "1qaz2wsx3edc4rfv5tgb",
    "1qaz2wsx3edc4rfv5tgb6yhn",
    "zaq12wsxcde34rfv",
    "qazwsxedcrfvtgb",
    "qazwsxedcrfvtgbyhn",
    "thequickbrownfox",
    "thequickbrownfoxjumpsoverthelazydog",
    "maytheforcebewithyou",
    "unitedstatesofamerica",
    "supercalifragilisticexpialidocious",
    "openthedoorplease",
    "tobeornottobethatisthequestion",
    "neverguessthispassword",
    "itsasecrettoeverybody",
];

/// Words that other well-known passwords are put together from.
const TRIED_FIRST: &[&str] = &[
    "administrator",
    "password",
    "passwort",
    "passwd",
    "changeme",
    "changeit",
    "iloveyou",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "superman",
    "trustno1",
    "starwars",
    "welcome",
    "letmein",
    "michael",
    "charlie",
    "default",
    "qwertz",
    "qwerty",
    "azerty",
    "secret",
    "dragon",
    "monkey",
    "master",
    "shadow",
    "please",
    "server",
    "system",
    "access",
    "summer",
    "winter",
    "spring",
    "autumn",
    "login",
    "admin",
    "hello",
    "muster",
    "thisis",
    "guest",
    "root",
    "user",
    "test",
    "pass",
    "temp",
    "demo",
    "love",
    "the",
    "is",
    "my",
];

const ROWS: &[&str] = &[
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "qwertzuiop",
    "asdfghjkl",
    "zxcvbnm",
    "yxcvbnm",
    "azertyuiop",
];

/// Why a password is not accepted; the code of the field's problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// Fewer than [`MIN_CHARS`].
    #[error("too_short")]
    TooShort,
    /// More than [`MAX_CHARS`].
    #[error("too_long")]
    TooLong,
    /// A few characters, or one piece, over and over.
    #[error("repeated")]
    Repeated,
    /// A row of the alphabet, of digits or of the keyboard.
    #[error("sequence")]
    Sequence,
    /// On every list of passwords, or put together from what is.
    #[error("well_known")]
    WellKnown,
    /// The login, the name or the product, and little besides.
    #[error("names_its_owner")]
    NamesItsOwner,
}

/// Returns the form of a password that is hashed: the same one from every keyboard (NFKC).
pub fn normalise(typed: &str) -> SecretString {
    SecretString::from(typed.nfkc().collect::<String>())
}

/// Judges a new, normalised password of somebody with these `names`: login, name, team.
pub fn judge(password: &SecretString, names: &[&str]) -> Result<(), Weakness> {
    let text = password.expose_secret();
    let length = text.chars().count();
    if length < MIN_CHARS {
        return Err(Weakness::TooShort);
    }
    if length > MAX_CHARS {
        return Err(Weakness::TooLong);
    }
    let lower = text.to_lowercase();
    is_varied(&lower)?;
    let names: Vec<String> = names.iter().flat_map(|name| words_of(name)).collect();
    for spelling in [bare(&lower), bare(&without_leet(&lower))] {
        let nameless = without(&spelling, &names);
        if nameless != spelling && is_little(&without(&nameless, TRIED_FIRST)) {
            return Err(Weakness::NamesItsOwner);
        }
        if WELL_KNOWN.contains(&spelling.as_str()) || is_little(&without(&spelling, TRIED_FIRST)) {
            return Err(Weakness::WellKnown);
        }
    }
    Ok(())
}

fn is_varied(text: &str) -> Result<(), Weakness> {
    let chars: Vec<char> = text.chars().collect();
    if different(text) < MIN_DIFFERENT || is_one_piece_over_and_over(&chars) {
        return Err(Weakness::Repeated);
    }
    if is_sequence(&chars) { Err(Weakness::Sequence) } else { Ok(()) }
}

fn different(text: &str) -> usize {
    text.chars().collect::<std::collections::BTreeSet<char>>().len()
}

fn is_one_piece_over_and_over(chars: &[char]) -> bool {
    (1..=chars.len() / 2).any(|length| chars.iter().zip(&chars[length..]).all(|(one, other)| one == other))
}

/// Whether most characters are the neighbour, in some row, of the one before.
fn is_sequence(chars: &[char]) -> bool {
    let steps = chars.len().saturating_sub(1);
    let neighbours = chars.windows(2).filter(|pair| is_neighbour(pair[0], pair[1])).count();
    steps > 0 && neighbours * 4 >= steps * 3
}

fn is_neighbour(one: char, other: char) -> bool {
    let adjacent = |row: &str| {
        let mut pairs = row.as_bytes().windows(2);
        pairs.any(|pair| {
            let (left, right) = (char::from(pair[0]), char::from(pair[1]));
            (left, right) == (one, other) || (right, left) == (one, other)
        })
    };
    ROWS.iter().any(|row| adjacent(row))
}

/// Whether what is left besides well-known words is nothing that must be guessed.
fn is_little(left: &str) -> bool {
    left.chars().count() < MIN_BESIDES || is_varied(left).is_err()
}

fn bare(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

fn without_leet(text: &str) -> String {
    let letter = |c| match c {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' | '€' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    };
    text.chars().map(letter).collect()
}

fn without<W: AsRef<str>>(text: &str, words: &[W]) -> String {
    words.iter().fold(text.to_owned(), |text, word| text.replace(word.as_ref(), ""))
}

/// Takes the words of a name: `Ada.Lovelace@example.org` is `ada`, `lovelace`, `example`.
fn words_of(name: &str) -> Vec<String> {
    let lower = name.nfkc().collect::<String>().to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() >= 3);
    let mut words: Vec<String> = std::iter::once(bare(&lower)).chain(words.map(str::to_owned)).collect();
    words.retain(|word| word.chars().count() >= 3);
    words
}

#[cfg(test)]
mod tests;
