//! POST policies: the signature, the expiry and the conditions of a browser form.
//!
//! What always holds: every field of a form is covered by a condition its signer wrote, or the form is refused. The
//! policy's own expiry is the only limit in time, as on AWS.
//! Source: "Creating a POST policy" and "Authenticating requests in browser-based uploads", S3 API reference.

use hmac::{Hmac, KeyInit, Mac};
use s3s::post_policy::{PostPolicy, PostPolicyCondition};
use s3s::{S3Error, S3Result, s3_error};
use sha2::Sha256;
use time::OffsetDateTime;

use super::KeyPair;
use super::bodies::Length;

/// Largest object of a single upload: 5 GiB.
const MAX_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// The fields in front of the file; names in lower case.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn add(&mut self, name: &str, value: String) {
        self.0.push((name.to_ascii_lowercase(), value));
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// `x-amz-meta-*` without the prefix.
    pub(super) fn user_metadata(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let named = |(name, value): &(String, String)| Some((name.strip_prefix("x-amz-meta-")?.to_owned(), value.clone()));
        self.0.iter().filter_map(named)
    }

    fn required(&self, name: &'static str) -> S3Result<&str> {
        self.get(name).ok_or_else(|| s3_error!(AccessDenied, "The form has no field `{}`", name))
    }
}

/// Checks everything but the file; answers how long that may be.
pub(super) fn check(fields: &Fields, bucket: &str, keys: &KeyPair) -> S3Result<Length> {
    let encoded = fields.required("policy")?;
    check_signature(fields, encoded, keys)?;
    let policy = PostPolicy::from_base64(encoded).map_err(|error| s3_error!(error, InvalidPolicyDocument, "The policy cannot be read"))?;
    if OffsetDateTime::now_utc() >= OffsetDateTime::from(policy.expiration.clone()) {
        return Err(s3_error!(AccessDenied, "Invalid according to Policy: Policy expired."));
    }
    let (mut min, mut max) = (0, MAX_BYTES);
    for condition in &policy.conditions {
        match condition {
            PostPolicyCondition::ContentLengthRange { min: from, max: to } => {
                min = min.max(*from);
                max = max.min(*to);
            }
            PostPolicyCondition::Eq { field, value } => {
                if actual(fields, field, bucket) != Some(value) {
                    return Err(failed("eq", field, value));
                }
            }
            PostPolicyCondition::StartsWith { field, prefix } => {
                if !actual(fields, field, bucket).unwrap_or_default().starts_with(prefix.as_str()) {
                    return Err(failed("starts-with", field, prefix));
                }
            }
        }
    }
    for (name, _) in &fields.0 {
        let covered = policy.conditions.iter().any(|condition| match condition {
            PostPolicyCondition::Eq { field, .. } | PostPolicyCondition::StartsWith { field, .. } => field == name,
            PostPolicyCondition::ContentLengthRange { .. } => false,
        });
        if !covered && !exempt(name) {
            return Err(s3_error!(AccessDenied, "Invalid according to Policy: Extra input fields: `{}`", name));
        }
    }
    Ok(Length::Within(min, max))
}

fn actual<'a>(fields: &'a Fields, field: &str, bucket: &'a str) -> Option<&'a str> {
    if field == "bucket" { Some(bucket) } else { fields.get(field) }
}

fn exempt(name: &str) -> bool {
    matches!(name, "x-amz-signature" | "policy" | "file" | "submit") || name.starts_with("x-ignore-")
}

fn failed(operator: &str, field: &str, value: &str) -> S3Error {
    s3_error!(AccessDenied, "Invalid according to Policy: Policy Condition failed: [\"{}\", \"${}\", \"{}\"]", operator, field, value)
}

/// SigV4: the policy's text is the string to sign.
fn check_signature(fields: &Fields, policy: &str, keys: &KeyPair) -> S3Result<()> {
    if fields.required("x-amz-algorithm")? != "AWS4-HMAC-SHA256" {
        return Err(s3_error!(InvalidArgument, "Only AWS4-HMAC-SHA256 is supported"));
    }
    let scope: Vec<&str> = fields.required("x-amz-credential")?.split('/').collect();
    let [access_key, date, region, "s3", "aws4_request"] = scope.as_slice() else {
        return Err(s3_error!(InvalidArgument, "The field `x-amz-credential` is malformed"));
    };
    if *access_key != keys.access_key {
        return Err(s3_error!(InvalidAccessKeyId, "The access key Id you provided does not exist in our records."));
    }
    if !fields.required("x-amz-date")?.starts_with(date) {
        return Err(s3_error!(InvalidArgument, "The field `x-amz-date` is not of the credential's day"));
    }
    let signature = hex::decode(fields.required("x-amz-signature")?).unwrap_or_default();
    let first = format!("AWS4{}", keys.secret_key).into_bytes();
    let key = [date, region, "s3", "aws4_request"].iter().try_fold(first, |key, part| Some(mac(&key, part)?.finalize().into_bytes().to_vec()));
    let signed = key.and_then(|key| mac(&key, policy)).is_some_and(|mac| mac.verify_slice(&signature).is_ok());
    if signed { Ok(()) } else { Err(s3_error!(SignatureDoesNotMatch, "The signature does not match the policy")) }
}

fn mac(key: &[u8], data: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(data.as_bytes());
    Some(mac)
}
