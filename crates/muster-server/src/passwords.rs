//! Passwords: Argon2id (RFC 9106), which is slow and large on purpose, and therefore bounded.
//!
//! At most two are hashed at a time, on threads of their own; who finds no place waits in a bounded line and then gets
//! 503 with `Retry-After`. A login nobody has is judged by the same work against a constant, so that there is one path.
//! Which passwords are accepted is `muster_domain::password`'s to say; how often may be guessed, `crate::limits`'.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error as HashError, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use muster_domain::password;
use muster_wire::sign_in::Password;
use secrecy::{ExposeSecret, SecretString};

use crate::app::App;
use crate::failure::Failure;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const OUTPUT_LEN: usize = 32;
/// The hash of no password anybody knows, of the work that is usual.
const STAND_IN: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$R1B3Zbo0HiDPrHaZa9J/sg$T0l8liyP3Tn7OABn/cQLZqH0ZSKNDD7hyvsEQI4sZaQ";

/// What became of a password that was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is not the one, or there is none.
    Wrong,
    /// It is the one.
    Right {
        /// Its hash with the work of today, if the stored one took other work.
        rehashed: Option<String>,
    },
}

/// Judges a new password of somebody with these `names` and returns the form that is hashed.
pub(crate) fn judge_new(
    typed: &Password,
    names: &[&str],
    pointer: &'static str,
) -> Result<SecretString, Failure> {
    let normal = password::normalise(typed.expose());
    match password::judge(&normal, names) {
        Ok(()) => Ok(normal),
        Err(weakness) => Err(Failure::invalid(pointer, weakness.to_string())),
    }
}

/// Hashes a password that was judged. Returns a PHC string.
pub(crate) async fn hash(app: &App, normal: SecretString) -> Result<String, Failure> {
    let salt = app.entropy.bytes();
    off_the_async_threads(app, move || hash_here(&normal, salt)).await
}

/// Whether what was typed is the password behind `phc`; without one the work is the same and the answer is no.
pub(crate) async fn verify(app: &App, typed: &Password, phc: Option<String>) -> Result<Verdict, Failure> {
    let normal = password::normalise(typed.expose());
    let salt = app.entropy.bytes();
    off_the_async_threads(app, move || verify_here(&normal, phc.as_deref(), salt)).await
}

async fn off_the_async_threads<T: Send + 'static>(
    app: &App,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let place = app.budgets.passwords.take().await?;
    let work = move || {
        let result = work();
        // The place is given back when the work is done, not when whoever asked hangs up.
        drop(place);
        result
    };
    tokio::task::spawn_blocking(work).await.map_err(Failure::internal)?
}

/// Hashes a password on this thread.
pub(crate) fn hash_here(normal: &SecretString, salt: [u8; 16]) -> Result<String, Failure> {
    let hashed = argon2()?.hash_password_with_salt(normal.expose_secret().as_bytes(), &salt);
    hashed.map(|phc| phc.to_string()).map_err(internal)
}

fn verify_here(normal: &SecretString, phc: Option<&str>, salt: [u8; 16]) -> Result<Verdict, Failure> {
    let stored = PasswordHash::new(phc.unwrap_or(STAND_IN)).map_err(internal)?;
    match argon2()?.verify_password(normal.expose_secret().as_bytes(), &stored) {
        Ok(()) if phc.is_some() => {
            let rehashed = if is_of_today(&stored) { None } else { Some(hash_here(normal, salt)?) };
            Ok(Verdict::Right { rehashed })
        }
        Ok(()) | Err(HashError::PasswordInvalid) => Ok(Verdict::Wrong),
        Err(error) => Err(internal(error)),
    }
}

fn argon2() -> Result<Argon2<'static>, Failure> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(OUTPUT_LEN)).map_err(internal)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn is_of_today(stored: &PasswordHash) -> bool {
    let work = |params: Params| (params.m_cost(), params.t_cost(), params.p_cost(), params.output_len());
    let is_usual = Params::try_from(stored)
        .is_ok_and(|params| work(params) == (MEMORY_KIB, PASSES, LANES, Some(OUTPUT_LEN)));
    is_usual
        && stored.algorithm == Algorithm::Argon2id.ident()
        && stored.version == Some(Version::V0x13.into())
}

fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::internal(format!("a password cannot be hashed: {error}"))
}

#[cfg(test)]
mod tests;
