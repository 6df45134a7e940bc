//! What a template says, in the words of the local host.
//!
//! What always holds: names are physical names (see [`super::physical_name`]) except where a field says
//! "logical id", and everything a field refers to exists in the same [`Topology`].

use std::collections::BTreeMap;

/// Everything the local host needs to know of a template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// DynamoDB tables.
    pub tables: Vec<Table>,
    /// SQS queues, dead-letter queues among them.
    pub queues: Vec<Queue>,
    /// S3 buckets.
    pub buckets: Vec<Bucket>,
    /// Secrets.
    pub secrets: Vec<Secret>,
    /// Lambda functions.
    pub functions: Vec<Function>,
    /// Queue → function.
    pub event_sources: Vec<EventSource>,
    /// Clock → function.
    pub schedules: Vec<Schedule>,
    /// API routes, most of them twice (with the legacy prefix).
    pub routes: Vec<Route>,
    /// Logical id of the function behind the `$default` route.
    pub default_route: Option<String>,
}

impl Topology {
    /// The function with this logical id.
    pub fn function(&self, logical_id: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.logical_id == logical_id)
    }
    /// The bucket with this logical id.
    pub fn bucket(&self, logical_id: &str) -> Option<&Bucket> {
        self.buckets.iter().find(|bucket| bucket.logical_id == logical_id)
    }
    /// The queue with this logical id.
    pub fn queue(&self, logical_id: &str) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.logical_id == logical_id)
    }
    /// The secret with this logical id.
    pub fn secret(&self, logical_id: &str) -> Option<&Secret> {
        self.secrets.iter().find(|secret| secret.logical_id == logical_id)
    }
    /// The table with this logical id.
    pub fn table(&self, logical_id: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.logical_id == logical_id)
    }
}

/// A DynamoDB table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Logical id.
    pub logical_id: String,
    /// Physical name.
    pub name: String,
    /// Primary key.
    pub key: KeySchema,
    /// Global secondary indexes.
    pub indexes: Vec<Index>,
    /// Attribute that holds the expiry time, if the table has one.
    pub ttl_attribute: Option<String>,
}

/// A key of a table or an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySchema {
    /// Partition key.
    pub partition: Attribute,
    /// Sort key.
    pub sort: Option<Attribute>,
}

/// A key attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// `S`, `N` or `B`.
    pub kind: String,
}

/// A global secondary index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// Its key.
    pub key: KeySchema,
    /// `KEYS_ONLY`, `INCLUDE` or `ALL`.
    pub projection: String,
    /// The attributes of an `INCLUDE` projection.
    pub included: Vec<String>,
}

/// An SQS queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Logical id.
    pub logical_id: String,
    /// Physical name.
    pub name: String,
    /// Visibility timeout, in seconds.
    pub visibility_seconds: u32,
    /// Retention, in seconds.
    pub retention_seconds: u32,
    /// Delay of every message, in seconds.
    pub delay_seconds: u32,
    /// Where messages go that were received too often.
    pub redrive: Option<Redrive>,
}

/// A redrive policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redrive {
    /// Physical name of the dead-letter queue.
    pub dead_letter_queue: String,
    /// Receives before a message goes there.
    pub max_receive_count: u32,
}

/// An S3 bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Logical id.
    pub logical_id: String,
    /// Physical name.
    pub name: String,
    /// Whether it keeps versions.
    pub versioned: bool,
    /// Days for which a new version can not be deleted; none = without Object Lock.
    pub lock_days: Option<u32>,
    /// Events it sends to queues.
    pub notifications: Vec<Notification>,
    /// Origins whose pages may send forms here; `*` is any.
    pub form_origins: Vec<String>,
}

/// A secret that is generated when it is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Logical id.
    pub logical_id: String,
    /// Physical name.
    pub name: String,
    /// Letters and digits of the generated text.
    pub length: u32,
}

/// A bucket notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Physical name of the queue.
    pub queue: String,
    /// Event name or pattern, e.g. `s3:ObjectCreated:*`.
    pub event: String,
    /// Only keys that start with this; empty = all.
    pub prefix: String,
    /// Only keys that end with this; empty = all.
    pub suffix: String,
}

impl Notification {
    /// Whether an event (e.g. `ObjectCreated:Put`, without `s3:`) on this key is sent.
    pub fn wants(&self, event: &str, key: &str) -> bool {
        let pattern = self.event.strip_prefix("s3:").unwrap_or(&self.event);
        let named = match pattern.strip_suffix('*') {
            Some(stem) => event.starts_with(stem),
            None => event == pattern,
        };
        named && key.starts_with(&self.prefix) && key.ends_with(&self.suffix)
    }
}

/// A Lambda function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Logical id, e.g. `ScanFunction`.
    pub logical_id: String,
    /// Name of its binary, e.g. `scan`.
    pub binary: String,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// Time limit of one invocation, in seconds.
    pub timeout_seconds: u32,
    /// Memory, in MiB.
    pub memory_mb: u32,
    /// Size of `/tmp`, in MiB.
    pub scratch_mb: u32,
}

/// A queue that feeds a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSource {
    /// Physical name of the queue.
    pub queue: String,
    /// Logical id of the function.
    pub function: String,
    /// Messages per invocation, at most.
    pub batch_size: u32,
    /// Whether the function's answer names the messages that failed.
    pub report_failures: bool,
    /// Invocations side by side, at most.
    pub max_concurrency: Option<u32>,
}

/// A clock that starts a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Name of the event in the template.
    pub name: String,
    /// Logical id of the function.
    pub function: String,
    /// Seconds between two invocations.
    pub rate_seconds: u64,
}

/// An API route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// HTTP verb.
    pub method: String,
    /// Path with `{parameters}`.
    pub path: String,
    /// Logical id of the function.
    pub function: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_wants_its_events_and_its_keys_only() {
        let notification = Notification { queue: "q".into(), event: "s3:ObjectCreated:*".into(), prefix: "in/".into(), suffix: String::new() };
        assert!(notification.wants("ObjectCreated:Put", "in/a"));
        assert!(notification.wants("ObjectCreated:CompleteMultipartUpload", "in/a"));
        assert!(!notification.wants("ObjectRemoved:Delete", "in/a"));
        assert!(!notification.wants("ObjectCreated:Put", "out/a"));
        let exact = Notification { event: "s3:ObjectCreated:Put".into(), ..notification };
        assert!(!exact.wants("ObjectCreated:Post", "in/a"));
    }
}
