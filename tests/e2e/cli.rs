//! The client's commands: the real binary, against the host and against a server of the contract's oldest shape.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use crate::fake::{self, Fake};
use crate::support::files::{eicar, encrypted_zip, unique};
use crate::target::{PASSWORD, Target, sha256};

/// Somebody's home, and the server that they talk to.
struct Cli {
    home: tempfile::TempDir,
    url: String,
    key: Option<String>,
}

struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {} {}", self.out, self.err))
    }

    /// The output of `scan`, `result` and `hash`, held against its schema.
    fn report(&self) -> Value {
        let schema: Value = serde_json::from_str(include_str!("../../cli/report.schema.json")).unwrap();
        let report = self.json();
        let errors: Vec<String> = jsonschema::validator_for(&schema).unwrap().iter_errors(&report).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {report}");
        report
    }
}

impl Cli {
    fn new() -> Self {
        let target = Target::get();
        Self::of(&target.url, Some(&target.apikey))
    }

    fn of(url: &str, key: Option<&str>) -> Self {
        Self { home: tempfile::tempdir().unwrap(), url: url.into(), key: key.map(Into::into) }
    }

    fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PORTCULLIS_")) {
            command.env_remove(name);
        }
        command.env("HOME", self.home.path()).env_remove("XDG_CONFIG_HOME").env("PORTCULLIS_URL", &self.url);
        if let Some(key) = &self.key {
            command.env("PORTCULLIS_APIKEY", key);
        }
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Said {
        self.with_input(args, b"").await
    }

    async fn with_input<S: AsRef<OsStr>>(&self, args: &[S], input: &[u8]) -> Said {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that does not read it closes it.
        let _ = stdin.write_all(input).await;
        drop(stdin);
        let output = tokio::time::timeout(Duration::from_secs(120), child.wait_with_output()).await.unwrap().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn interrupt(child: &Child) {
    let done = std::process::Command::new("kill").args(["-INT", &child.id().unwrap().to_string()]).status().unwrap();
    assert!(done.success());
}

#[tokio::test]
async fn the_exit_code_is_the_verdict_and_the_output_has_its_schema() {
    let cli = Cli::new();
    let clean = cli.file("in/b clean ü.txt", &unique("clean"));
    let said = cli.run(&["scan", &clean]).await;
    assert_eq!((said.code, said.out.starts_with("allowed ")), (0, true), "{} {}", said.out, said.err);
    assert_eq!(said.err, "", "no bar without a terminal");

    let infected = cli.file("in/a/eicar.com", &eicar());
    let said = cli.run(&["scan", "-o", "json", "--full", &infected]).await;
    let report = said.report();
    assert_eq!((said.code, report["verdict"].as_str()), (1, Some("blocked")), "{report}");
    assert_eq!(report["files"][0]["code"], 1);
    assert!(!report["files"][0]["threats"].as_array().unwrap().is_empty(), "{report}");
    assert_eq!(report["files"][0]["result"]["data_id"], report["files"][0]["data_id"]);

    // A folder: in order, the link left out and told; what can not be read outweighs what is blocked.
    std::os::unix::fs::symlink(&clean, cli.home.path().join("in/link")).unwrap();
    let folder = cli.home.path().join("in").to_str().unwrap().to_owned();
    let said = cli.run(&["scan", "-o", "json", &folder]).await;
    let report = said.report();
    let verdicts: Vec<&str> = report["files"].as_array().unwrap().iter().map(|file| file["verdict"].as_str().unwrap()).collect();
    assert_eq!((said.code, verdicts), (1, vec!["blocked", "allowed"]), "{report}");
    assert_eq!(report["skipped"][0]["reason"], "a symbolic link");
    let said = cli.run(&["scan", "-o", "json", &folder, &format!("{folder}/missing")]).await;
    assert_eq!((said.code, said.report()["verdict"].as_str()), (2, Some("failed")));

    // An empty file has no verdict, unless it is left out on purpose; then nothing is left.
    let empty = cli.file("empty", b"");
    let said = cli.run(&["scan", "-o", "json", &empty]).await;
    let report = said.report();
    assert_eq!(said.code, 2, "{report}");
    assert!(report["files"][0]["error"].as_str().unwrap().contains("File is empty."), "{report}");
    let said = cli.run(&["scan", "--skip-empty", &empty]).await;
    assert_eq!((said.code, said.err.contains("no file to scan")), (2, true), "{}", said.err);
}

#[tokio::test]
async fn standard_input_passwords_and_large_files_go_the_same_way() {
    let cli = Cli::new();
    let said = cli.with_input(&["scan", "-", "--name", "from stdin.txt", "-o", "json", "--full"], &eicar()).await;
    let report = said.report();
    assert_eq!((said.code, report["files"][0]["path"].as_str()), (1, Some("-")), "{report}");
    assert_eq!(report["files"][0]["result"]["file_info"]["display_name"], "from stdin.txt");
    assert_eq!(cli.with_input(&["scan", "-"], &unique("stdin")).await.code, 0);

    let locked = cli.file("locked.zip", &encrypted_zip("a.txt", &unique("locked"), "pass wörd"));
    assert_eq!(cli.run(&["scan", &locked]).await.code, 1);
    assert_eq!(cli.run(&["scan", "--password", "wrong", "--password", "pass wörd", &locked]).await.code, 0);

    let large = cli.file("large.txt", &[unique("large"), b"portcullis ".repeat(500_000)].concat());
    for way in ["auto", "post", "presign"] {
        if way == "post" && !Target::get().local {
            continue;
        }
        let said = cli.run(&["scan", "-o", "json", "--upload", way, "--metadata", r#"{"a":"100%"}"#, "--full", &large]).await;
        let report = said.report();
        assert_eq!(said.code, 0, "{way}: {report}");
        assert_eq!(report["files"][0]["result"]["metadata"]["a"], "100%");
    }
}

#[tokio::test]
async fn what_can_not_be_done_is_said_in_one_sentence_and_never_exits_0() {
    let cli = Cli::new();
    let clean = cli.file("clean.txt", &unique("clean"));
    let failed = |said: &Said, why: &str| {
        assert_eq!(said.code, 2, "{} {}", said.out, said.err);
        assert!(said.err.contains(why) || said.out.contains(why), "{why} in {} {}", said.out, said.err);
    };
    failed(&cli.run(&["scan", "--rule", "No such rule", &clean]).await, "The server has no rule `No such rule`.");
    let wrong = Cli::of(&cli.url, Some("no-such-key"));
    failed(&wrong.run(&["scan", &clean]).await, "does not know this key");
    failed(&wrong.run(&["batch", "create"]).await, "does not know this key");
    let nobody = Cli::of(&cli.url, None);
    failed(&nobody.run(&["scan", &clean]).await, "The server wants a key");
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    failed(
        &Cli::of(&format!("http://{deaf}"), None).run(&["scan", "--retries", "1", &clean]).await,
        "could not be reached: the connection was refused",
    );
    failed(&Cli::of(&format!("{}/elsewhere", cli.url), None).run(&["rules"]).await, "404");
    failed(&cli.run(&["scan"]).await, "Usage");
    failed(&cli.run(&["scan", "--metadata", "{", &clean]).await, "is no JSON");
    failed(&cli.run(&["result", "0123456789abcdef0123456789abcdef"]).await, "knows no scan");
    failed(&cli.run(&["hash", &"ab".repeat(32)]).await, "knows no content with this hash");
    failed(&cli.run(&["hash", "abc"]).await, "is no MD5");
}

#[tokio::test]
async fn results_and_hashes_are_looked_up() {
    let cli = Cli::new();
    let (good, bad) = (unique("known"), eicar());
    let good_file = cli.file("good.txt", &good);
    let report = cli.run(&["scan", "-o", "json", &good_file]).await.report();
    let id = report["files"][0]["data_id"].as_str().unwrap();
    let said = cli.run(&["result", id, "-o", "json"]).await;
    assert_eq!((said.code, said.report()["files"][0]["path"].as_str()), (0, Some("good.txt")));
    cli.run(&["scan", &cli.file("eicar.com", &bad)]).await;
    assert_eq!(cli.run(&["hash", &sha256(&good)]).await.code, 0);
    assert_eq!(cli.run(&["hash", &sha256(&good).to_uppercase(), &sha256(&bad)]).await.code, 1);
    let said = cli.run(&["hash", "-o", "json", &sha256(&good), &sha256(&bad), &sha256(b"never sent")]).await;
    assert_eq!((said.code, said.report()["totals"]["files"].as_u64()), (2, Some(3)));
}

#[tokio::test]
async fn a_login_is_kept_for_its_owner_and_its_server_only() {
    if !Target::get().local {
        return;
    }
    let cli = Cli::of(&Target::get().url, None);
    let file = cli.home.path().join(".config/portcullis/session.json");
    let said = cli.with_input(&["login", "--user", "admin", "--password-stdin"], b"wrong\n").await;
    assert_eq!((said.code, said.err.contains("does not accept this name and password"), file.exists()), (2, true, false), "{}", said.err);
    let said = cli.with_input(&["login", "--user", "admin", "--password-stdin"], format!("{PASSWORD}\n").as_bytes()).await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let clean = cli.file("clean.txt", &unique("login"));
    assert_eq!(cli.run(&["scan", &clean]).await.code, 0);
    let rules = cli.run(&["rules", "-o", "json"]).await.json();
    assert!(rules.as_array().unwrap().iter().any(|rule| rule["name"] == "File process"), "{rules}");

    // Another server does not get the key.
    let (address, fake) = fake::start(Fake::default(), 0).await;
    let said = cli.run(&["scan", "--url", &format!("http://{address}/metascan_rest"), &clean]).await;
    assert_eq!(said.code, 0, "{} {}", said.out, said.err);
    assert!(fake.lock().unwrap().uploads.iter().all(|(headers, _)| !headers.contains_key("apikey")));

    let session: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(cli.run(&["logout"]).await.code, 0);
    assert!(!file.exists());
    let ended = Cli::of(&cli.url, session["apikey"].as_str());
    assert_eq!(ended.run(&["rules"]).await.code, 2, "the session lives on");
    let said = Cli::new().run(&["login"]).await;
    assert_eq!(said.code, 0, "{}", said.err);
}

#[tokio::test]
async fn a_batch_lives_from_create_to_certificate() {
    let cli = Cli::new();
    let (clean, infected) = (cli.file("clean.txt", &unique("batch")), cli.file("eicar.com", &eicar()));
    let said = cli.run(&["batch", "create", "--user-data", "ticket 12"]).await;
    let id = said.out.trim().to_owned();
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(cli.run(&["batch", "add", &id, &clean]).await.code, 0);
    assert_eq!(cli.run(&["batch", "status", &id]).await.code, 0);
    assert_eq!(cli.run(&["batch", "add", &id, &infected]).await.code, 1);
    let said = cli.run(&["batch", "close", "--wait", "30", &id, "-o", "json"]).await;
    assert_eq!((said.code, said.json()["user_data"].as_str()), (1, Some("ticket 12")), "{} {}", said.out, said.err);
    let out = cli.home.path().join("report.yaml");
    assert_eq!(cli.run(&["batch", "certificate", &id, "--out", out.to_str().unwrap()]).await.code, 0);
    assert!(std::fs::read_to_string(out).unwrap().contains("signature:"));
    assert_eq!(cli.run(&["batch", "add", &id, &clean]).await.code, 2, "it is closed");
    assert_eq!(cli.run(&["batch", "status", "0123456789abcdef0123456789abcdef"]).await.code, 2);
}

#[tokio::test]
async fn a_server_of_the_oldest_shape_is_enough() {
    let (address, fake) = fake::start(Fake { busy: 1, ..Fake::default() }, 0).await;
    let cli = Cli::of(&format!("http://{address}/metascan_rest/"), Some("k"));
    let large = cli.file("groß & gut.txt", &b"clean ".repeat(1_000_000));
    let start = Instant::now();
    let said = cli.run(&["scan", "--rule", "File scan", "--user-agent", "mdicapserver", &large]).await;
    assert_eq!(said.code, 0, "{} {}", said.out, said.err);
    assert!(start.elapsed() >= Duration::from_secs(1), "Retry-After was not waited for");
    {
        let fake = fake.lock().unwrap();
        let (headers, body) = &fake.uploads[0];
        assert_eq!((fake.uploads.len(), body.len()), (1, 6_000_000));
        assert_eq!(headers["filename"], "gro%C3%9F%20%26%20gut.txt");
        assert_eq!(
            (&headers["rule"], &headers["user_agent"], &headers["apikey"]),
            (&"File%20scan".parse().unwrap(), &"mdicapserver".parse().unwrap(), &"k".parse().unwrap())
        );
    }
    let said = cli.run(&["scan", "-o", "json", &cli.file("eicar.com", &eicar())]).await;
    let report = said.report();
    assert_eq!(
        (said.code, &report["files"][0]["reasons"][0], &report["files"][0]["threats"][0]),
        (1, &"Infected".into(), &"ClamAV: Eicar-Test".into())
    );
}

#[tokio::test]
async fn a_store_that_only_the_server_can_reach_is_done_without() {
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (address, fake) = fake::start(Fake { store: Some(format!("http://{deaf}/bucket")), ..Fake::default() }, 0).await;
    let cli = Cli::of(&format!("http://{address}/metascan_rest"), None);
    let large = cli.file("large", &b"clean ".repeat(1_000_000));
    let said = cli.run(&["scan", "--upload", "presign", "--retries", "0", &large]).await;
    assert_eq!((said.code, fake.lock().unwrap().uploads.len()), (2, 0), "{}", said.out);
    let said = cli.run(&["scan", &large, &cli.file("small", b"clean")]).await;
    assert_eq!(said.code, 0, "{} {}", said.out, said.err);
    let fake = fake.lock().unwrap();
    assert_eq!((fake.uploads.len(), fake.cancelled.clone()), (2, vec!["form".to_owned(), "form".to_owned()]));
}

#[tokio::test]
async fn an_answer_about_another_content_or_without_an_end_is_no_verdict() {
    let (address, _fake) = fake::start(Fake { claims: Some(sha256(b"another")), ..Fake::default() }, 0).await;
    let cli = Cli::of(&format!("http://{address}/metascan_rest"), None);
    let said = cli.run(&["scan", "-o", "json", &cli.file("a.txt", b"this")]).await;
    assert_eq!(said.code, 2);
    assert!(said.report()["files"][0]["error"].as_str().unwrap().contains("not about this content"));

    let (address, fake) = fake::start(Fake { stuck: true, ..Fake::default() }, 0).await;
    let cli = Cli::of(&format!("http://{address}/metascan_rest"), None);
    let said = cli.run(&["scan", "--timeout", "1", &cli.file("a.txt", b"this")]).await;
    assert_eq!((said.code, fake.lock().unwrap().cancelled.len()), (2, 1), "{}", said.out);
}

#[tokio::test]
async fn an_interrupt_cancels_what_runs_on_the_server() {
    let (address, fake) = fake::start(Fake { stuck: true, ..Fake::default() }, 0).await;
    let cli = Cli::of(&format!("http://{address}/metascan_rest"), None);
    let files = [cli.file("a.txt", b"a"), cli.file("b.txt", b"b")];
    let mut child = cli.command(&["scan", &files[0], &files[1]]).spawn().unwrap();
    let seen = fake.clone();
    until("both are polled", move || seen.lock().unwrap().polls.len() == 2).await;
    interrupt(&child);
    let status = tokio::time::timeout(Duration::from_secs(20), child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(130));
    let mut cancelled = fake.lock().unwrap().cancelled.clone();
    cancelled.sort();
    assert_eq!(cancelled, [format!("{:032x}", 1), format!("{:032x}", 2)]);
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).map(|list| list.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()).unwrap_or_default();
    names.sort();
    names
}

#[tokio::test]
async fn watch_sorts_what_appears_and_outlives_a_server_that_is_away() {
    // The server's address is known, the server is not there yet.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let cli = Cli::of(&format!("http://127.0.0.1:{port}/metascan_rest"), None);
    let folder = |name: &str| -> PathBuf { cli.home.path().join(name) };
    cli.file("in/first.txt", b"first");
    let (dir, clean, blocked) = (folder("in"), folder("clean"), folder("blocked"));
    let args = ["watch", "--settle", "0.2", "--interval", "0.1", "--retries", "0", "-o", "json"];
    let mut command = cli.command(&args);
    command.arg(&dir).arg("--clean-dir").arg(&clean).arg("--blocked-dir").arg(&blocked);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!((first["verdict"].as_str(), names(&clean).len(), names(&dir)), (Some("failed"), 0, vec!["first.txt".to_owned()]));

    let (_, _fake) = fake::start(Fake::default(), port).await;
    until("the first file is clean", || names(&clean) == ["first.txt"]).await;
    // Hidden names and folders are left alone; a name that is taken is not written over.
    for (name, content) in [("eicar.com", eicar()), (".hidden", b"x".to_vec()), ("sub/deep.txt", b"y".to_vec()), ("first.txt", b"second".to_vec())] {
        cli.file(&format!("in/{name}"), &content);
    }
    until("all are sorted", || names(&blocked) == ["eicar.com"] && names(&clean) == ["first.txt", "first.txt.1"]).await;
    until("the originals are gone", || names(&dir) == [".hidden", "sub"]).await;
    assert_eq!(std::fs::read(clean.join("first.txt.1")).unwrap(), b"second");
    interrupt(&child);
    assert_eq!(tokio::time::timeout(Duration::from_secs(20), child.wait()).await.unwrap().unwrap().code(), Some(130));

    let said = cli.run(&["watch", dir.to_str().unwrap(), "--clean-dir", dir.to_str().unwrap()]).await;
    assert_eq!((said.code, said.err.contains("two purposes")), (2, true), "{}", said.err);
}

#[tokio::test]
async fn yara_rules_are_tried_and_completions_and_pages_are_made() {
    let cli = Cli::of("http://127.0.0.1:9", None);
    let rules = cli.file("a.yar", br#"rule marked { meta: severity = "suspicious" strings: $a = "no-sample-has-this" condition: $a }"#);
    let broken = cli.file("b.yar", b"rule broken { condition: no_such_thing }");
    let (hit, miss) = (cli.file("hit", b"x no-sample-has-this"), cli.file("miss", b"x"));
    let said = cli.run(&["yara", "test", &rules, &hit, &miss, "-o", "json"]).await;
    let json = said.json();
    assert_eq!((said.code, json["files"][0]["matches"][0]["patterns"][0]["matches"][0]["offset"].as_u64()), (1, Some(2)), "{json}");
    assert_eq!(json["files"][1]["matches"].as_array().map(Vec::len), Some(0));
    assert_eq!(cli.run(&["yara", "test", &rules, &miss]).await.code, 0);
    assert_eq!(cli.run(&["yara", "test", &rules, &format!("{miss}-none")]).await.code, 2);
    let said = cli.run(&["yara", "test", &broken, &miss]).await;
    assert_eq!((said.code, said.out.contains("no_such_thing")), (2, true), "{}", said.out);

    for (shell, mark) in [("bash", "complete -F _portcullis"), ("zsh", "#compdef portcullis"), ("fish", "complete -c portcullis")] {
        let said = cli.run(&["completions", shell]).await;
        assert!(said.code == 0 && said.out.contains(mark), "{shell}: {}", said.err);
    }
    let pages = cli.home.path().join("man");
    assert_eq!(cli.run(&["man", "--out", pages.to_str().unwrap()]).await.code, 0);
    let made = names(&pages);
    for page in ["portcullis.1", "portcullis-scan.1", "portcullis-batch-create.1", "portcullis-yara-test.1"] {
        assert!(made.iter().any(|name| name == page), "{page} in {made:?}");
    }
    assert!(cli.run(&["man"]).await.out.contains(".TH portcullis 1"));
}
