//! Passwords: argon2id with 19 MiB and two passes (OWASP's recommendation for one lane).

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::http::error::{ApiError, ErrorCode};

/// Longest password looked at, in bytes.
const LONGEST: usize = 1024;
/// A hash that no password has: unknown users cost the same time as known ones.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5$r0yKzZ8rN9xvGoZ1sH3bQn9e9w7cJm0sY8b1mX2uY4E";

/// Runs work on passwords on a blocking thread, a few at a time: each takes some 20 MiB, of an import 64.
///
/// # Errors
/// 500 when it panicked.
pub async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    static ROOM: Semaphore = Semaphore::const_new(4);
    let _place = ROOM.acquire().await.map_err(|e| ApiError::caused(ErrorCode::Internal, e))?;
    tokio::task::spawn_blocking(work).await.map_err(|e| ApiError::caused(ErrorCode::Internal, e))
}

fn hasher() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(19_456, 2, 1, None).unwrap_or_default())
}

/// The PHC string of a password. Takes some 25 ms: call it by [`apart`].
///
/// # Errors
/// When the password is empty or longer than 1 KiB, or the system has no randomness.
pub fn hash(password: &str) -> Result<String, String> {
    if password.is_empty() || password.len() > LONGEST {
        return Err(format!("A password has 1 to {LONGEST} bytes."));
    }
    hasher().hash_password(password.as_bytes()).map(|hash| hash.to_string()).map_err(|e| e.to_string())
}

/// Whether a text is a hash made here: nobody else's parameters are ever computed.
pub fn is_hash(text: &str) -> bool {
    text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && PasswordHash::new(text).is_ok_and(|hash| hash.hash.is_some() && hash.salt.is_some())
}

/// Whether the password fits; `None` as hash is an unknown user and takes as long.
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    if password.len() > LONGEST {
        return false;
    }
    let known = hash.is_some();
    let fits = PasswordHash::new(hash.unwrap_or(NOBODY)).is_ok_and(|hash| hasher().verify_password(password.as_bytes(), &hash).is_ok());
    known && fits
}

/// Whether a password may be one of this user; the problem is one sentence. `enhanced`: his directory wants it hard to guess.
///
/// # Errors
/// What it lacks.
pub fn policy(password: &str, name: &str, enhanced: bool) -> Result<(), &'static str> {
    const SHORTEST: usize = 8;
    const ENHANCED: usize = 12;
    let has = |kind: fn(char) -> bool| password.chars().any(kind);
    let length = password.chars().count();
    if length < SHORTEST || password.len() > LONGEST {
        return Err("A password has at least 8 characters, and at most 1024 bytes.");
    }
    if !enhanced {
        return Ok(());
    }
    if length < ENHANCED {
        return Err("A password of this directory has at least 12 characters.");
    }
    if !(has(char::is_lowercase) && has(char::is_uppercase) && has(|c| c.is_ascii_digit()) && has(|c| !c.is_alphanumeric())) {
        return Err("A password of this directory has lower and upper case letters, digits and other characters.");
    }
    if !name.is_empty() && password.to_lowercase().contains(&name.to_lowercase()) {
        return Err("A password of this directory does not contain the name of its user.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_says_what_a_password_lacks() {
        for (password, enhanced, lacks) in [
            ("short", false, Some("8 characters")),
            ("long enough", false, None),
            ("Long3nough!", true, Some("12 characters")),
            ("long enough without", true, Some("upper case")),
            ("Long Enough Without", true, Some("digits")),
            ("Long3noughWithout", true, Some("other")),
            ("Long enough 4 ANN", true, Some("name")),
            ("Long enough 4 all", true, None),
        ] {
            let told = policy(password, "ann", enhanced).err();
            assert_eq!(told.is_some(), lacks.is_some(), "{password}: {told:?}");
            assert!(told.is_none_or(|told| told.contains(lacks.unwrap_or_default())), "{password}: {told:?}");
        }
        assert!(policy(&"x".repeat(1025), "", false).is_err());
    }

    #[test]
    fn the_right_password_fits_and_no_other() {
        let stored = hash("correct horse").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(verify("correct horse", Some(&stored)));
        assert!(!verify("wrong", Some(&stored)));
        assert!(!verify("correct horse", None));
        assert!(hash("").is_err());
        assert!(is_hash(&stored) && !is_hash(&stored.replace("m=19456", "m=4194304")) && !is_hash("$argon2id$v=19$m=19456,t=2,p=1$"));
    }

    #[test]
    fn the_hash_for_unknown_users_is_computed_and_not_refused_early() {
        assert!(PasswordHash::new(NOBODY).is_ok());
    }
}
