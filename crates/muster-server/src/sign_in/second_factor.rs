//! The second factor: time-based codes (RFC 6238) of which each time step counts once, and recovery codes.

use muster_ids::{Timestamp, UserId};
use muster_keyring::Keyring;
use muster_store::rows::SignInRow;
use muster_wire::happening::Happening;
use muster_wire::sign_in::{Code, SecondFactorSecret};
use totp_rs::{Builder, Totp};

use crate::failure::Failure;
use crate::installation::{four_groups, plain_code};
use crate::unit::{Author, Fact, Unit};

/// Length of a shared secret, as RFC 4226 recommends.
pub(crate) const SECRET_LEN: usize = 20;
/// How many recovery codes a person gets.
const RECOVERY_CODES: usize = 10;
/// Digits of a time-based code.
const DIGITS: usize = 6;
const ISSUER: &str = "Muster";

/// What became of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It was good, or none was needed.
    Passed,
    /// One is needed, and none came.
    Missing,
    /// It is wrong, or was taken before.
    Wrong,
}

/// Whether a person is asked for a code.
pub(crate) fn is_asked(row: &SignInRow) -> bool {
    row.second_factor.as_ref().is_some_and(|factor| factor.confirmed_at.is_some())
}

/// Takes a code of a person, in the transaction that relies on it.
pub(crate) fn take(
    unit: &mut Unit<'_, '_>,
    keyring: &Keyring,
    row: &SignInRow,
    code: Option<&Code>,
    source: &str,
) -> Result<Taken, Failure> {
    let Some(factor) = row.second_factor.as_ref().filter(|_| is_asked(row)) else {
        return Ok(Taken::Passed);
    };
    let Some(code) = code else { return Ok(Taken::Missing) };
    if is_of_time(code) {
        let step = step_of(keyring, row.user_id, &factor.sealed, code, unit.now)?;
        let is_new = match step {
            Some(step) => unit.tx.second_factor_spend(row.user_id, step)?,
            None => false,
        };
        return Ok(if is_new { Taken::Passed } else { Taken::Wrong });
    }
    let verifier = keyring.recovery_verifier(row.user_id, plain_code(code.expose()).as_bytes());
    if !unit.tx.recovery_code_use(row.user_id, &verifier, unit.now)? {
        return Ok(Taken::Wrong);
    }
    let author = Author { actor: row.user_id.to_string(), role: Some(row.role), source: source.to_owned() };
    let left = unit.tx.recovery_codes_left(row.user_id)?;
    let used = Fact::new(Happening::RecoveryCodeUsed, row.team_id, &author, row.user_id);
    unit.happened(used.details(serde_json::json!({ "left": left })));
    Ok(Taken::Passed)
}

/// Returns the time step a code is of, if it is of one about `now`.
pub(crate) fn step_of(
    keyring: &Keyring,
    user_id: UserId,
    sealed: &[u8],
    code: &Code,
    now: Timestamp,
) -> Result<Option<i64>, Failure> {
    let secret = keyring.open_installation(&place(user_id), sealed).map_err(Failure::internal)?;
    let totp = totp(&secret, "")?;
    let digits: String = code.expose().chars().filter(|c| !c.is_whitespace()).collect();
    let secs = u64::try_from(now.as_millis() / 1000).unwrap_or(0);
    Ok(totp.check(&digits, secs).and_then(|step| i64::try_from(step).ok()))
}

/// Seals a shared secret for its person.
pub(crate) fn seal(
    keyring: &Keyring,
    user_id: UserId,
    nonce: [u8; 12],
    secret: &[u8; SECRET_LEN],
) -> Vec<u8> {
    keyring.seal_installation(&place(user_id), nonce, secret)
}

/// Writes a shared secret the way people's devices take it.
pub(crate) fn shown(secret: &[u8; SECRET_LEN], account: &str) -> Result<SecondFactorSecret, Failure> {
    let totp = totp(secret, account)?;
    let otpauth_url = totp.to_url().map_err(internal)?;
    Ok(SecondFactorSecret { secret: totp.secret().to_base32(), otpauth_url })
}

/// Makes recovery codes and stores what is kept of them.
pub(crate) fn new_recovery_codes(
    unit: &mut Unit<'_, '_>,
    keyring: &Keyring,
    user_id: UserId,
) -> Result<Vec<String>, Failure> {
    let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| four_groups(unit.draw.bytes())).collect();
    let verifier = |code: &String| keyring.recovery_verifier(user_id, plain_code(code).as_bytes());
    let verifiers: Vec<[u8; 32]> = codes.iter().map(verifier).collect();
    unit.tx.recovery_codes_put(user_id, &verifiers)?;
    Ok(codes)
}

/// Whether a code is one of a device: short enough to be guessed.
pub(crate) fn is_of_time(code: &Code) -> bool {
    let typed = code.expose().chars().filter(|c| !c.is_whitespace());
    typed.clone().count() == DIGITS && typed.clone().all(|c| c.is_ascii_digit())
}

fn place(user_id: UserId) -> String {
    format!("second factor {user_id}")
}

fn totp(secret: &[u8], account: &str) -> Result<Totp, Failure> {
    let builder = Builder::new().with_secret(secret.to_vec()).with_issuer(Some(ISSUER));
    builder.with_account_name(account).build().map_err(internal)
}

fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::internal(format!("a second factor cannot be used: {error}"))
}
