//! The newest result of a content, by any of its four digests. The access patterns stand in [`super`].

use std::collections::HashSet;

use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};

use super::StoreError;
use super::attributes::{Item, LONGEST_TEXT, is_expired, key, n, s, text};
use crate::clock::now_ms;
use crate::domain::id::DataId;
use crate::domain::report::Digests;

/// Rounds in which items that DynamoDB did not take are sent again.
const ROUNDS: u32 = 6;
/// Files whose entries are written side by side.
const PARALLEL: usize = 8;

/// The hash index.
#[derive(Clone, Debug)]
pub struct Hashes {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl Hashes {
    /// Over a table.
    pub fn new(client: aws_sdk_dynamodb::Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Makes `id` the newest result of each content, under any rule and under `rule`, unless a newer one is known:
    /// a message that is delivered again must not bring an old result back. `created_at` of the submission (ms) tells which is
    /// newer; the entries live for `life_ms` from then on.
    pub async fn record(&self, files: &[(DataId, Digests)], rule: &str, created_at: i64, life_ms: i64) -> Result<(), StoreError> {
        let expires_at = created_at.saturating_add(life_ms);
        // The same content twice in one archive has one entry: the first (worst) stays.
        let mut contents = HashSet::new();
        let files: Vec<_> = files.iter().filter(|(_, digests)| contents.insert(digests.sha256.as_str())).collect();
        let mut aliases = Vec::new();
        let mut named = HashSet::new();
        for files in files.chunks(PARALLEL) {
            let newest = files.iter().map(|(id, digests)| async move {
                let any = self.put_newest(&digests.sha256, "ANY".into(), id, created_at, expires_at);
                let of_rule = self.put_newest(&digests.sha256, rule_key(rule), id, created_at, expires_at);
                Ok::<_, StoreError>(futures::future::try_join(any, of_rule).await?.0)
            });
            let newest = futures::future::try_join_all(newest).await?;
            for ((_, digests), _) in files.iter().zip(newest).filter(|(_, newest)| *newest) {
                for alias in [&digests.md5, &digests.sha1, &digests.sha512] {
                    // Contents made to share an MD5 exist, and a batch must not name a key twice.
                    if named.insert(alias.as_str()) {
                        aliases.push(alias_of(alias, &digests.sha256, expires_at)?);
                    }
                }
            }
        }
        for batch in aliases.chunks(25) {
            self.write(batch.to_vec()).await?;
        }
        Ok(())
    }

    /// Makes `id` the result of a content although a newer one is known: for a verdict that holds back what the newer one
    /// let through. How old the entries are and how long they live stays; the times are for those that are not there.
    pub async fn overrule(&self, id: &DataId, digests: &Digests, rule: &str, created_at: i64, life_ms: i64) -> Result<(), StoreError> {
        for sk in ["ANY".to_owned(), rule_key(rule)] {
            self.client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(key(format!("HASH#{}", digests.sha256), sk)))
                .update_expression("SET data_id = :id, made_at = if_not_exists(made_at, :made), expires_at = if_not_exists(expires_at, :expires)")
                .expression_attribute_values(":id", s(id.as_str()))
                .expression_attribute_values(":made", n(created_at))
                .expression_attribute_values(":expires", n(created_at.saturating_add(life_ms) / 1000))
                .send()
                .await
                .map_err(|e| StoreError::from_sdk("write the hash index", e))?;
        }
        Ok(())
    }

    /// Keeps that the verdict on submission `id` may be taken over by the same content under the same `key`, until `expires_at` (ms).
    pub async fn remember(&self, sha256: &str, key: &str, id: &DataId, expires_at: i64) -> Result<(), StoreError> {
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(entry(sha256, cache_key(key), "data_id", id.as_str(), expires_at)))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("write the hash cache", e))?;
        Ok(())
    }

    /// The submission whose verdict may be taken over.
    pub async fn remembered(&self, sha256: &str, key: &str) -> Result<Option<DataId>, StoreError> {
        Ok(self.read(sha256, cache_key(key), "data_id").await?.as_deref().and_then(DataId::parse))
    }

    /// Whether the entry was written: not when a newer one is there. How long entries live says nothing of that: it can be
    /// shortened between two of them.
    async fn put_newest(&self, sha256: &str, sk: String, id: &DataId, created_at: i64, expires_at: i64) -> Result<bool, StoreError> {
        let mut item = entry(sha256, sk, "data_id", id.as_str(), expires_at);
        item.insert("made_at".into(), n(created_at));
        let result = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(made_at) OR made_at <= :made OR expires_at <= :now")
            .expression_attribute_values(":made", n(created_at))
            .expression_attribute_values(":now", n(now_ms() / 1000))
            .send()
            .await;
        match result.map_err(|e| StoreError::from_sdk("write the hash index", e)) {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn write(&self, mut batch: Vec<WriteRequest>) -> Result<(), StoreError> {
        for round in 0..ROUNDS {
            let output = self
                .client
                .batch_write_item()
                .request_items(&self.table, batch)
                .send()
                .await
                .map_err(|e| StoreError::from_sdk("write the hash index", e))?;
            batch = output.unprocessed_items.and_then(|mut items| items.remove(&self.table)).unwrap_or_default();
            if batch.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(50 << round)).await;
        }
        Err(StoreError::Retry { what: "write the hash index", source: "items stay unprocessed".into() })
    }

    /// The newest result for a digest (32, 40, 64 or 128 hex characters, any case), of `rule` if given.
    pub async fn newest(&self, digest: &str, rule: Option<&str>) -> Result<Option<DataId>, StoreError> {
        if rule.is_some_and(|rule| rule.len() > LONGEST_TEXT) {
            return Ok(None);
        }
        let digest = digest.to_ascii_lowercase();
        let sha256 = match digest.len() {
            64 => digest,
            32 | 40 | 128 => match self.read(&digest, "ALIAS".into(), "sha256").await? {
                Some(sha256) => sha256,
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        let id = self.read(&sha256, rule.map_or_else(|| "ANY".into(), rule_key), "data_id").await?;
        Ok(id.as_deref().and_then(DataId::parse))
    }

    async fn read(&self, digest: &str, sk: String, attribute: &str) -> Result<Option<String>, StoreError> {
        let output = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key(format!("HASH#{digest}"), sk)))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("read the hash index", e))?;
        Ok(output.item.filter(|item| !is_expired(item, now_ms())).and_then(|item| text(&item, attribute)))
    }
}

fn rule_key(rule: &str) -> String {
    format!("RULE#{rule}")
}

fn cache_key(key: &str) -> String {
    format!("CACHE#{key}")
}

fn entry(digest: &str, sk: String, attribute: &str, value: &str, expires_at: i64) -> Item {
    let mut item = key(format!("HASH#{digest}"), sk);
    item.insert(attribute.to_owned(), s(value));
    item.insert("expires_at".into(), n(expires_at / 1000));
    item
}

fn alias_of(digest: &str, sha256: &str, expires_at: i64) -> Result<WriteRequest, StoreError> {
    let item = entry(digest, "ALIAS".into(), "sha256", sha256, expires_at);
    let request = PutRequest::builder().set_item(Some(item)).build().map_err(|e| StoreError::corrupt("write the hash index", e))?;
    Ok(WriteRequest::builder().put_request(request).build())
}
