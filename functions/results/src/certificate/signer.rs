//! The key that signs reports, and its certificate.
//!
//! Both follow from the deployment's signing secret alone: the Ed25519 seed is the SHA-256 of the secret's text, and the
//! certificate has a serial number made of the public key and dates that do not change. So every instance of the function
//! signs as the same signer, and there is nothing to store. What always holds: the secret and the seed are never shown.

use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SerialNumber, SignatureAlgorithm, SigningKey,
};
use ring::signature::{Ed25519KeyPair, KeyPair};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Who signs, in the certificate.
const NAME: &str = "Portcullis report signing";
/// Bytes of the serial number (RFC 5280: at most 20, positive).
const SERIAL_BYTES: usize = 16;

/// A key with its certificate.
pub(super) struct Signer {
    key: Key,
    /// X.509, PEM, lines ended by LF.
    pub(super) certificate: String,
    /// SHA-1 of the certificate in DER, hex.
    pub(super) fingerprint: String,
}

/// The certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the signing certificate can not be made")]
pub(super) struct Failed(#[source] Option<rcgen::Error>);

impl Signer {
    /// From the text of the signing secret.
    pub(super) fn of(secret: &str) -> Result<Self, Failed> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&Sha256::digest(secret.as_bytes())).map_err(|_| Failed(None))?;
        let key = Key { public: pair.public_key().as_ref().to_vec(), pair };
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        // "No well-defined expiration date" (RFC 5280, 4.1.2.5): what was signed stays signed.
        params.not_after = rcgen::date_time_ymd(9999, 12, 31);
        let mut serial: Vec<u8> = Sha256::digest(&key.public).into_iter().take(SERIAL_BYTES).collect();
        if let Some(first) = serial.first_mut() {
            *first = (*first & 0x7f) | 0x40;
        }
        params.serial_number = Some(SerialNumber::from(serial));
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, NAME);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).map_err(|e| Failed(Some(e)))?;
        Ok(Self { key, fingerprint: hex::encode(Sha1::digest(certificate.der())), certificate: certificate.pem().replace("\r\n", "\n") })
    }

    /// The signature over `text`, hex.
    pub(super) fn sign(&self, text: &str) -> String {
        hex::encode(self.key.pair.sign(text.as_bytes()))
    }
}

struct Key {
    pair: Ed25519KeyPair,
    public: Vec<u8>,
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.pair.sign(message).as_ref().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_secret_is_one_signer_and_another_is_another() {
        let (one, again, other) = (Signer::of("a secret").unwrap(), Signer::of("a secret").unwrap(), Signer::of("another").unwrap());
        assert_eq!((&one.certificate, one.sign("x")), (&again.certificate, again.sign("x")));
        assert_ne!(one.fingerprint, other.fingerprint);
        assert_eq!(one.sign("x").len(), 128);
        assert!(one.certificate.starts_with("-----BEGIN CERTIFICATE-----\n") && !one.certificate.contains('\r'));
    }
}
