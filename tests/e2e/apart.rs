//! A host apart from the suite's: for tests that change what every other test relies on (engines, lists, settings, everything
//! at once by an import). One after the other: they change it for each other as well.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use portcullis_core::aws::Clients;
use portcullis_local::host::Host;
use reqwest::Method;
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

use crate::support::client::{Answer, Client, send, verdict};
use crate::support::own_host;

const KEY: &str = "apart-administrator-key-0123456789abcd";
/// How long a change may take until running functions follow.
pub const FOLLOW: Duration = Duration::from_secs(30);

pub struct Apart {
    pub client: Client,
    pub host: &'static Host,
    _turn: MutexGuard<'static, ()>,
}

impl Apart {
    /// The host, when it is this test's turn.
    pub async fn turn() -> Self {
        static TURN: Mutex<()> = Mutex::const_new(());
        static HOST: OnceLock<Host> = OnceLock::new();
        let turn = TURN.lock().await;
        let start = || {
            let runtime = Box::leak(Box::new(tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()));
            runtime.block_on(own_host::start(&own_host::folder("apart"), KEY, &[]))
        };
        // A thread of its own: the host must not end with this test's runtime.
        let host = HOST.get_or_init(|| std::thread::spawn(start).join().unwrap());
        Self { client: Client::new(format!("http://{}", host.addr), Some(KEY)), host, _turn: turn }
    }

    pub fn clients(&self) -> Clients {
        let access = &self.host.access;
        Clients::for_endpoint(&access.endpoint, "us-east-1", &access.access_key, &access.secret_key)
    }

    pub fn table(&self) -> &str {
        &self.host.topology.table("DataTable").unwrap().name
    }

    pub fn definitions(&self) -> &str {
        &self.host.topology.bucket("DefinitionsBucket").unwrap().name
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        send(self.client.request(Method::PUT, path).body(body.to_string())).await
    }

    pub async fn post(&self, path: &str) -> Answer {
        send(self.client.request(Method::POST, path)).await
    }

    /// Scans until the main code is this; the last result.
    pub async fn until_code(&self, wanted: u64, content: impl Fn() -> Vec<u8>) -> Value {
        self.until_result(content, |result| verdict(result).0 == wanted).await
    }

    /// Scans until the result is as wanted.
    pub async fn until_result(&self, content: impl Fn() -> Vec<u8>, is: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + FOLLOW;
        loop {
            let result = self.client.scan(content(), &[("filename", "a.txt")]).await;
            if is(&result) {
                return result;
            }
            assert!(Instant::now() < end, "{result}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Asks until the answer is as wanted.
    pub async fn until(&self, path: &str, is: impl Fn(&Answer) -> bool) -> Answer {
        let end = Instant::now() + FOLLOW;
        loop {
            let answer = self.client.get(path).await;
            if is(&answer) {
                return answer;
            }
            assert!(Instant::now() < end, "{path}: {answer:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
