//! A table as `template.yaml` describes it, and things to put into it.

use std::collections::HashMap;
use std::sync::OnceLock;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TimeToLiveSpecification,
};
use portcullis_core::audit::AuditLog;
use portcullis_core::aws::Clients;
use portcullis_core::clock::now_ms;
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::report::{Digests, FileReport, FileType, Timing};
use portcullis_core::domain::submission::{Basis, ObjectRef, Outcome, Owner, Source, Submission, Wishes};
use portcullis_core::domain::verdict::{Code, Verdict};
use portcullis_core::store::hashes::Hashes;
use portcullis_core::store::history::History;
use portcullis_core::store::identity::Identity;
use portcullis_core::store::scans::{Claim, Claimed, Scans};
use portcullis_core::store::settings::Settings;

/// An hour, in ms.
pub(crate) const HOUR: i64 = 3_600_000;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// The table of the audit log beside a table.
fn audit_of(table: &str) -> String {
    format!("{table}-audit")
}

/// A table of its own.
pub(crate) struct Table {
    pub(crate) client: aws_sdk_dynamodb::Client,
    pub(crate) name: String,
}

impl Table {
    pub(crate) async fn new() -> Self {
        let client = Clients::for_endpoint(endpoint(), "us-east-1", "test", "test").dynamodb().clone();
        let name = format!("portcullis-{}", uuid::Uuid::new_v4().simple());
        let attribute = |name: &str, kind| AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().unwrap();
        let part = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
        let pending = GlobalSecondaryIndex::builder()
            .index_name("pending")
            .key_schema(part("pending_shard", KeyType::Hash))
            .key_schema(part("check_at", KeyType::Range))
            .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
            .build()
            .unwrap();
        let listed = Projection::builder().projection_type(ProjectionType::Include);
        let history = GlobalSecondaryIndex::builder()
            .index_name("history")
            .key_schema(part("history_shard", KeyType::Hash))
            .key_schema(part("history_at", KeyType::Range))
            .projection(listed.non_key_attributes("history_entry").non_key_attributes("expires_at").build())
            .build()
            .unwrap();
        client
            .create_table()
            .table_name(&name)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("pk", ScalarAttributeType::S))
            .attribute_definitions(attribute("sk", ScalarAttributeType::S))
            .attribute_definitions(attribute("pending_shard", ScalarAttributeType::S))
            .attribute_definitions(attribute("check_at", ScalarAttributeType::N))
            .attribute_definitions(attribute("history_shard", ScalarAttributeType::S))
            .attribute_definitions(attribute("history_at", ScalarAttributeType::S))
            .key_schema(part("pk", KeyType::Hash))
            .key_schema(part("sk", KeyType::Range))
            .global_secondary_indexes(pending)
            .global_secondary_indexes(history)
            .send()
            .await
            .unwrap();
        let by_user = GlobalSecondaryIndex::builder()
            .index_name("by_user")
            .key_schema(part("username", KeyType::Hash))
            .key_schema(part("sk", KeyType::Range))
            .projection(Projection::builder().projection_type(ProjectionType::All).build())
            .build()
            .unwrap();
        client
            .create_table()
            .table_name(audit_of(&name))
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("pk", ScalarAttributeType::S))
            .attribute_definitions(attribute("sk", ScalarAttributeType::S))
            .attribute_definitions(attribute("username", ScalarAttributeType::S))
            .key_schema(part("pk", KeyType::Hash))
            .key_schema(part("sk", KeyType::Range))
            .global_secondary_indexes(by_user)
            .send()
            .await
            .unwrap();
        let ttl = TimeToLiveSpecification::builder().attribute_name("expires_at").enabled(true).build().unwrap();
        client.update_time_to_live().table_name(&name).time_to_live_specification(ttl).send().await.unwrap();
        Self { client, name }
    }

    pub(crate) fn scans(&self) -> Scans {
        Scans::new(self.client.clone(), &self.name)
    }

    pub(crate) fn hashes(&self) -> Hashes {
        Hashes::new(self.client.clone(), &self.name)
    }

    pub(crate) fn history(&self) -> History {
        History::new(self.client.clone(), &self.name)
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::new(self.client.clone(), &self.name)
    }

    pub(crate) fn audit(&self) -> AuditLog {
        AuditLog::new(self.client.clone(), audit_of(&self.name))
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings::new(self.client.clone(), &self.name)
    }

    /// An item as it is stored.
    pub(crate) async fn item(&self, pk: &str, sk: &str) -> Option<Item> {
        let get = self.client.get_item().table_name(&self.name).key("pk", text(pk)).key("sk", text(sk)).consistent_read(true);
        get.send().await.unwrap().item
    }

    /// The item of a submission as it is stored.
    pub(crate) async fn submission_item(&self, id: &DataId) -> Item {
        self.item(&submission_pk(id), "META").await.expect("the submission is stored")
    }

    /// Number of items in the table.
    pub(crate) async fn count(&self) -> i32 {
        self.client.scan().table_name(&self.name).consistent_read(true).send().await.unwrap().count()
    }

    /// Overwrites one attribute, around the stores.
    pub(crate) async fn set(&self, pk: &str, sk: &str, attribute: &str, value: AttributeValue) {
        let update = self.client.update_item().table_name(&self.name).key("pk", text(pk)).key("sk", text(sk));
        let update = update.update_expression("SET #a = :v").expression_attribute_names("#a", attribute);
        update.condition_expression("attribute_exists(pk)").expression_attribute_values(":v", value).send().await.unwrap();
    }

    /// Lets the lease of a claim run out, without the wait.
    pub(crate) async fn let_lease_end(&self, id: &DataId) {
        self.set(&submission_pk(id), "META", "claim_until", number(now_ms() - 1000)).await;
    }

    /// A new submission.
    pub(crate) async fn submit(&self) -> Submission {
        let submission = submission();
        self.scans().create(&submission, &[], now_ms() + HOUR, now_ms() + HOUR).await.unwrap();
        submission
    }

    /// A new submission that is claimed.
    pub(crate) async fn claimed(&self) -> (Submission, Claimed) {
        let submission = self.submit().await;
        let claimed = self.claim(&submission).await;
        (submission, claimed)
    }

    /// Claims what must be free.
    pub(crate) async fn claim(&self, submission: &Submission) -> Claimed {
        match self.scans().claim(&submission.id, &object(submission)).await.unwrap() {
            Claim::Won(claimed) => *claimed,
            other => panic!("not won: {other:?}"),
        }
    }
}

/// Where the tests' DynamoDB is.
fn endpoint() -> &'static str {
    static ENDPOINT: OnceLock<String> = OnceLock::new();
    ENDPOINT.get_or_init(|| std::env::var("PORTCULLIS_DYNAMODB_ENDPOINT").unwrap_or_else(|_| embedded()))
}

/// Starts the embedded server on a thread of its own: it must outlive the runtime of the test that came first.
fn embedded() -> String {
    let database = dynoxide::Database::memory().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async { dynoxide::server::serve_on(tokio::net::TcpListener::from_std(listener).unwrap(), database).await });
    });
    endpoint
}

pub(crate) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub(crate) fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(crate) fn submission_pk(id: &DataId) -> String {
    format!("SCAN#{}", id.group())
}

/// A submission with all fields filled.
pub(crate) fn submission() -> Submission {
    let id = DataId::random();
    let now = now_ms();
    Submission {
        key: format!("uploads/{id}"),
        id,
        name: "grün & groß.pdf".into(),
        rule: "File process".into(),
        user_agent: "kiosk".into(),
        owner: Some(Owner { user_id: 7, username: "LOCAL/ann".into() }),
        metadata: Some(serde_json::json!({ "ticket": 12 })),
        source: Source::Api,
        bucket: "uploads".into(),
        created_at: now,
        deadline_at: now + HOUR,
        size: 1234,
        wishes: Wishes::default(),
    }
}

/// The object of a submission.
pub(crate) fn object(submission: &Submission) -> ObjectRef {
    ObjectRef { bucket: submission.bucket.clone(), key: submission.key.clone(), version: Some("v1".into()), etag: "e1".into(), size: 1234 }
}

/// A clean outcome; `finished_at` tells outcomes apart.
pub(crate) fn outcome(finished_at: i64) -> Outcome {
    Outcome { report: report("file"), child_count: 0, worst_child: 0, started_at: 1, finished_at, basis: Basis::default(), revision: None }
}

pub(crate) fn report(name: &str) -> FileReport {
    FileReport {
        name: name.to_owned(),
        size: 1234,
        digests: digests(1),
        file_type: FileType::default(),
        engines: Vec::new(),
        yara: Vec::new(),
        verdict: Verdict::decide(&[Code::NoThreatDetected], &[]),
        timing: Timing::default(),
        depth: 0,
        is_archive: false,
        type_skipped: false,
    }
}

/// Digests of a content that has this number.
pub(crate) fn digests(content: u64) -> Digests {
    let of = |length: usize| format!("{content:0>length$x}");
    Digests { md5: of(32), sha1: of(40), sha256: of(64), sha512: of(128) }
}
