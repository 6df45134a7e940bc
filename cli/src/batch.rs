//! `batch`: files that belong together (contract §1.3, §2.9).

use std::io::Write;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method};
use serde_json::Value;

use crate::api::{self, Core, segment};
use crate::args::{BatchAction, BatchArgs, BatchShow, Format};
use crate::error::Error;
use crate::interrupt::Running;
use crate::judge::{Judged, Verdict, judge_batch};
use crate::output::{exit, print, printable};
use crate::{ALLOWED, DOUBT, scan};

/// Between two attempts to close.
const PAUSE: Duration = Duration::from_secs(1);
/// Files asked for at a time.
const PAGE: u64 = 500;

pub(crate) async fn run(args: BatchArgs, running: &Running) -> Result<u8, Error> {
    let core = Core::of(&args.server)?;
    match args.action {
        BatchAction::Create { rule, user_agent, user_data } => {
            let mut pairs = vec![];
            pairs.extend(rule.map(|rule| ("rule".to_owned(), api::component(rule.as_bytes()))));
            pairs.extend(user_agent.map(|agent| ("user_agent".to_owned(), api::text(&agent))));
            pairs.extend(user_data.map(|data| ("user-data".to_owned(), api::component(data.as_bytes()))));
            let answer = core.post("/file/batch", &api::headers(pairs)?).await?;
            let id = answer["batch_id"].as_str().ok_or_else(|| Error::Said("The server's answer has no `batch_id`.".into()))?;
            print(&printable(id))?;
            Ok(ALLOWED)
        }
        BatchAction::Add(add) => scan::all(&core, add.targets, &add.submit, Some(&add.id), &add.show, running).await,
        BatchAction::Status(shown) => {
            let first = core.get(&page(&shown.id, 0)).await?;
            let batch = whole(&core, &shown.id, first).await?;
            show(&batch, &shown)
        }
        BatchAction::Close { shown, wait } => close(&core, &shown, Duration::from_secs(wait)).await,
        BatchAction::Certificate { id, out } => {
            let answer = core.call(Method::GET, &format!("/file/batch/{}/certificate", segment(&id)), &HeaderMap::new(), "").await?;
            // Its signature is over exact bytes.
            let written = match &out {
                Some(path) => std::fs::write(path, &answer.body),
                None => std::io::stdout().write_all(&answer.body).and_then(|()| std::io::stdout().flush()),
            };
            written.map_err(|error| Error::Said(format!("The certificate could not be written: {error}.")))?;
            Ok(ALLOWED)
        }
        BatchAction::Cancel { id } => {
            let answer = core.post(&format!("/file/batch/{}/cancel", segment(&id)), &api::headers([])?).await?;
            print(&format!("{}: {}", printable(&id), printable(answer[&id].as_str().unwrap_or("cancelled"))))?;
            Ok(ALLOWED)
        }
    }
}

fn page(id: &str, first: u64) -> String {
    format!("/file/batch/{}?first={first}&size={PAGE}", segment(id))
}

async fn close(core: &Core, shown: &BatchShow, patience: Duration) -> Result<u8, Error> {
    let end = Instant::now() + patience;
    let path = format!("/file/batch/{}/close", segment(&shown.id));
    loop {
        match core.post(&path, &api::headers([])?).await {
            Ok(batch) => {
                let batch = whole(core, &shown.id, batch).await?;
                return show(&batch, shown);
            }
            // The contract fixes no text; a wrong key or batch would not become right.
            Err(Error::Answered { status: 400, err, .. }) if err != "Access denied" && Instant::now() < end => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(error),
        }
    }
}

/// All pages in one object.
async fn whole(core: &Core, id: &str, mut batch: Value) -> Result<Value, Error> {
    let count = batch.pointer("/batch_files/batch_count").and_then(Value::as_u64).unwrap_or_default();
    let mut files = entries(&batch);
    while (files.len() as u64) < count {
        let more = entries(&core.get(&page(id, files.len() as u64)).await?);
        if more.is_empty() {
            break;
        }
        files.extend(more);
    }
    if let Some(object) = batch.get_mut("batch_files").and_then(Value::as_object_mut) {
        object.insert("page_size".into(), files.len().into());
        object.insert("first_index".into(), 0.into());
        object.insert("files_in_batch".into(), files.into());
    }
    Ok(batch)
}

fn entries(batch: &Value) -> Vec<Value> {
    batch.pointer("/batch_files/files_in_batch").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn show(batch: &Value, shown: &BatchShow) -> Result<u8, Error> {
    let judged = judge_batch(batch, &shown.id);
    let text = |value: &Value| printable(value.as_str().unwrap_or_default());
    match shown.output {
        Format::Json => print(&batch.to_string())?,
        Format::Table => {
            let row = |file: &Value| {
                let state =
                    if file["progress_percentage"].as_u64() == Some(100) { text(&file["process_info"]["result"]) } else { "Processing".into() };
                format!("{state:10} {}  {}", text(&file["display_name"]), text(&file["scan_all_result_a"]))
            };
            let mut lines: Vec<String> = entries(batch).iter().map(row).collect();
            let state = if batch["is_closed"].as_bool() == Some(true) { "closed" } else { "open" };
            let count = batch.pointer("/batch_files/batch_count").and_then(Value::as_u64).unwrap_or_default();
            let result = text(&batch["process_info"]["result"]);
            lines.push(format!("{}: {state}, {count} files, {result} ({})", printable(&shown.id), text(&batch["scan_results"]["scan_all_result_a"])));
            print(&lines.join("\n"))?;
        }
    }
    match judged {
        // Files may still come into an open one: that all so far were allowed is the honest answer.
        Judged::Ended(verdict @ (Verdict::Allowed | Verdict::Blocked)) => Ok(exit(verdict)),
        Judged::Doubt(why) => Err(Error::Said(why)),
        _ => Ok(DOUBT),
    }
}
