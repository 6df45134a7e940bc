//! Secrets of AWS Secrets Manager, with the one before: what was signed or is checked around a rotation fits both.
//!
//! What always holds: a value is never shown by `Debug` and is believed for at most [`CACHE`].

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::StoreError;

/// How long a read secret is believed: a rotation takes effect within this time.
pub const CACHE: Duration = Duration::from_secs(60);

/// The text of a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// From its text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// The text. Not for logs.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The versions of a secret that count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Active {
    /// `AWSCURRENT`.
    pub current: Secret,
    /// `AWSPREVIOUS`: the one before the last rotation, until it is removed.
    pub previous: Option<Secret>,
}

impl Active {
    /// The current one, then the previous.
    pub fn all(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

type Cache = Mutex<HashMap<String, (Instant, Arc<Active>)>>;

/// Reads secrets.
#[derive(Clone, Debug)]
pub struct Secrets {
    client: aws_sdk_secretsmanager::Client,
    cache: Arc<Cache>,
}

impl Secrets {
    /// Over the service.
    pub fn new(client: aws_sdk_secretsmanager::Client) -> Self {
        Self { client, cache: Arc::default() }
    }

    /// The active versions of the secret with this name or ARN.
    ///
    /// # Errors
    /// `Missing` when there is no such secret; `Permanent` when it is not text.
    pub async fn active(&self, id: &str) -> Result<Arc<Active>, StoreError> {
        let cached = self.cache.lock().ok().and_then(|cache| cache.get(id).filter(|(at, _)| at.elapsed() < CACHE).map(|(_, a)| Arc::clone(a)));
        if let Some(active) = cached {
            return Ok(active);
        }
        let current = self.version(id, "AWSCURRENT").await?.ok_or(StoreError::Missing { what: "read a secret" })?;
        let active = Arc::new(Active { current, previous: self.version(id, "AWSPREVIOUS").await? });
        if let Ok(mut cache) = self.cache.lock() {
            cache.insert(id.to_owned(), (Instant::now(), Arc::clone(&active)));
        }
        Ok(active)
    }

    /// `None`: there is no version at this stage.
    async fn version(&self, id: &str, stage: &str) -> Result<Option<Secret>, StoreError> {
        let output = match self.client.get_secret_value().secret_id(id).version_stage(stage).send().await {
            Ok(output) => output,
            Err(error) => {
                return match StoreError::from_sdk("read a secret", error) {
                    StoreError::Missing { .. } => Ok(None),
                    error => Err(error),
                };
            }
        };
        let text = output.secret_string.filter(|text| !text.is_empty());
        text.map(|text| Some(Secret(text))).ok_or_else(|| StoreError::corrupt("read a secret", "it is empty or not text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show_in_debug_output() {
        let active = Active { current: Secret::new("hidden-1"), previous: Some(Secret::new("hidden-2")) };
        assert!(!format!("{active:?}").contains("hidden"));
        assert_eq!(active.all().map(Secret::expose).collect::<Vec<_>>(), ["hidden-1", "hidden-2"]);
    }
}
