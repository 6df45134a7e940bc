//! What the template must always say, whoever edits it.
//!
//! Plain checks over the parsed files; nothing is deployed. Each test names one promise of the design.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use portcullis_core::config::KEYS;
use portcullis_core::http::routes::{Function, LEGACY_PREFIX, ROUTES};
use portcullis_local::template::{Deployment, Template, Topology};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[path = "template/front.rs"]
mod front;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn template() -> Template {
    Template::from_dir(&repository()).unwrap()
}

fn topology() -> Topology {
    let parameters = BTreeMap::new();
    let queue_url = |name: &str| format!("http://localhost/000000000000/{name}");
    template().resolve(Deployment { parameters: &parameters, region: "us-east-1", account: "000000000000", queue_url: &queue_url }).unwrap()
}

/// All resources of a type: (logical id, the resource).
fn resources(kind: &str) -> Vec<(String, Value)> {
    let template = template();
    let all = template.files().flat_map(|(_, file)| file["Resources"].as_object().unwrap());
    all.filter(|(_, resource)| resource["Type"] == kind).map(|(id, resource)| (id.clone(), resource.clone())).collect()
}

fn file(name: &str) -> Value {
    template().files().find(|(file, _)| *file == name).map(|(_, document)| document.clone()).unwrap()
}

fn logical_id(function: Function) -> String {
    format!("{function:?}Function")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn texts(value: &Value) -> BTreeSet<&str> {
    match value {
        Value::Array(items) => items.iter().map(text).collect(),
        one => BTreeSet::from([text(one)]),
    }
}

// --- queues

#[test]
fn a_message_stays_hidden_six_times_as_long_as_its_function_may_run() {
    let topology = topology();
    assert_eq!(topology.event_sources.len(), 2);
    for source in &topology.event_sources {
        let queue = topology.queues.iter().find(|queue| queue.name == source.queue).unwrap();
        let function = topology.function(&source.function).unwrap();
        assert!(queue.visibility_seconds >= 6 * function.timeout_seconds, "{} and {}", queue.logical_id, function.logical_id);
        assert!(source.report_failures, "{} must report the messages that failed", function.logical_id);
    }
}

#[test]
fn every_queue_has_a_dead_letter_queue_that_keeps_messages_longer() {
    let topology = topology();
    let targets: BTreeSet<_> =
        topology.queues.iter().filter_map(|queue| queue.redrive.as_ref()).map(|redrive| redrive.dead_letter_queue.as_str()).collect();
    for queue in &topology.queues {
        match &queue.redrive {
            Some(redrive) => {
                assert_eq!(redrive.max_receive_count, 5, "{}", queue.logical_id);
                let dead = topology.queues.iter().find(|dead| dead.name == redrive.dead_letter_queue).unwrap();
                assert!(dead.retention_seconds > queue.retention_seconds, "{}", dead.logical_id);
                assert!(dead.redrive.is_none(), "{}", dead.logical_id);
            }
            None => assert!(targets.contains(queue.name.as_str()), "{} has no dead-letter queue and is none", queue.logical_id),
        }
    }
}

#[test]
fn queues_are_encrypted_with_and_without_a_key_of_the_operator() {
    for (id, queue) in resources("AWS::SQS::Queue") {
        assert_eq!(queue["Properties"]["SqsManagedSseEnabled"], json!({"Fn::If": ["HasKey", {"Ref": "AWS::NoValue"}, true]}), "{id}");
        assert_eq!(queue["Properties"]["KmsMasterKeyId"], json!({"Fn::If": ["HasKey", {"Ref": "KmsKeyArn"}, {"Ref": "AWS::NoValue"}]}), "{id}");
    }
}

#[test]
fn only_buckets_of_the_account_may_announce_objects() {
    let policies = resources("AWS::SQS::QueuePolicy");
    let allows: Vec<_> = policies
        .iter()
        .flat_map(|(_, policy)| statements(&policy["Properties"]["PolicyDocument"]))
        .filter(|statement| statement["Effect"] == "Allow")
        .collect();
    let [allow] = allows.as_slice() else { panic!("{allows:?}") };
    assert_eq!(allow["Principal"], json!({"Service": "s3.amazonaws.com"}));
    assert_eq!(allow["Action"], "sqs:SendMessage");
    assert_eq!(allow["Condition"]["StringEquals"]["aws:SourceAccount"], json!({"Ref": "AWS::AccountId"}));
    assert!(allow["Condition"]["ArnLike"]["aws:SourceArn"].is_object());
}

// --- buckets and table

#[test]
fn buckets_are_encrypted_private_and_reached_by_tls_only() {
    let policies = resources("AWS::S3::BucketPolicy");
    let buckets = resources("AWS::S3::Bucket");
    assert_eq!(buckets.len(), 5);
    for (id, bucket) in buckets {
        let properties = &bucket["Properties"];
        let rule = &properties["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]["ServerSideEncryptionByDefault"];
        // Quarantine has a key of its own.
        let algorithm = if id == "QuarantineBucket" { json!("aws:kms") } else { json!({"Fn::If": ["HasKey", "aws:kms", "AES256"]}) };
        assert_eq!(rule["SSEAlgorithm"], algorithm, "{id}");
        for block in ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"] {
            assert_eq!(properties["PublicAccessBlockConfiguration"][block], true, "{id} {block}");
        }
        assert_eq!(properties["OwnershipControls"]["Rules"][0]["ObjectOwnership"], "BucketOwnerEnforced", "{id}");
        let policy = policies.iter().find(|(_, policy)| policy["Properties"]["Bucket"] == json!({"Ref": id})).unwrap();
        let [deny] = statements(&policy.1["Properties"]["PolicyDocument"])[..] else { panic!("{id}") };
        assert_eq!((&deny["Effect"], &deny["Condition"]), (&json!("Deny"), &json!({"Bool": {"aws:SecureTransport": "false"}})), "{id}");
    }
}

#[test]
fn buckets_clean_up_after_themselves_and_outlive_the_stack() {
    for (id, bucket) in resources("AWS::S3::Bucket") {
        let rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"].as_array().unwrap();
        assert!(rules.iter().all(|rule| rule["Status"] == "Enabled"), "{id}");
        assert!(rules.iter().any(|rule| rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 1), "{id}");
        let versioned = bucket["Properties"]["VersioningConfiguration"]["Status"] == "Enabled";
        assert_eq!(versioned, rules.iter().any(|rule| rule.get("NoncurrentVersionExpiration").is_some()), "{id}");
        assert_eq!(versioned, id != "ReportBucket", "{id}");
        let expires = rules.iter().any(|rule| rule.get("ExpirationInDays").is_some());
        assert_eq!(expires, id == "UploadBucket" || id == "ReportBucket", "{id}: files of others are never expired");
        assert_eq!((&bucket["DeletionPolicy"], &bucket["UpdateReplacePolicy"]), (&json!("Retain"), &json!("Retain")), "{id}");
    }
}

#[test]
fn what_is_in_quarantine_is_locked_under_a_key_of_its_own() {
    let [(_, bucket)] = &resources("AWS::S3::Bucket").into_iter().filter(|(id, _)| id == "QuarantineBucket").collect::<Vec<_>>()[..] else {
        panic!()
    };
    let properties = &bucket["Properties"];
    let encryption = &properties["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]["ServerSideEncryptionByDefault"];
    assert_eq!(encryption["KMSMasterKeyID"], json!({"Fn::GetAtt": ["QuarantineKey", "Arn"]}));
    assert_eq!(properties["ObjectLockEnabled"], true);
    let retention = &properties["ObjectLockConfiguration"]["Rule"]["DefaultRetention"];
    assert_eq!(*retention, json!({"Mode": "GOVERNANCE", "Days": {"Ref": "QuarantineLockDays"}}));
    assert_eq!(properties["VersioningConfiguration"]["Status"], "Enabled");
    assert!(topology().bucket("QuarantineBucket").unwrap().lock_days >= Some(1));
    let [(id, key)] = &resources("AWS::KMS::Key")[..] else { panic!("one key") };
    assert_eq!((id.as_str(), &key["Properties"]["EnableKeyRotation"], &key["DeletionPolicy"]), ("QuarantineKey", &json!(true), &json!("Retain")));
    // No function may get round the lock, or change it.
    let access = file("infra/access.yaml").to_string();
    assert!(!access.contains("BypassGovernanceRetention") && !access.contains("PutObjectRetention") && !access.contains("PutBucketObjectLock"));
}

#[test]
fn new_objects_reach_the_scan_queue() {
    let topology = topology();
    let scan_queue = &topology.queue("ScanQueue").unwrap().name;
    for (bucket, prefixes) in [("UploadBucket", &["in/", "parts/"][..]), ("InboxBucket", &[""])] {
        let notifications = &topology.bucket(bucket).unwrap().notifications;
        assert_eq!(notifications.len(), prefixes.len(), "{bucket}");
        for (notification, prefix) in notifications.iter().zip(prefixes) {
            assert_eq!((&notification.queue, notification.prefix.as_str()), (scan_queue, *prefix), "{bucket}");
            assert!(notification.wants("ObjectCreated:CompleteMultipartUpload", &format!("{prefix}x")), "{bucket}");
        }
    }
}

#[test]
fn the_tables_restore_and_outlive_the_stack_and_data_expires() {
    let tables = resources("AWS::DynamoDB::Table");
    assert_eq!(tables.len(), 2);
    for (id, table) in tables {
        let properties = &table["Properties"];
        // The audit log ends by its setting, which counts for what is there: the sweep does it.
        let ttl = if id == "DataTable" { json!({"AttributeName": "expires_at", "Enabled": true}) } else { Value::Null };
        assert_eq!(properties["TimeToLiveSpecification"], ttl, "{id}");
        assert_eq!(properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true, "{id}");
        assert_eq!(properties["SSESpecification"]["SSEEnabled"], true, "{id}");
        assert_eq!(properties["BillingMode"], "PAY_PER_REQUEST", "{id}");
        assert_eq!((&table["DeletionPolicy"], &table["UpdateReplacePolicy"]), (&json!("Retain"), &json!("Retain")), "{id}");
    }
}

#[test]
fn secrets_are_generated_encrypted_and_outlive_the_stack() {
    let secrets = resources("AWS::SecretsManager::Secret");
    assert_eq!(secrets.len(), 2);
    for (id, secret) in secrets {
        let properties = &secret["Properties"];
        // 64 letters and digits are base64 of 48 bytes: what Standard Webhooks takes as a key.
        let generate = &properties["GenerateSecretString"];
        assert_eq!((&generate["PasswordLength"], &generate["ExcludePunctuation"]), (&json!(64), &json!(true)), "{id}");
        let excluded = generate["ExcludeCharacters"].as_str().unwrap_or_default();
        assert!(!excluded.chars().any(char::is_alphanumeric), "{id}: {excluded}");
        assert!(properties.get("SecretString").is_none(), "{id}");
        assert_eq!(properties["KmsKeyId"], json!({"Fn::If": ["HasKey", {"Ref": "KmsKeyArn"}, {"Ref": "AWS::NoValue"}]}), "{id}");
        assert_eq!((&secret["DeletionPolicy"], &secret["UpdateReplacePolicy"]), (&json!("Retain"), &json!("Retain")), "{id}");
    }
}

#[test]
fn large_reports_live_as_long_as_their_results() {
    let days = file("template.yaml")["Parameters"]["ReportRetentionDays"]["Default"].as_u64().unwrap();
    assert!(days * 24 >= *portcullis_core::retention::Retention::HOURS.end());
}

// --- functions

#[test]
fn environment_keys_are_those_of_the_code() {
    let topology = topology();
    let functions: BTreeSet<_> = KEYS.iter().flat_map(|key| key.functions).copied().collect();
    assert_eq!(functions, topology.functions.iter().map(|function| function.binary.as_str()).collect());
    for function in &topology.functions {
        let read: BTreeSet<_> = KEYS.iter().filter(|key| key.functions.contains(&function.binary.as_str())).map(|key| key.name).collect();
        let set: BTreeSet<_> = function.env.keys().map(String::as_str).collect();
        assert_eq!(set, read, "{}: left the template, right the code", function.logical_id);
    }
}

#[test]
fn template_and_code_have_the_same_defaults() {
    for function in topology().functions {
        for key in KEYS.iter().filter(|key| key.functions.contains(&function.binary.as_str())) {
            if let Some(default) = key.default {
                assert_eq!(function.env[key.name], default, "{} of {}", key.name, function.logical_id);
            }
        }
    }
}

/// `cargo lambda build`, which `sam build` calls, adds `panic = "abort"` to a release profile that does not say how to
/// panic. Every parser call is caught: that needs unwinding.
#[test]
fn released_functions_unwind() {
    let manifest = std::fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let (_, profile) = manifest.split_once("\n[profile.release]\n").unwrap();
    let profile = profile.split("\n[").next().unwrap();
    assert!(profile.lines().any(|line| line == "panic = \"unwind\""), "{profile}");
}

#[test]
fn workers_and_their_scratch_fit_into_the_scan_function() {
    let topology = topology();
    let scan = topology.function("ScanFunction").unwrap();
    let number = |key: &str| scan.env[key].parse::<u32>().unwrap();
    assert!(number("PORTCULLIS_WORKERS") * number("PORTCULLIS_WORKER_MEMORY_MB") < scan.memory_mb);
    assert_eq!(scan.env["PORTCULLIS_SCRATCH_DIR"], "/tmp");
}

#[test]
fn every_function_logs_as_json_to_a_group_with_a_retention() {
    let access = file("infra/access.yaml");
    for (id, function) in resources("AWS::Serverless::Function") {
        let logging = &function["Properties"]["LoggingConfig"];
        assert_eq!(logging["LogFormat"], "JSON", "{id}");
        let output = text(&logging["LogGroup"]["Fn::GetAtt"][1]).strip_prefix("Outputs.").unwrap();
        let group = text(&access["Outputs"][output]["Value"]["Ref"]);
        assert_eq!(access["Resources"][group]["Type"], "AWS::Logs::LogGroup", "{id}");
    }
    for (id, group) in resources("AWS::Logs::LogGroup") {
        assert_eq!(group["Properties"]["RetentionInDays"], json!({"Ref": "LogRetentionDays"}), "{id}");
    }
}

// --- permissions

/// Putting entries of the audit log, in transactions only (see the test below).
const AUDIT: &str = "dynamodb: PutItem on AuditTableArn";

/// Everything a function may do, in words of `<actions> on <resources>`. Change it together with the code that
/// makes the calls and with `infra/access.yaml`.
const ALLOWED: &[(&str, &[&str])] = &[
    ("Auth", &["dynamodb: BatchGetItem ConditionCheckItem DeleteItem GetItem PutItem Query UpdateItem on DataTableArn", AUDIT]),
    (
        "Upload",
        &[
            "dynamodb: BatchGetItem DeleteItem GetItem PutItem Query UpdateItem on DataTableArn",
            AUDIT,
            "s3: AbortMultipartUpload PutObject on UploadBucketArn/in/* UploadBucketArn/parts/*",
            "s3: ListBucket on UploadBucketArn",
            "s3: GetObject on ReportBucketArn/*",
            "sqs: GetQueueAttributes SendMessage on ScanQueueArn",
            "sqs: SendMessage on NotifyQueueArn",
        ],
    ),
    (
        "Scan",
        &[
            "s3: GetObject GetObjectRetention GetObjectVersion PutObject on QuarantineBucketArn/*",
            "s3: ListBucket on QuarantineBucketArn",
            "kms: Decrypt GenerateDataKey on QuarantineKeyArn",
            "dynamodb: BatchWriteItem GetItem PutItem Query UpdateItem on DataTableArn",
            "s3: GetObject GetObjectTagging GetObjectVersion GetObjectVersionTagging PutObjectTagging PutObjectVersionTagging on InboxBucketArn/* UploadBucketArn/*",
            "s3: ListBucket on InboxBucketArn UploadBucketArn",
            "s3: AbortMultipartUpload PutObject on UploadBucketArn/in/*",
            "s3: DeleteObject on UploadBucketArn/parts/*",
            "s3: GetObject PutObject on ReportBucketArn/*",
            "s3: DeleteObject on ReportBucketArn/partial/*",
            "s3: GetObject on DefinitionsBucketArn/*",
            "s3: PutObject on DefinitionsBucketArn/packages/*",
            "s3: ListBucket on DefinitionsBucketArn",
            "sqs: ChangeMessageVisibility DeleteMessage GetQueueAttributes ReceiveMessage on ScanQueueArn",
            "sqs: SendMessage on NotifyQueueArn ScanQueueArn",
        ],
    ),
    (
        "Results",
        &[
            "dynamodb: BatchGetItem GetItem PutItem Query UpdateItem on DataTableArn",
            AUDIT,
            "s3: GetObject on ReportBucketArn/*",
            "sqs: SendMessage on NotifyQueueArn",
            "secretsmanager: GetSecretValue on SigningSecretArn",
        ],
    ),
    (
        "Admin",
        &[
            "s3: DeleteObjectVersion GetObject GetObjectRetention GetObjectVersion on QuarantineBucketArn/*",
            "s3: ListBucket on QuarantineBucketArn",
            "kms: Decrypt on QuarantineKeyArn",
            "s3: GetObject GetObjectVersion PutObject PutObjectTagging on UploadBucketArn/released/*",
            "s3: ListBucket on ReportBucketArn UploadBucketArn",
            "s3: AbortMultipartUpload GetObject GetObjectVersion PutObject on ReportBucketArn/quarantine/*",
            AUDIT,
            "dynamodb: Query on AuditTableArn AuditTableArn/index/by_user",
            "dynamodb: BatchGetItem DeleteItem GetItem PutItem Query UpdateItem on DataTableArn",
            "dynamodb: Query on DataTableArn/index/history",
            "sqs: GetQueueAttributes SendMessage on ScanQueueArn",
            "s3: GetObject on DefinitionsBucketArn/hashes/* DefinitionsBucketArn/yara/*",
            "s3: ListBucket on DefinitionsBucketArn",
            "s3: DeleteObject PutObject on DefinitionsBucketArn/pinned/*",
        ],
    ),
    (
        "Notify",
        &[
            "sqs: ChangeMessageVisibility DeleteMessage GetQueueAttributes ReceiveMessage on NotifyQueueArn",
            "sqs: SendMessage on NotifyQueueArn",
            "dynamodb: GetItem PutItem Query UpdateItem on DataTableArn",
            "s3: GetObject on ReportBucketArn/*",
            "secretsmanager: GetSecretValue on WebhookSecretArn",
        ],
    ),
    (
        "Sweep",
        &[
            "s3: DeleteObjectVersion on QuarantineBucketArn/*",
            "dynamodb: DeleteItem GetItem PutItem Query UpdateItem on DataTableArn",
            "dynamodb: DeleteItem Query on AuditTableArn",
            "dynamodb: Query on DataTableArn/index/history DataTableArn/index/pending",
            "sqs: GetQueueAttributes on ScanQueueArn",
            "s3: GetObject on InboxBucketArn/* UploadBucketArn/*",
            "s3: ListBucket on InboxBucketArn UploadBucketArn",
            "s3: DeleteObject DeleteObjectVersion on UploadBucketArn/in/*",
            "s3: ListBucketVersions on UploadBucketArn",
            "s3: DeleteObject GetObject on ReportBucketArn/*",
            "s3: ListBucket on ReportBucketArn",
            "sqs: SendMessage on NotifyQueueArn ScanQueueArn",
        ],
    ),
];

fn statements(policy: &Value) -> Vec<&Value> {
    policy["Statement"].as_array().unwrap().iter().collect()
}

/// A statement in the words of [`ALLOWED`].
fn in_words(statement: &Value) -> String {
    let actions = texts(&statement["Action"]);
    let service = actions.first().unwrap().split_once(':').unwrap().0;
    let actions: Vec<_> = actions.iter().map(|action| action.strip_prefix(&format!("{service}:")).unwrap()).collect();
    let resources = match &statement["Resource"] {
        Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    };
    let resources: BTreeSet<_> =
        resources.iter().map(|resource| text(&resource["Ref"]).to_owned() + &text(&resource["Fn::Sub"]).replace(['$', '{', '}'], "")).collect();
    format!("{service}: {} on {}", actions.join(" "), resources.into_iter().collect::<Vec<_>>().join(" "))
}

#[test]
fn every_function_may_do_what_it_does_and_nothing_else() {
    let access = file("infra/access.yaml");
    for (function, allowed) in ALLOWED {
        let role = &access["Resources"][format!("{function}Role")]["Properties"];
        let [policy] = &role["Policies"].as_array().unwrap()[..] else { panic!("{function}") };
        let (logs, others): (Vec<_>, Vec<_>) = statements(&policy["PolicyDocument"]).into_iter().partition(|statement| statement["Sid"] == "Logs");
        assert_eq!(logs[0]["Resource"], json!({"Fn::GetAtt": [format!("{function}LogGroup"), "Arn"]}), "{function}");
        let granted: BTreeSet<_> = others.into_iter().map(in_words).collect();
        assert_eq!(granted, allowed.iter().map(|line| (*line).to_owned()).collect(), "{function}: left the template, right the table in this test");
        assert_eq!(
            role["ManagedPolicyArns"],
            json!([{"Ref": "TracePolicy"}, {"Fn::If": ["HasKey", {"Ref": "KeyPolicy"}, {"Ref": "AWS::NoValue"}]}]),
            "{function}"
        );
        let used = &file("template.yaml")["Resources"][format!("{function}Function")]["Properties"]["Role"];
        assert_eq!(used, &json!({"Fn::GetAtt": ["Access", format!("Outputs.{function}RoleArn")]}), "{function}");
    }
    let roles = access["Resources"].as_object().unwrap().values().filter(|resource| resource["Type"] == "AWS::IAM::Role");
    assert_eq!(roles.count(), ALLOWED.len());
}

#[test]
fn the_audit_log_is_only_added_to_and_only_in_transactions() {
    let access = file("infra/access.yaml");
    for (function, _) in ALLOWED {
        let policy = &access["Resources"][format!("{function}Role")]["Properties"]["Policies"][0]["PolicyDocument"];
        for statement in statements(policy).into_iter().filter(|statement| statement["Resource"].to_string().contains("AuditTable")) {
            let actions = texts(&statement["Action"]);
            let writes: Vec<_> = actions.iter().filter(|action| !action.ends_with(":Query")).copied().collect();
            match writes[..] {
                [] => {}
                ["dynamodb:PutItem"] => {
                    let only = json!({"ForAnyValue:StringEquals": {"dynamodb:EnclosingOperation": ["TransactWriteItems"]}});
                    assert_eq!(statement["Condition"], only, "{function}");
                }
                ["dynamodb:DeleteItem"] => assert_eq!(*function, "Sweep"),
                _ => panic!("{function}: {writes:?}"),
            }
        }
    }
}

#[test]
fn no_permission_is_a_wildcard() {
    let policies = resources("AWS::IAM::ManagedPolicy").into_iter().map(|(id, policy)| (id, policy["Properties"]["PolicyDocument"].clone()));
    let inline = resources("AWS::IAM::Role").into_iter().filter(|(_, role)| role["Properties"].get("Policies").is_some());
    let inline = inline.map(|(id, role)| (id, role["Properties"]["Policies"][0]["PolicyDocument"].clone()));
    for (id, policy) in policies.chain(inline) {
        for statement in statements(&policy) {
            assert!(texts(&statement["Action"]).iter().all(|action| !action.contains('*')), "{id}");
            // X-Ray and network interfaces have no resources to name.
            let nameless = statement["Sid"] == "Traces" || (id == "ScanNetworkPolicy" && statement["Sid"] == "Network");
            assert!(!texts(&statement["Resource"]).contains("*") || nameless, "{id}");
        }
    }
}

#[test]
fn only_a_scan_function_in_subnets_gets_network_interfaces() {
    let access = file("infra/access.yaml");
    let policy = &access["Resources"]["ScanNetworkPolicy"];
    assert_eq!((&policy["Condition"], &policy["Properties"]["Roles"]), (&json!("HasScanNetwork"), &json!([{"Ref": "ScanRole"}])));
    let network = |function: &Value| function["Properties"]["VpcConfig"].clone();
    for (id, function) in resources("AWS::Serverless::Function") {
        let wanted = if id == "ScanFunction" { json!("HasScanNetwork") } else { Value::Null };
        assert_eq!(network(&function)["Fn::If"][0], wanted, "{id}");
    }
    // What the stack of clamd puts out is what this one takes.
    let clamav = std::fs::read_to_string(repository().join("infra/clamav/template.yaml")).unwrap();
    let (_, outputs) = clamav.split_once("\nOutputs:\n").unwrap();
    let named = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let outputs: Vec<_> = outputs.lines().filter(named).map(|line| line.trim().trim_end_matches(':')).collect();
    let parameters = file("template.yaml")["Parameters"].clone();
    assert!(outputs.len() == 3 && outputs.iter().all(|output| !parameters[output].is_null()), "{outputs:?}");
}

#[test]
fn watched_buckets_of_the_operator_get_the_permissions_of_our_own() {
    let access = file("infra/access.yaml");
    let allowed = |policy: &Value, sid: &str| statements(policy).into_iter().find(|statement| statement["Sid"] == sid).unwrap()["Action"].clone();
    for (role, policy) in [("ScanRole", "WatchedBucketsPolicy"), ("SweepRole", "WatchedBucketsSweepPolicy")] {
        let watched = &access["Resources"][policy]["Properties"];
        assert_eq!(watched["Roles"], json!([{"Ref": role}]));
        let own = &access["Resources"][role]["Properties"]["Policies"][0]["PolicyDocument"];
        for sid in ["Files", "FileNames"] {
            assert_eq!(allowed(&watched["PolicyDocument"], sid), allowed(own, sid), "{role} {sid}");
        }
    }
}

// --- API

const ROUTES_BEGIN: &str = "  # --- routes: written by `just routes`, not by hand\n";
const ROUTES_END: &str = "  # --- end of routes\n";

/// The routes of `infra/api.yaml`, made from the route table.
fn routes_text() -> String {
    let mut lines = String::new();
    for (prefix, id_prefix) in [("", ""), (LEGACY_PREFIX, "Legacy")] {
        for route in ROUTES {
            let words = route.path.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
            let name: String = words.map(capitalised).collect();
            let name = if name.is_empty() { "Root".to_owned() } else { name };
            let path = format!("{prefix}{}", route.path);
            let path = if path.len() > 1 { path.trim_end_matches('/') } else { &path };
            writeln!(
                lines,
                "  {id_prefix}{}{name}: {{ Type: AWS::ApiGatewayV2::Route, Properties: {{ ApiId: !Ref HttpApi, RouteKey: \"{} {path}\", Target: !Sub \"integrations/${{{:?}Integration}}\" }} }}",
                capitalised(&route.method.to_lowercase()),
                route.method,
                route.function,
            )
            .unwrap();
        }
    }
    lines
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

/// `BLESS=1` (or `just routes`) writes the file instead of comparing it.
#[test]
fn routes_in_the_file_are_the_route_table() {
    let path = repository().join("infra/api.yaml");
    let is = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = is.split_once(ROUTES_BEGIN).unwrap();
    let (_, after) = rest.split_once(ROUTES_END).unwrap();
    let wanted = format!("{before}{ROUTES_BEGIN}{}{}{after}", routes_text(), format_args!("\n{ROUTES_END}"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, wanted).unwrap();
    } else {
        assert!(is == wanted, "infra/api.yaml differs from the route table: run `just routes`");
    }
}

#[test]
fn every_route_leads_to_its_function_with_and_without_the_legacy_prefix() {
    let topology = topology();
    let found: BTreeSet<_> = topology.routes.iter().map(|route| (route.method.clone(), route.path.clone(), route.function.clone())).collect();
    let mut wanted = BTreeSet::new();
    for route in ROUTES {
        let legacy = format!("{LEGACY_PREFIX}{}", route.path.trim_end_matches('/'));
        wanted.insert((route.method.to_owned(), route.path.to_owned(), logical_id(route.function)));
        wanted.insert((route.method.to_owned(), legacy, logical_id(route.function)));
    }
    assert_eq!(found, wanted);
    assert_eq!(topology.default_route.as_deref(), Some("ResultsFunction"));
    assert!(found.len() < 300, "API Gateway's quota is 300 routes per API");
}

#[test]
fn throttled_routes_exist_and_the_stage_waits_for_them() {
    let routes = resources("AWS::ApiGatewayV2::Route");
    let [(_, stage)] = &resources("AWS::ApiGatewayV2::Stage")[..] else { panic!("one stage") };
    let awaited = texts(&stage["DependsOn"]);
    let settings = stage["Properties"]["RouteSettings"].as_object().unwrap();
    for key in settings.keys() {
        let (id, _) = routes.iter().find(|(_, route)| route["Properties"]["RouteKey"] == **key).unwrap();
        assert!(awaited.contains(id.as_str()), "{key}");
    }
    assert!(settings.contains_key("POST /login"));
    assert!(!text(&stage["Properties"]["AccessLogSettings"]["Format"]).contains("header"));
}

// --- alarms

#[test]
fn every_alarm_is_a_runbook() {
    let alarms = resources("AWS::CloudWatch::Alarm");
    for (id, alarm) in &alarms {
        let description = text(&alarm["Properties"]["AlarmDescription"]);
        let (meaning, action) = description.split_once(" First action: ").unwrap_or_else(|| panic!("{id} names no first action"));
        assert!(meaning.len() >= 60 && action.len() >= 60, "{id} says too little: {description}");
        assert!(description.len() <= 1024, "{id}: CloudWatch takes 1024 characters");
        assert!(alarm["Properties"]["AlarmActions"].is_object(), "{id}");
    }
}

#[test]
fn dead_letters_backlogs_and_every_function_have_alarms() {
    // (metric, parameter of infra/alarms.yaml) → the root template says which resource the parameter is.
    let given = file("template.yaml")["Resources"]["Alarms"]["Properties"]["Parameters"].clone();
    let watched: BTreeSet<_> = resources("AWS::CloudWatch::Alarm")
        .iter()
        .map(|(_, alarm)| {
            let parameter = text(&alarm["Properties"]["Dimensions"][0]["Value"]["Ref"]);
            // Metrics of our own have no resource; those of an expression have theirs within.
            assert!(parameter.is_empty() || given.get(parameter).is_some(), "{parameter}");
            (text(&alarm["Properties"]["MetricName"]).to_owned(), parameter.to_owned())
        })
        .collect();
    let topology = topology();
    let mut wanted = Vec::new();
    for queue in &topology.queues {
        let metric = if queue.redrive.is_some() { "ApproximateAgeOfOldestMessage" } else { "ApproximateNumberOfMessagesVisible" };
        assert_eq!(given[&queue.logical_id], json!({"Fn::GetAtt": ["Queues", format!("Outputs.{}Name", queue.logical_id)]}));
        wanted.push((metric.to_owned(), queue.logical_id.clone()));
    }
    for function in &topology.functions {
        assert_eq!(given[&function.logical_id], json!({"Ref": function.logical_id}));
        wanted.extend(["Errors", "Throttles"].map(|metric| (metric.to_owned(), function.logical_id.clone())));
    }
    for alarm in wanted {
        assert!(watched.contains(&alarm), "no alarm on {alarm:?}");
    }
}

/// Metrics of our own that alarms and dashboard look at, and where each is written.
const OWN_METRICS: &[(&str, &str)] = &[
    ("Files", "functions/notify/src/lib.rs"),
    ("Bytes", "functions/notify/src/lib.rs"),
    ("QueueTime", "functions/notify/src/lib.rs"),
    ("ScanTime", "functions/notify/src/lib.rs"),
    ("EngineFailures", "functions/scan/src/measure.rs"),
    ("DefinitionAgeHours", "functions/scan/src/measure.rs"),
    ("EnforcementFailures", "functions/scan/src/enforce.rs"),
    ("Quarantined", "functions/scan/src/enforce.rs"),
    ("StuckScans", "functions/sweep/src/lib.rs"),
    ("RetentionFailures", "functions/sweep/src/lib.rs"),
];

#[test]
fn every_metric_of_our_own_that_is_looked_at_is_written() {
    for (name, path) in OWN_METRICS {
        let source = std::fs::read_to_string(repository().join(path)).unwrap();
        assert!(source.contains(&format!("\"{name}\"")), "{name} is not written by {path}");
    }
    let known = |name: &str| OWN_METRICS.iter().any(|(known, _)| *known == name);
    for (id, alarm) in resources("AWS::CloudWatch::Alarm") {
        let properties = &alarm["Properties"];
        let single = (text(&properties["Namespace"]) == "Portcullis").then(|| text(&properties["MetricName"]));
        let metrics = properties["Metrics"].as_array().into_iter().flatten().map(|metric| &metric["MetricStat"]["Metric"]);
        let within = metrics.filter(|metric| text(&metric["Namespace"]) == "Portcullis").map(|metric| text(&metric["MetricName"]));
        for name in single.into_iter().chain(within) {
            assert!(known(name), "{id} looks at `{name}`, which nothing writes");
        }
    }
}

#[test]
fn the_dashboard_is_json_and_shows_metrics_that_exist() {
    let body = file("infra/dashboard.yaml")["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"].as_str().unwrap().to_owned();
    let parameters = file("infra/dashboard.yaml")["Parameters"].as_object().unwrap().clone();
    for name in parameters.keys() {
        assert!(body.contains(&format!("${{{name}}}")), "{name} is not used");
    }
    let board: Value = serde_json::from_str(&body).unwrap();
    let widgets = board["widgets"].as_array().unwrap();
    let rows: Vec<_> = widgets.iter().filter_map(|widget| widget["properties"]["metrics"].as_array()).flatten().collect();
    assert!(rows.len() >= 20);
    for row in rows {
        if row[0] == "Portcullis" {
            assert!(OWN_METRICS.iter().any(|(name, _)| row[1] == *name), "{row}");
        }
        if let Some((_, rest)) = row[0]["expression"].as_str().and_then(|expression| expression.split_once("MetricName=\"")) {
            assert!(OWN_METRICS.iter().any(|(name, _)| rest.starts_with(&format!("{name}\""))), "{row}");
        }
    }
}

// --- parameters

#[test]
fn every_parameter_of_the_root_is_described_grouped_and_used() {
    let root = file("template.yaml");
    let groups = root["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"].as_array().unwrap();
    let grouped: BTreeSet<_> = groups.iter().flat_map(|group| texts(&group["Parameters"])).collect();
    let declared = root["Parameters"].as_object().unwrap();
    assert_eq!(grouped, declared.keys().map(String::as_str).collect());
    let body = format!("{}{}{}", root["Resources"], root["Globals"], root["Conditions"]);
    for (name, parameter) in declared {
        assert!(text(&parameter["Description"]).len() > 20, "{name}");
        assert!(parameter.get("Default").is_some(), "{name}: a first deployment must not need an answer");
        assert!(body.contains(&format!("{{\"Ref\":\"{name}\"}}")), "{name} is not used");
    }
}
