//! Work that does not fit an invocation continues through the queue, and comes to the same verdicts.

use serde_json::Value;

use crate::process::Process;
use crate::support::client::{Client, verdict};
use crate::support::files::{eicar, unique, zip};

/// A result without ids and times: children by their number.
async fn comparable(client: &Client, id: &str) -> Vec<Value> {
    let root = u32::from_str_radix(&id[24..], 16).unwrap();
    let mut result = client.result(id).await;
    let mut files = Vec::new();
    for child in result["extracted_files"]["files_in_archive"].as_array().unwrap() {
        let child = child["data_id"].as_str().unwrap();
        assert_eq!(child[..24], id[..24]);
        let number = u32::from_str_radix(&child[24..], 16).unwrap().wrapping_sub(root);
        let mut result = client.get(&format!("/file/{child}")).await.json;
        strip(&mut result);
        assert_eq!(result.as_object_mut().unwrap().remove("parent_data_id"), Some(id.into()));
        files.push((number, result));
    }
    files.sort_by_key(|(number, _)| *number);
    let numbers: Vec<u32> = files.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=u32::try_from(files.len()).unwrap()).collect::<Vec<_>>(), "no child is lost or doubled");
    result.as_object_mut().unwrap().remove("extracted_files");
    strip(&mut result);
    std::iter::once(result).chain(files.into_iter().map(|(_, result)| result)).collect()
}

/// Removes what differs between two scans of the same file.
fn strip(result: &mut Value) {
    for (place, names) in [
        ("", &["data_id"][..]),
        ("/file_info", &["upload_timestamp"]),
        ("/process_info", &["processing_time", "processing_time_details", "queue_time"]),
        ("/scan_results", &["data_id", "start_time", "total_time"]),
    ] {
        let object = result.pointer_mut(place).unwrap().as_object_mut().unwrap();
        for name in names {
            assert!(object.remove(*name).is_some(), "{place}/{name}");
        }
    }
    for (_, row) in result["scan_results"]["scan_details"].as_object_mut().unwrap() {
        let row = row.as_object_mut().unwrap();
        for name in ["scan_time", "wait_time", "def_time"] {
            assert!(row.remove(name).is_some(), "{name}");
        }
    }
}

#[tokio::test]
async fn an_archive_in_many_invocations_has_the_verdicts_of_one() {
    let contents: Vec<(String, Vec<u8>)> =
        (0..300).map(|n| (format!("{n}.txt"), [unique("child"), b"some words to look at ".repeat(20 + n)].concat())).collect();
    let mut files: Vec<(&str, &[u8])> = contents.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    let eicar = eicar();
    files.push(("last.com", &eicar));
    let archive = zip(&files);

    let (data, data_of_short) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let whole = Process::start(data.path(), &[]);
    let short = Process::start(data_of_short.path(), &[("PORTCULLIS_SCAN_SLICE_MS", "40"), ("PORTCULLIS_LOG", "info")]);
    let in_one = whole.client.submit(archive.clone(), &[("filename", "a.zip")]).await;
    let in_many = short.client.submit(archive, &[("filename", "a.zip")]).await;
    assert_eq!(verdict(&short.client.result(&in_many).await), (1, "Blocked", "Infected"));
    let (one, many) = (comparable(&whole.client, &in_one).await, comparable(&short.client, &in_many).await);
    assert_eq!(many.len(), files.len() + 1);
    assert_eq!(many, one);
    let continued = short.log().matches("continues through the queue").count();
    assert!(continued >= 3, "it was continued {continued} times only");
    assert_eq!(whole.log().matches("continues through the queue").count(), 0);
    // A file that fits goes the usual way.
    assert_eq!(verdict(&short.client.scan(unique("small"), &[]).await).0, 0);
}
