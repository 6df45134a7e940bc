//! What is kept beside an object's bytes: content headers, user metadata, checksums, tags.

use std::collections::{BTreeMap, HashMap};

use percent_encoding::percent_decode_str;
use s3s::checksum::ChecksumHasher;
use s3s::dto::{Checksum, Tag, TagSet, Tagging, Timestamp};
use s3s::{S3Error, S3Result, TrailingHeaders, s3_error};
use serde::{Deserialize, Serialize};

/// The `meta` column.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Meta {
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) cache_control: Option<String>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) redirect: Option<String>,
    pub(crate) user: HashMap<String, String>,
    pub(crate) sums: Sums,
    /// The version can not be deleted before (governance), epoch milliseconds; 0 = it can.
    pub(crate) retain_until_ms: i64,
}

impl Meta {
    /// AWS answers this type for objects put without one.
    pub(crate) fn content_type(&self) -> String {
        self.content_type.clone().unwrap_or_else(|| "binary/octet-stream".to_owned())
    }
}

/// `aws-chunked` describes the transfer, not the content.
pub(crate) fn stored_encoding(encoding: Option<String>) -> Option<String> {
    let encoding = encoding?;
    let kept: Vec<&str> = encoding.split(',').map(str::trim).filter(|part| !part.is_empty() && *part != "aws-chunked").collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

/// Checksums in base64, as the client sent them and we verified them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Sums {
    pub(crate) crc32: Option<String>,
    pub(crate) crc32c: Option<String>,
    pub(crate) crc64nvme: Option<String>,
    pub(crate) sha1: Option<String>,
    pub(crate) sha256: Option<String>,
}

impl Sums {
    /// Adds what the client sent behind the body.
    pub(crate) fn add_trailers(&mut self, trailers: Option<&TrailingHeaders>) {
        let read = |headers: &http::HeaderMap| {
            let value = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
            Self {
                crc32: value("x-amz-checksum-crc32"),
                crc32c: value("x-amz-checksum-crc32c"),
                crc64nvme: value("x-amz-checksum-crc64nvme"),
                sha1: value("x-amz-checksum-sha1"),
                sha256: value("x-amz-checksum-sha256"),
            }
        };
        let Some(sent) = trailers.and_then(|trailers| trailers.read(read)) else { return };
        self.crc32 = sent.crc32.or(self.crc32.take());
        self.crc32c = sent.crc32c.or(self.crc32c.take());
        self.crc64nvme = sent.crc64nvme.or(self.crc64nvme.take());
        self.sha1 = sent.sha1.or(self.sha1.take());
        self.sha256 = sent.sha256.or(self.sha256.take());
    }

    /// A hasher for the sums sent in front and those announced as a trailer or algorithm.
    pub(crate) fn hasher(&self, announced: &str) -> ChecksumHasher {
        let announced = announced.to_ascii_lowercase();
        let on = |sent: &Option<String>, name: &str| {
            sent.is_some() || announced.split(',').any(|a| a.trim().trim_start_matches("x-amz-checksum-") == name)
        };
        ChecksumHasher {
            crc32: on(&self.crc32, "crc32").then(Default::default),
            crc32c: on(&self.crc32c, "crc32c").then(Default::default),
            sha1: on(&self.sha1, "sha1").then(Default::default),
            sha256: on(&self.sha256, "sha256").then(Default::default),
            crc64nvme: on(&self.crc64nvme, "crc64nvme").then(Default::default),
        }
    }

    /// Compares what was sent with what was computed; answers the computed ones.
    pub(crate) fn verified(&self, computed: Checksum) -> S3Result<Self> {
        let computed = Self {
            crc32: computed.checksum_crc32,
            crc32c: computed.checksum_crc32c,
            crc64nvme: computed.checksum_crc64nvme,
            sha1: computed.checksum_sha1,
            sha256: computed.checksum_sha256,
        };
        for (name, sent, found) in [
            ("CRC32", &self.crc32, &computed.crc32),
            ("CRC32C", &self.crc32c, &computed.crc32c),
            ("CRC64NVME", &self.crc64nvme, &computed.crc64nvme),
            ("SHA1", &self.sha1, &computed.sha1),
            ("SHA256", &self.sha256, &computed.sha256),
        ] {
            if sent.is_some() && sent != found {
                return Err(s3_error!(BadDigest, "The {} you specified did not match the calculated checksum.", name));
            }
        }
        Ok(computed)
    }
}

/// Tags by key; the `tags` column holds them as a JSON object.
pub(crate) type Tags = BTreeMap<String, String>;

/// Reads `x-amz-tagging` (`a=1&b=2`, form encoding).
pub(crate) fn tags_of_header(header: Option<&str>) -> S3Result<Tags> {
    let mut tags = Vec::new();
    for pair in header.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        tags.push((form_decode(key)?, form_decode(value)?));
    }
    checked(tags)
}

/// Reads the `tagging` field of a POST form: XML, unlike the header.
pub(crate) fn tags_of_form(field: Option<&str>) -> S3Result<Tags> {
    let Some(field) = field else { return Ok(Tags::new()) };
    if !field.trim_start().starts_with('<') {
        return tags_of_header(Some(field));
    }
    let mut xml = s3s::xml::Deserializer::new(field.as_bytes());
    let tagging = <Tagging as s3s::xml::Deserialize>::deserialize(&mut xml);
    let tagging = tagging.map_err(|error| s3_error!(error, MalformedXML))?;
    tags_of_set(tagging.tag_set)
}

/// Reads the tag set of PutObjectTagging.
pub(crate) fn tags_of_set(set: TagSet) -> S3Result<Tags> {
    checked(set.into_iter().map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())).collect())
}

/// The tag set of GetObjectTagging.
pub(crate) fn tag_set(tags: Tags) -> TagSet {
    tags.into_iter().map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect()
}

/// Limits of the S3 user guide: 10 tags, keys up to 128 and values up to 256 characters, keys unique.
fn checked(pairs: Vec<(String, String)>) -> S3Result<Tags> {
    if pairs.len() > 10 {
        return Err(s3_error!(InvalidTag, "Object tags cannot be greater than 10"));
    }
    let mut tags = Tags::new();
    for (key, value) in pairs {
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(s3_error!(InvalidTag, "The tag `{}` has an invalid key or value", key));
        }
        if tags.insert(key.clone(), value).is_some() {
            return Err(s3_error!(InvalidTag, "Cannot provide multiple Tags with the same key `{}`", key));
        }
    }
    Ok(tags)
}

fn form_decode(text: &str) -> Result<String, S3Error> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|error| s3_error!(error, InvalidArgument, "invalid tagging header"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_decoded_and_limited() {
        let tags = tags_of_header(Some("a=1&b%20c=x+y%2F")).unwrap();
        assert_eq!(tags, Tags::from([("a".into(), "1".into()), ("b c".into(), "x y/".into())]));
        assert!(tags_of_header(Some("a=1&a=2")).is_err());
        assert!(tags_of_header(Some(&(0..11).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join("&"))).is_err());
        let form = tags_of_form(Some("<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"));
        assert_eq!(form.unwrap(), Tags::from([("k".into(), "v".into())]));
    }

    #[test]
    fn aws_chunked_is_not_a_content_encoding() {
        assert_eq!(stored_encoding(Some("aws-chunked".into())), None);
        assert_eq!(stored_encoding(Some("gzip, aws-chunked".into())).as_deref(), Some("gzip"));
    }
}
