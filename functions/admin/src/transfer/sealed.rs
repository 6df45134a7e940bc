//! Secrets of an export, under a password: argon2id makes a key of it, AES-256-GCM seals (NIST SP 800-38D).
//!
//! What always holds: salt and nonce are new for every export, so a key is used once; what was changed by a single bit, or
//! sealed under another password, does not open.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

/// Names the way it is sealed; another one can not be opened. argon2id with 64 MiB and three passes (RFC 9106, second choice).
const METHOD: &str = "argon2id-64MiB-3/aes-256-gcm";
/// Bytes of salt.
const SALT: usize = 16;
/// What a password has, in characters.
pub(crate) const PASSWORD: std::ops::RangeInclusive<usize> = 8..=256;

/// Something sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sealed {
    method: String,
    salt: String,
    nonce: String,
    data: String,
}

/// Seals. Takes some 100 ms: call it on a blocking thread. `None`: the system has no randomness or memory to give.
pub(crate) fn seal(password: &str, plain: &[u8]) -> Option<Sealed> {
    let random = SystemRandom::new();
    let (mut salt, mut nonce) = ([0; SALT], [0; NONCE_LEN]);
    random.fill(&mut salt).ok()?;
    random.fill(&mut nonce).ok()?;
    let mut data = plain.to_vec();
    let key = key(password, &salt)?;
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(METHOD), &mut data).ok()?;
    Some(Sealed { method: METHOD.into(), salt: STANDARD.encode(salt), nonce: STANDARD.encode(nonce), data: STANDARD.encode(data) })
}

/// Opens. As slow as [`seal`]. `None`: another password, or not what was sealed.
pub(crate) fn open(password: &str, sealed: &Sealed) -> Option<Vec<u8>> {
    if sealed.method != METHOD {
        return None;
    }
    let salt = STANDARD.decode(&sealed.salt).ok().filter(|salt| salt.len() == SALT)?;
    let nonce = Nonce::try_assume_unique_for_key(&STANDARD.decode(&sealed.nonce).ok()?).ok()?;
    let mut data = STANDARD.decode(&sealed.data).ok()?;
    let plain = key(password, &salt)?.open_in_place(nonce, Aad::from(METHOD), &mut data).ok()?;
    Some(plain.to_vec())
}

fn key(password: &str, salt: &[u8]) -> Option<LessSafeKey> {
    let params = Params::new(64 * 1024, 3, 1, Some(32)).ok()?;
    let mut key = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(password.as_bytes(), salt, &mut key).ok()?;
    UnboundKey::new(&AES_256_GCM, &key).ok().map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_opens_and_only_what_was_sealed() {
        let sealed = seal("correct horse", b"secrets").unwrap();
        assert_eq!(open("correct horse", &sealed).as_deref(), Some(&b"secrets"[..]));
        assert_eq!(open("correct hors", &sealed), None);
        assert_ne!(sealed, seal("correct horse", b"secrets").unwrap(), "salt and nonce are new each time");
        let mut bytes = STANDARD.decode(&sealed.data).unwrap();
        bytes[0] ^= 1;
        for broken in [
            Sealed { data: STANDARD.encode(bytes), ..sealed.clone() },
            Sealed { data: String::new(), ..sealed.clone() },
            Sealed { nonce: "AAAA".into(), ..sealed.clone() },
            Sealed { salt: "x".into(), ..sealed.clone() },
            Sealed { method: "none".into(), ..sealed },
        ] {
            assert_eq!(open("correct horse", &broken), None);
        }
    }
}
