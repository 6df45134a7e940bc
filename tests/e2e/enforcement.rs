//! What a verdict does to an object in a watched bucket: moved to quarantine, promoted, tagged.

use std::time::{Duration, Instant};

use aws_sdk_s3::error::SdkError;
use portcullis_core::domain::event::ScanRequest;
use portcullis_core::domain::id::DataId;
use portcullis_core::domain::submission::ObjectRef;

use crate::quarantine::{held, infected};
use crate::support::files::{eicar, unique, zip};
use crate::target::{CLEAN_BUCKET, Target};

const PATIENCE: Duration = Duration::from_mins(1);

/// Puts an object into the watched bucket.
async fn put(key: &str, content: &[u8]) -> ObjectRef {
    let target = Target::get();
    let request = target.clients().s3().put_object().bucket(&target.inbox).key(key).body(content.to_vec().into());
    let output = request.send().await.unwrap();
    let etag = output.e_tag.unwrap().trim_matches('"').to_owned();
    ObjectRef { bucket: target.inbox.clone(), key: key.to_owned(), version: output.version_id, etag, size: content.len() as u64 }
}

async fn exists(object: &ObjectRef) -> bool {
    let clients = Target::get().clients();
    let head = clients.s3().head_object().bucket(&object.bucket).key(&object.key).set_version_id(object.version.clone()).send().await;
    match head {
        Ok(_) => true,
        Err(SdkError::ServiceError(error)) if error.raw().status().as_u16() == 404 => false,
        Err(error) => panic!("{error:?}"),
    }
}

async fn wait_until_gone(object: &ObjectRef) {
    let end = Instant::now() + PATIENCE;
    while exists(object).await {
        assert!(Instant::now() < end, "still there: {object:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Versions under a key, and under keys that begin with it.
async fn versions(bucket: &str, key: &str) -> usize {
    let clients = Target::get().clients();
    clients.s3().list_object_versions().bucket(bucket).prefix(key).send().await.unwrap().versions().len()
}

/// Delivers the request of a scan once more, as SQS may.
async fn deliver(id: DataId, object: &ObjectRef) {
    let target = Target::get();
    let body = serde_json::to_string(&ScanRequest { scan_request: id, object: object.clone() }).unwrap();
    target.queue(&target.scan_queue).send(body).await.unwrap();
}

async fn again(object: &ObjectRef) {
    deliver(id_of(object), object).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
}

fn id_of(object: &ObjectRef) -> DataId {
    DataId::of_object(&object.bucket, &object.key, object.version.as_deref().unwrap())
}

#[tokio::test]
async fn what_is_blocked_is_moved_and_once_only() {
    let (client, target) = (Target::client(), Target::get());
    let key = format!("move/team ü+{}.zip", uuid::Uuid::new_v4().simple());
    let content = zip(&[("eicar.com", &eicar()), ("note.txt", &unique("move"))]);
    let first = put(&key, &content).await;
    // A newer version under the same key is another file: it stays.
    let newer = put(&key, &unique("newer")).await;
    wait_until_gone(&first).await;
    let id = id_of(&first).to_string();
    let entry = held(&client, &id).await;
    assert_eq!((entry["moved"].as_bool(), entry["origin"].as_str()), (Some(true), Some(format!("{}/{key}", target.inbox).as_str())), "{entry}");
    assert!(exists(&newer).await, "the clean version of the same key");
    assert_eq!(versions(&target.inbox, &key).await, 1, "no marker, no copy");
    again(&first).await;
    assert_eq!((versions(&target.quarantine, &id).await, exists(&newer).await), (1, true), "delivered again");
    let body = target.clients().s3().get_object().bucket(&target.quarantine).key(&id).send().await.unwrap().body;
    assert_eq!(body.collect().await.unwrap().to_vec(), content);
}

#[tokio::test]
async fn what_is_clean_is_promoted_with_its_tags_and_then_removed() {
    let target = Target::get();
    let clients = target.clients();
    let key = format!("promote/{} ü.txt", uuid::Uuid::new_v4().simple());
    let content = unique("promote");
    let object = put(&key, &content).await;
    wait_until_gone(&object).await;
    let landed = format!("landed/{key}");
    let copy = clients.s3().get_object().bucket(CLEAN_BUCKET).key(&landed).send().await.unwrap();
    assert_eq!(copy.body.collect().await.unwrap().to_vec(), content);
    let tags = clients.s3().get_object_tagging().bucket(CLEAN_BUCKET).key(&landed).send().await.unwrap().tag_set;
    let tag = |name: &str| tags.iter().find(|tag| tag.key == name).map(|tag| tag.value.clone()).unwrap_or_default();
    assert_eq!((tag("portcullis:verdict"), tag("portcullis:data_id")), ("clean".to_owned(), id_of(&object).to_string()));
    assert!(!tag("portcullis:version").is_empty() && tag("portcullis:time").contains('T'), "{tags:?}");
    // What is blocked is never promoted, and stays where it is without `s3.quarantine`.
    let bad = put(&format!("promote/{}.com", uuid::Uuid::new_v4().simple()), &eicar()).await;
    let result = Target::client();
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = result.get(&format!("/file/{}", id_of(&bad))).await;
        if answer.json["process_info"]["result"] == "Blocked" {
            break;
        }
        assert!(Instant::now() < end, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    again(&bad).await;
    assert!(exists(&bad).await);
    assert_eq!(versions(CLEAN_BUCKET, &format!("landed/{}", bad.key)).await, 0);
}

/// An entry alone is not a copy: who trusted it could remove the last one.
#[tokio::test]
async fn what_is_listed_but_lost_is_held_again() {
    let (client, target) = (Target::client(), Target::get());
    let (content, id) = infected(&client, "lost.zip").await;
    let origin = held(&client, &id).await["origin"].as_str().unwrap().to_owned();
    let (bucket, key) = origin.split_once('/').unwrap();
    let clients = target.clients();
    let newest = async |bucket: &str, key: &str| clients.s3().head_object().bucket(bucket).key(key).send().await;
    let copy = newest(&target.quarantine, &id).await.unwrap().version_id.unwrap();
    let removal = clients.s3().delete_object().bucket(&target.quarantine).key(&id).version_id(copy);
    removal.bypass_governance_retention(true).send().await.unwrap();
    assert_eq!(versions(&target.quarantine, &id).await, 0);

    let original = newest(bucket, key).await.unwrap();
    let etag = original.e_tag.unwrap().trim_matches('"').to_owned();
    let object = ObjectRef { bucket: bucket.to_owned(), key: key.to_owned(), version: original.version_id, etag, size: content.len() as u64 };
    deliver(DataId::parse(&id).unwrap(), &object).await;
    let end = Instant::now() + PATIENCE;
    while versions(&target.quarantine, &id).await == 0 {
        assert!(Instant::now() < end, "not held again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let body = clients.s3().get_object().bucket(&target.quarantine).key(&id).send().await.unwrap().body;
    assert_eq!(body.collect().await.unwrap().to_vec(), content);
}
