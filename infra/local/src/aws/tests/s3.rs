//! Objects through the SDK: plain writes and reads, conditions, listings, multipart, presigned URLs.

use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier};
use tokio::io::AsyncWriteExt as _;

use super::{Stack, status};

#[tokio::test(flavor = "multi_thread")]
async fn an_object_comes_back_as_it_was_put() {
    let stack = Stack::start().await;
    stack.bucket("data").await;
    let put = stack
        .s3
        .put_object()
        .bucket("data")
        .key("../a b/ü+%2e\u{1F600}")
        .content_type("text/plain")
        .metadata("owner", "me")
        .tagging("a=1&b=x%20y")
        .checksum_algorithm(ChecksumAlgorithm::Sha256)
        .body(ByteStream::from_static(b"hello"))
        .send()
        .await
        .unwrap();
    assert_eq!(put.e_tag(), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    assert_eq!(put.version_id(), None);
    let stack = stack.restart().await;
    let got = stack.s3.get_object().bucket("data").key("../a b/ü+%2e\u{1F600}").send().await.unwrap();
    assert_eq!(got.content_type(), Some("text/plain"));
    assert_eq!(got.metadata().unwrap()["owner"], "me");
    assert_eq!(got.tag_count(), Some(2));
    assert!(got.checksum_sha256().is_some());
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"hello");
    assert_eq!(stack.body_files(), (1, 0));
    let missing = stack.s3.get_object().bucket("data").key("no").send().await.unwrap_err();
    assert!(missing.into_service_error().is_no_such_key());
    let bucket = stack.s3.head_bucket().bucket("nope-nope").send().await.unwrap_err();
    assert_eq!(status(&bucket), 404);
    assert_eq!(status(&stack.s3.delete_bucket().bucket("data").send().await.unwrap_err()), 409);
    let nul = stack.s3.put_object().bucket("data").key("a\0b").body(ByteStream::from_static(b"x")).send().await;
    assert_eq!(status(&nul.unwrap_err()), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_digests_and_wrong_keys_are_refused_and_leave_nothing() {
    let stack = Stack::start().await;
    stack.bucket("data").await;
    let put = || stack.s3.put_object().bucket("data").key("k").body(ByteStream::from_static(b"hello"));
    let md5 = put().content_md5("1B2M2Y8AsgTpgAmY7PhCfg==").send().await.unwrap_err();
    assert_eq!(md5.into_service_error().meta().code(), Some("BadDigest"));
    let sha = put().checksum_sha256("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=").send().await.unwrap_err();
    assert_eq!(sha.into_service_error().meta().code(), Some("BadDigest"));
    let stranger = stack.s3.config().to_builder().credentials_provider(aws_credential_types::Credentials::new("nobody", "x", None, None, "t"));
    let stranger = aws_sdk_s3::Client::from_conf(stranger.build());
    let refused = stranger.list_objects_v2().bucket("data").send().await.unwrap_err();
    assert_eq!(refused.into_service_error().meta().code(), Some("InvalidAccessKeyId"));
    assert!(stack.keys("data").await.is_empty());
    assert_eq!(stack.body_files(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_are_kept() {
    let stack = Stack::start().await;
    stack.bucket("data").await;
    stack.put("data", "k", b"one").await;
    let first = stack.s3.head_object().bucket("data").key("k").send().await.unwrap().e_tag.unwrap();
    let get = || stack.s3.get_object().bucket("data").key("k");
    assert_eq!(status(&get().if_none_match(&first).send().await.unwrap_err()), 304);
    stack.put("data", "k", b"two").await;
    assert_eq!(status(&get().if_match(&first).send().await.unwrap_err()), 412);
    let put = || stack.s3.put_object().bucket("data").key("k").body(ByteStream::from_static(b"three"));
    assert_eq!(status(&put().if_none_match("*").send().await.unwrap_err()), 412);
    assert_eq!(status(&put().if_match(&first).send().await.unwrap_err()), 412);
    assert_eq!(stack.get("data", "k").await, b"two");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(stack.body_files(), (1, 0), "replaced and refused bodies are gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_are_answered_in_part_or_refused() {
    let stack = Stack::start().await;
    stack.bucket("data").await;
    stack.put("data", "k", b"0123456789").await;
    let get = |range: &str| stack.s3.get_object().bucket("data").key("k").range(range).send();
    for (range, wanted, shown) in
        [("bytes=2-4", &b"234"[..], "bytes 2-4/10"), ("bytes=-3", b"789", "bytes 7-9/10"), ("bytes=8-99", b"89", "bytes 8-9/10")]
    {
        let got = get(range).await.unwrap();
        assert_eq!(got.content_range(), Some(shown));
        assert_eq!(got.body.collect().await.unwrap().to_vec(), wanted);
    }
    assert_eq!(status(&get("bytes=10-").await.unwrap_err()), 416);
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_have_prefixes_delimiters_and_pages() {
    let stack = Stack::start().await;
    stack.bucket("data").await;
    for key in ["a/1", "a/2", "a/b/3", "b", "c/1", "ä"] {
        stack.put("data", key, b"x").await;
    }
    assert_eq!(stack.keys("data").await, ["a/1", "a/2", "a/b/3", "b", "c/1", "ä"]);
    let (mut token, mut seen) = (None, Vec::new());
    loop {
        let page = stack.s3.list_objects_v2().bucket("data").delimiter("/").max_keys(1).set_continuation_token(token).send().await.unwrap();
        seen.extend(page.contents().iter().map(|o| o.key().unwrap().to_owned()));
        seen.extend(page.common_prefixes().iter().map(|p| p.prefix().unwrap().to_owned()));
        token = page.next_continuation_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["a/", "b", "c/", "ä"]);
    let under = stack.s3.list_objects_v2().bucket("data").prefix("a/").delimiter("/").send().await.unwrap();
    assert_eq!((under.contents().len(), under.common_prefixes().len(), under.key_count()), (2, 1, Some(3)));
    let gone = ["a/1", "never"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder().set_objects(Some(gone.into())).build().unwrap();
    let deleted = stack.s3.delete_objects().bucket("data").delete(delete).send().await.unwrap();
    assert_eq!((deleted.deleted().len(), deleted.errors().len()), (2, 0));
    assert_eq!(stack.keys("data").await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_become_one_object() {
    let stack = Stack::start().await;
    stack.bucket("data").await;
    let begin = || stack.s3.create_multipart_upload().bucket("data").key("big").content_type("x/y").send();
    let upload = begin().await.unwrap().upload_id.unwrap();
    let mut parts = Vec::new();
    for (number, size) in [(1, 5 * 1024 * 1024), (2, 5 * 1024 * 1024), (3, 10)] {
        let part = stack
            .s3
            .upload_part()
            .bucket("data")
            .key("big")
            .upload_id(&upload)
            .part_number(number)
            .body(vec![u8::try_from(number).unwrap(); size].into())
            .send()
            .await
            .unwrap();
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(part.e_tag).build());
    }
    let listed = stack.s3.list_parts().bucket("data").key("big").upload_id(&upload).max_parts(2).send().await.unwrap();
    assert_eq!((listed.parts().len(), listed.is_truncated()), (2, Some(true)));
    let complete = |upload: &str, parts: &[CompletedPart]| {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.to_vec())).build();
        stack.s3.complete_multipart_upload().bucket("data").key("big").upload_id(upload).multipart_upload(parts).send()
    };
    let reversed: Vec<_> = parts.iter().rev().cloned().collect();
    let order = complete(&upload, &reversed).await.unwrap_err().into_service_error();
    assert_eq!(order.meta().code(), Some("InvalidPartOrder"));
    let done = complete(&upload, &parts).await.unwrap();
    assert!(done.e_tag().unwrap().ends_with("-3\""), "{done:?}");
    let got = stack.s3.get_object().bucket("data").key("big").range("bytes=5242878-5242881").send().await.unwrap();
    assert_eq!(got.content_type(), Some("x/y"));
    assert_eq!(got.body.collect().await.unwrap().to_vec(), [1, 1, 2, 2]);

    let small = begin().await.unwrap().upload_id.unwrap();
    let mut parts = Vec::new();
    for number in [1, 2] {
        let part = stack.s3.upload_part().bucket("data").key("big").upload_id(&small).part_number(number);
        let part = part.body(ByteStream::from_static(b"tiny")).send().await.unwrap();
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(part.e_tag).build());
    }
    let refused = complete(&small, &parts).await.unwrap_err().into_service_error();
    assert_eq!(refused.meta().code(), Some("EntityTooSmall"));
    let open = stack.s3.list_multipart_uploads().bucket("data").send().await.unwrap();
    assert_eq!(open.uploads().len(), 1);
    stack.s3.abort_multipart_upload().bucket("data").key("big").upload_id(&small).send().await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(stack.body_files(), (1, 0), "parts are gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn presigned_urls_work_until_they_expire_or_are_changed() {
    let stack = Stack::start().await;
    stack.bucket("data").await;
    let hour = || PresigningConfig::expires_in(Duration::from_hours(1)).unwrap();
    let http = reqwest::Client::new();
    let put = stack.s3.put_object().bucket("data").key("a b").presigned(hour()).await.unwrap();
    let answer = http.put(put.uri()).body("content").send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    let get = stack.s3.get_object().bucket("data").key("a b").presigned(hour()).await.unwrap();
    assert_eq!(http.get(get.uri()).send().await.unwrap().text().await.unwrap(), "content");
    let other = get.uri().replace("a%20b", "c");
    assert_eq!(http.get(other).send().await.unwrap().status(), 403);
    assert_eq!(http.delete(get.uri()).send().await.unwrap().status(), 403);
    let longer = get.uri().replace("X-Amz-Expires=3600", "X-Amz-Expires=7200");
    assert_eq!(http.get(longer).send().await.unwrap().status(), 403);
    let past = PresigningConfig::builder()
        .start_time(std::time::SystemTime::now() - Duration::from_mins(2))
        .expires_in(Duration::from_mins(1))
        .build()
        .unwrap();
    let expired = stack.s3.get_object().bucket("data").key("a b").presigned(past).await.unwrap();
    assert_eq!(http.get(expired.uri()).send().await.unwrap().status(), 403);
    assert_eq!(http.get(format!("{}/data/a%20b", stack.emulator.endpoint())).send().await.unwrap().status(), 403);
}

/// A client that dies in the middle of its upload must not leave half an object.
#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_body_leaves_nothing() {
    let stack = Stack::start().await;
    stack.bucket("data").await;
    let hour = PresigningConfig::expires_in(Duration::from_hours(1)).unwrap();
    let url = stack.s3.put_object().bucket("data").key("half").presigned(hour).await.unwrap();
    let endpoint = stack.emulator.endpoint();
    let host = endpoint.strip_prefix("http://").unwrap();
    let path = url.uri().strip_prefix(&endpoint).unwrap();
    let mut socket = tokio::net::TcpStream::connect(host).await.unwrap();
    let head = format!("PUT {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&[7; 500]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(stack.body_files(), (0, 1));
    drop(socket);
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(stack.keys("data").await.is_empty());
    assert_eq!(stack.body_files(), (0, 0));
}

/// What a killed process leaves half-written is removed at the next start; finished objects stay.
#[tokio::test(flavor = "multi_thread")]
async fn orphaned_files_are_removed_at_start() {
    let stack = Stack::start().await;
    stack.bucket("data").await;
    stack.put("data", "k", b"kept").await;
    std::fs::write(stack.dir().join("incoming/0123"), b"half").unwrap();
    std::fs::write(stack.dir().join("bodies/ab/abcdef"), b"no row").unwrap();
    let stack = stack.restart().await;
    assert_eq!(stack.body_files(), (1, 0));
    assert_eq!(stack.get("data", "k").await, b"kept");
}
