//! What is tested: a host started here once, or a deployment named by the environment. Both get the same
//! rules and definitions before the first file.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use portcullis_core::aws::Clients;
use portcullis_core::config::Env;
use portcullis_core::rules;
use portcullis_core::store::queue::Queue;
use portcullis_core::store::settings::Settings;
use portcullis_local::front::{Front, FrontOptions};
use portcullis_local::host::{AdminOptions, Host, HostOptions};
use portcullis_sweep::Sweep;
use serde_json::{Value, json};

use crate::support::client::Client;

pub const PASSWORD: &str = "e2e password";
/// A YARA rule of the operator without severity: it blocks as `Yara Rule Matched`.
pub const YARA_MARK: &str = "portcullis-e2e-mark-of-the-operator";
/// A content that is on the block list.
pub const BLOCKED_CONTENT: &[u8] = b"portcullis e2e: this content is on the block list\n";
/// A content that is on the allow list although it has the operator's mark in it.
pub const ALLOWED_CONTENT: &[u8] = b"portcullis e2e: allowed although it has portcullis-e2e-mark-of-the-operator in it\n";

/// Bucket that clean objects are promoted to; made by the suite.
pub const CLEAN_BUCKET: &str = "portcullis-e2e-clean";

pub struct Target {
    pub url: String,
    pub apikey: String,
    /// Whether the host is one of ours in this process: it sees the client's own connection.
    pub local: bool,
    /// Whether bodies need no announced length.
    pub any_length: bool,
    pub table: String,
    pub audit_table: String,
    pub uploads: String,
    pub reports: String,
    pub inbox: String,
    pub quarantine: String,
    pub definitions: String,
    pub scan_queue: String,
    pub notify_queue: String,
    pub webhook_secret: String,
    pub dead_letters: String,
    pub aws: (String, String, String),
}

impl Target {
    pub fn get() -> &'static Self {
        static TARGET: OnceLock<Target> = OnceLock::new();
        TARGET.get_or_init(|| {
            // A thread of its own: tests come with runtimes that end with them, the host must not.
            std::thread::spawn(start).join().expect("the target starts")
        })
    }

    /// A client with the administrator's key.
    pub fn client() -> Client {
        let target = Self::get();
        Client::new(&target.url, Some(&target.apikey))
    }

    /// One run of sweep, beside those of every minute.
    pub async fn sweep(&self) {
        let named = [
            ("TABLE", &self.table),
            ("AUDIT_TABLE", &self.audit_table),
            ("UPLOAD_BUCKET", &self.uploads),
            ("REPORT_BUCKET", &self.reports),
            ("SCAN_QUEUE_URL", &self.scan_queue),
            ("NOTIFY_QUEUE_URL", &self.notify_queue),
        ];
        let env: Env = named.into_iter().map(|(name, value)| (format!("PORTCULLIS_{name}"), value.clone())).collect();
        let swept = Sweep::new(&env, &self.clients()).unwrap().run().await.unwrap();
        assert_eq!(swept.errors, 0, "{swept:?}");
    }

    /// SDK clients of the embedded services (or those of the deployment).
    pub fn clients(&self) -> Clients {
        Clients::for_endpoint(&self.aws.0, "us-east-1", &self.aws.1, &self.aws.2)
    }

    pub fn queue(&self, url: &str) -> Queue {
        Queue::new(self.clients().sqs().clone(), url)
    }
}

fn rules(inbox: &str) -> Value {
    json!([
        { "name": "File process" },
        { "name": "Open", "anonymous": true },
        { "name": "Tiny", "max_file_size": 1000 },
        { "name": "Desk", "roles": ["help_desk"] },
        { "name": "Agent", "user_agents": ["e2e-agent"] },
        { "name": "Small archives", "extraction": { "max_entries": 3, "max_depth": 2, "max_total_bytes": 1_000_000, "max_ratio": 200 } },
        { "name": "Tolerant", "tolerate": [17, 12] },
        { "name": "No cache", "hash_cache_hours": 0 },
        { "name": "Changing" },
        { "name": "Rescan", "buckets": [format!("{inbox}/rescan/")], "s3": { "promote_to": format!("{CLEAN_BUCKET}/landed/") } },
        { "name": "Parts", "multipart": true },
        { "name": "Few parts", "multipart": true, "max_file_size": 1000 },
        { "name": "Inbox strict", "buckets": [format!("{inbox}/strict/")], "max_file_size": 100 },
        { "name": "No quarantine", "quarantine": false, "hash_cache_hours": 0 },
        { "name": "Inbox move", "buckets": [format!("{inbox}/move/")], "s3": { "quarantine": true } },
        { "name": "Inbox promote", "buckets": [format!("{inbox}/promote/")], "s3": { "promote_to": format!("{CLEAN_BUCKET}/landed/"), "remove_promoted": true } },
    ])
}

/// The suite's definitions: a rule, a rule that does not compile, and two lists.
fn definitions() -> [(&'static str, String); 4] {
    let rule = format!("rule e2e_operator_mark {{ meta: description = \"mark of the operator\" strings: $a = \"{YARA_MARK}\" condition: $a }}");
    [
        ("yara/e2e.yar", rule),
        ("yara/broken.yar", "rule broken { condition: no_such_thing }".to_owned()),
        ("hashes/block.txt", format!("# e2e\n{},Blocked by e2e\n", sha256(BLOCKED_CONTENT))),
        ("hashes/allow.txt", format!("{}\n", sha256(ALLOWED_CONTENT))),
    ]
}

pub fn sha256(content: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(content))
}

fn start() -> Target {
    let runtime = Box::leak(Box::new(tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()));
    match std::env::var("PORTCULLIS_E2E_URL") {
        Ok(url) => runtime.block_on(deployed(url)),
        Err(_) => runtime.block_on(local()),
    }
}

/// Where clean objects are promoted to; of an earlier run it may be there.
async fn make_clean_bucket(target: &Target) {
    let made = target.clients().s3().create_bucket().bucket(CLEAN_BUCKET).send().await;
    assert!(made.is_ok() || target.clients().s3().head_bucket().bucket(CLEAN_BUCKET).send().await.is_ok());
}

async fn deployed(url: String) -> Target {
    let named = |name: &str| std::env::var(format!("PORTCULLIS_E2E_{name}")).unwrap_or_else(|_| panic!("PORTCULLIS_E2E_{name} is not set"));
    let target = Target {
        url,
        apikey: named("APIKEY"),
        local: false,
        any_length: false,
        table: named("TABLE"),
        audit_table: named("AUDIT_TABLE"),
        uploads: named("UPLOAD_BUCKET"),
        reports: named("REPORT_BUCKET"),
        inbox: named("INBOX_BUCKET"),
        quarantine: named("QUARANTINE_BUCKET"),
        definitions: named("DEFINITIONS_BUCKET"),
        scan_queue: named("SCAN_QUEUE_URL"),
        notify_queue: named("NOTIFY_QUEUE_URL"),
        webhook_secret: named("WEBHOOK_SECRET"),
        dead_letters: named("SCAN_DEAD_LETTER_QUEUE_URL"),
        aws: (named("AWS_ENDPOINT"), "test".into(), "test".into()),
    };
    let clients = target.clients();
    Settings::new(clients.dynamodb().clone(), &target.table).put(rules::SETTING, &rules(&target.inbox)).await.unwrap();
    for (key, content) in definitions() {
        clients.s3().put_object().bucket(&target.definitions).key(key).body(content.into_bytes().into()).send().await.unwrap();
    }
    make_clean_bucket(&target).await;
    target
}

async fn local() -> Target {
    let data_dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("e2e");
    let _ = std::fs::remove_dir_all(&data_dir);
    // As an operator gives them: a folder and a file, in force before the first upload.
    let folder = data_dir.join("definitions");
    for (name, content) in definitions() {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let apikey = "e2e-administrator-key-0123456789abcdef".to_owned();
    let host = Host::start(HostOptions {
        api: any,
        aws: any,
        data_dir,
        admin: AdminOptions { name: None, password: Some(PASSWORD.into()), apikey: Some(apikey.clone()) },
        rules: Some(serde_json::from_value(rules("portcullis-inbox-bucket")).unwrap()),
        definitions: Some(folder),
        // Receivers and servers of the suite are on this machine.
        overrides: BTreeMap::from([("PORTCULLIS_OUTBOUND_ALLOW".to_owned(), "127.0.0.0/8".to_owned())]),
        executable: env!("CARGO_BIN_EXE_portcullis").into(),
        test_hooks: false,
    })
    .await
    .unwrap();
    let (topology, access) = (&host.topology, &host.access);
    let bucket = |id: &str| topology.bucket(id).unwrap().name.clone();
    let queue = |id: &str| format!("{}/000000000000/{}", access.endpoint, topology.queue(id).unwrap().name);
    // With PORTCULLIS_E2E_FRONT the whole suite goes through the streaming front, before the services of the host.
    let front = if std::env::var_os("PORTCULLIS_E2E_FRONT").is_some() { Some(front(&host).await) } else { None };
    let target = Target {
        url: format!("http://{}", front.as_ref().map_or(host.addr, |front| front.addr)),
        apikey,
        local: true,
        any_length: front.is_some(),
        table: topology.table("DataTable").unwrap().name.clone(),
        audit_table: topology.table("AuditTable").unwrap().name.clone(),
        uploads: bucket("UploadBucket"),
        reports: bucket("ReportBucket"),
        inbox: bucket("InboxBucket"),
        quarantine: bucket("QuarantineBucket"),
        definitions: bucket("DefinitionsBucket"),
        scan_queue: queue("ScanQueue"),
        notify_queue: queue("NotifyQueue"),
        webhook_secret: topology.secret("WebhookSecret").unwrap().name.clone(),
        dead_letters: queue("ScanDeadLetterQueue"),
        aws: (access.endpoint.clone(), access.access_key.clone(), access.secret_key.clone()),
    };
    make_clean_bucket(&target).await;
    Box::leak(Box::new((host, front)));
    target
}

/// The front with the environment that the template gives the API functions.
async fn front(host: &Host) -> Front {
    let api = ["auth", "upload", "results", "admin"];
    let functions = host.topology.functions.iter().filter(|function| api.contains(&function.binary.as_str()));
    let allowed = ("PORTCULLIS_OUTBOUND_ALLOW".to_owned(), "127.0.0.0/8".to_owned());
    let env: Env = functions.flat_map(|function| function.env.clone()).chain([allowed]).collect();
    let access = &host.access;
    let clients = Clients::for_endpoint(&access.endpoint, &access.region, &access.access_key, &access.secret_key);
    let options = FrontOptions {
        addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        load_balancer: Vec::new(),
        max_uploads: 64,
        logins_per_second: 1000,
        idle: Duration::from_secs(60),
        drain: Duration::from_secs(1),
    };
    Front::start(options, &env, &clients).await.unwrap()
}
