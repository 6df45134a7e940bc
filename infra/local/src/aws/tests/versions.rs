//! Versions, delete markers, tags and copies through the SDK.

use aws_sdk_s3::types::{BucketVersioningStatus, Tag, Tagging, VersioningConfiguration};

use super::{Stack, status};
use crate::aws::s3::BucketSpec;

async fn versioned(stack: &Stack, name: &str) {
    stack.bucket(name).await;
    let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    stack.s3.put_bucket_versioning().bucket(name).versioning_configuration(enabled).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_is_a_version_and_a_delete_is_a_marker() {
    let stack = Stack::start().await;
    versioned(&stack, "data").await;
    stack.put("data", "k", b"one").await;
    stack.put("data", "k", b"two").await;
    let listed = stack.s3.list_object_versions().bucket("data").send().await.unwrap();
    let [newest, oldest] = listed.versions() else { panic!("{listed:?}") };
    assert_eq!((newest.is_latest(), oldest.is_latest()), (Some(true), Some(false)));
    let old = oldest.version_id().unwrap();
    let read = |id: &str| stack.s3.get_object().bucket("data").key("k").version_id(id).send();
    assert_eq!(read(old).await.unwrap().body.collect().await.unwrap().to_vec(), b"one");

    let marker = stack.s3.delete_object().bucket("data").key("k").send().await.unwrap();
    assert_eq!(marker.delete_marker(), Some(true));
    let gone = stack.s3.get_object().bucket("data").key("k").send().await.unwrap_err();
    assert_eq!(status(&gone), 404);
    assert_eq!(status(&read(marker.version_id().unwrap()).await.unwrap_err()), 405);
    assert!(stack.keys("data").await.is_empty());
    let page = stack.s3.list_object_versions().bucket("data").max_keys(1).send().await.unwrap();
    assert_eq!((page.delete_markers().len(), page.versions().len()), (1, 0));
    let rest = stack
        .s3
        .list_object_versions()
        .bucket("data")
        .set_key_marker(page.next_key_marker)
        .set_version_id_marker(page.next_version_id_marker)
        .send()
        .await
        .unwrap();
    assert_eq!((rest.delete_markers().len(), rest.versions().len()), (0, 2));

    // Without the marker the newest version is back; without that the one before.
    let delete = |id: &str| stack.s3.delete_object().bucket("data").key("k").version_id(id).send();
    delete(marker.version_id().unwrap()).await.unwrap();
    assert_eq!(stack.get("data", "k").await, b"two");
    delete(newest.version_id().unwrap()).await.unwrap();
    assert_eq!(stack.get("data", "k").await, b"one");
    let missing = read("00000000000000000000000000000000").await.unwrap_err().into_service_error();
    assert_eq!(missing.meta().code(), Some("NoSuchVersion"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_belong_to_a_version() {
    let stack = Stack::start().await;
    stack.emulator.buckets().ensure(BucketSpec { name: "data".into(), versioned: true, ..BucketSpec::default() }).await.unwrap();
    stack.put("data", "k", b"one").await;
    let first = stack.s3.head_object().bucket("data").key("k").send().await.unwrap().version_id.unwrap();
    stack.put("data", "k", b"two").await;
    let tagging = Tagging::builder().tag_set(Tag::builder().key("verdict").value("clean").build().unwrap()).build();
    stack.s3.put_object_tagging().bucket("data").key("k").version_id(&first).tagging(tagging.unwrap()).send().await.unwrap();
    let get = || stack.s3.get_object_tagging().bucket("data").key("k");
    assert_eq!(get().version_id(&first).send().await.unwrap().tag_set()[0].value(), "clean");
    assert!(get().send().await.unwrap().tag_set().is_empty());
    stack.s3.delete_object_tagging().bucket("data").key("k").version_id(&first).send().await.unwrap();
    assert!(get().version_id(&first).send().await.unwrap().tag_set().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_has_the_bytes_and_the_description() {
    let stack = Stack::start().await;
    stack.bucket("from").await;
    stack.bucket("to-here").await;
    let put = stack.s3.put_object().bucket("from").key("a b").metadata("m", "1").tagging("t=1");
    put.body(b"bytes".to_vec().into()).send().await.unwrap();
    let copied = stack.s3.copy_object().bucket("to-here").key("c").copy_source("from/a%20b").send().await.unwrap();
    assert!(copied.copy_object_result().unwrap().e_tag().is_some());
    stack.s3.delete_object().bucket("from").key("a b").send().await.unwrap();
    let got = stack.s3.get_object().bucket("to-here").key("c").send().await.unwrap();
    assert_eq!((got.metadata().unwrap()["m"].as_str(), got.tag_count()), ("1", Some(1)));
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"bytes");
    let none = stack.s3.copy_object().bucket("to-here").key("d").copy_source("from/none").send().await.unwrap_err();
    assert_eq!(status(&none), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_shown_to_have_the_bytes_by_its_own_checksum() {
    use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode};
    let stack = Stack::start().await;
    stack.bucket("from").await;
    stack.bucket("to-here").await;
    stack.put("from", "k", b"bytes").await;
    let copy = stack.s3.copy_object().bucket("to-here").key("c").copy_source("from/k").checksum_algorithm(ChecksumAlgorithm::Sha256);
    let copied = copy.send().await.unwrap().copy_object_result.unwrap();
    let head = stack.s3.head_object().bucket("to-here").key("c").checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
    // printf bytes | openssl sha256 -binary | base64
    assert_eq!(head.checksum_sha256(), Some("J3CJ2RwL308uaGK6fkoHYFEZQx9dE/cm3TUrBvGyBqk="));
    assert_eq!(copied.checksum_sha256(), head.checksum_sha256());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_version_is_deleted_only_by_who_may_bypass_the_lock() {
    use aws_sdk_s3::primitives::DateTime;
    use aws_sdk_s3::types::{ObjectLockRetention, ObjectLockRetentionMode};
    let stack = Stack::start().await;
    let spec = BucketSpec { name: "held".into(), versioned: true, lock_days: Some(2), ..BucketSpec::default() };
    stack.emulator.buckets().ensure(spec).await.unwrap();
    stack.put("held", "k", b"one").await;
    let head = stack.s3.head_object().bucket("held").key("k").send().await.unwrap();
    let version = head.version_id().unwrap();
    let left = head.object_lock_retain_until_date().unwrap().secs() - DateTime::from(std::time::SystemTime::now()).secs();
    assert!((2 * 86_400 - 60..=2 * 86_400).contains(&left), "{left}");
    let delete = || stack.s3.delete_object().bucket("held").key("k").version_id(version);
    assert_eq!(status(&delete().send().await.unwrap_err()), 403);
    // A marker hides it and removes nothing.
    stack.s3.delete_object().bucket("held").key("k").send().await.unwrap();
    assert!(stack.s3.get_object().bucket("held").key("k").version_id(version).send().await.is_ok());
    // Shorter only with the bypass, and never into the past.
    let retain = |seconds: i64| {
        let until = DateTime::from_secs(DateTime::from(std::time::SystemTime::now()).secs() + seconds);
        let retention = ObjectLockRetention::builder().mode(ObjectLockRetentionMode::Governance).retain_until_date(until).build();
        stack.s3.put_object_retention().bucket("held").key("k").version_id(version).retention(retention)
    };
    assert_eq!(status(&retain(3600).send().await.unwrap_err()), 403);
    assert_eq!(status(&retain(-5).bypass_governance_retention(true).send().await.unwrap_err()), 400);
    retain(3600).bypass_governance_retention(true).send().await.unwrap();
    assert_eq!(status(&delete().send().await.unwrap_err()), 403);
    delete().bypass_governance_retention(true).send().await.unwrap();
    assert_eq!(status(&stack.s3.get_object().bucket("held").key("k").version_id(version).send().await.unwrap_err()), 404);
}
