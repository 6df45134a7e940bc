//! Events of new objects: always with the object, never without it.

use std::time::Duration;

use aws_lambda_events::event::s3::S3Event;
use aws_sdk_s3::types::{
    Event, FilterRule, FilterRuleName, NotificationConfiguration, NotificationConfigurationFilter, QueueConfiguration, S3KeyFilter,
};

use super::Stack;
use crate::aws::s3::{BucketSpec, QueueRule};

/// Bodies of all messages that are there.
pub(super) async fn drain(stack: &Stack, queue: &str) -> Vec<String> {
    let queues = stack.emulator.queues();
    let mut bodies = Vec::new();
    loop {
        let messages = queues.receive(queue, 10, Duration::ZERO, None).await.unwrap();
        if messages.is_empty() {
            return bodies;
        }
        for message in messages {
            queues.delete(queue, &message.receipt_handle).await.unwrap();
            bodies.push(message.body);
        }
    }
}

/// A bucket that tells `q` about everything; the test event is already taken out.
pub(super) async fn notified(stack: &Stack) {
    stack.queue("q").await;
    stack.emulator.buckets().ensure(spec(stack)).await.unwrap();
    assert_eq!(drain(stack, "q").await.len(), 1);
}

fn spec(stack: &Stack) -> BucketSpec {
    let rule = QueueRule { queue_arn: stack.emulator.queues().arn("q"), events: vec!["s3:ObjectCreated:*".into()], ..QueueRule::default() };
    BucketSpec { name: "data".into(), versioned: true, notifications: vec![rule], ..BucketSpec::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_sends_an_event_in_the_shape_of_aws() {
    let stack = Stack::start().await;
    notified(&stack).await;
    let put = stack.s3.put_object().bucket("data").key("in/a b+ü.txt").body(b"hello".to_vec().into());
    let put = put.send().await.unwrap();
    let [body] = drain(&stack, "q").await.try_into().unwrap();
    let event: S3Event = serde_json::from_str(&body).unwrap();
    let record = &event.records[0];
    assert_eq!(record.event_name.as_deref(), Some("ObjectCreated:Put"));
    assert_eq!(record.event_source.as_deref(), Some("aws:s3"));
    assert_eq!(record.s3.bucket.name.as_deref(), Some("data"));
    let object = &record.s3.object;
    assert_eq!(object.key.as_deref(), Some("in/a+b%2B%C3%BC.txt"));
    assert_eq!(object.size, Some(5));
    assert_eq!(object.version_id.as_deref(), put.version_id());
    assert_eq!(object.e_tag.as_deref(), Some("5d41402abc4b2a76b9719d911017c592"));
    stack.s3.copy_object().bucket("data").key("c").copy_source("data/in/a%20b%2B%C3%BC.txt").send().await.unwrap();
    assert!(drain(&stack, "q").await[0].contains("ObjectCreated:Copy"));
    stack.s3.delete_object().bucket("data").key("c").send().await.unwrap();
    assert!(drain(&stack, "q").await.is_empty(), "deletes are silent");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_test_event_comes_once_per_configuration() {
    let stack = Stack::start().await;
    notified(&stack).await;
    let stack = stack.restart().await;
    stack.emulator.buckets().ensure(spec(&stack)).await.unwrap();
    assert!(drain(&stack, "q").await.is_empty(), "unchanged");
    let rule = FilterRule::builder().name(FilterRuleName::Prefix).value("in/").build();
    let filter = NotificationConfigurationFilter::builder().key(S3KeyFilter::builder().filter_rules(rule).build());
    let queue = QueueConfiguration::builder()
        .queue_arn(stack.emulator.queues().arn("q"))
        .events(Event::from("s3:ObjectCreated:Put"))
        .filter(filter.build())
        .build()
        .unwrap();
    let changed = NotificationConfiguration::builder().queue_configurations(queue).build();
    let put = || {
        let put = stack.s3.put_bucket_notification_configuration().bucket("data");
        put.notification_configuration(changed.clone()).send()
    };
    put().await.unwrap();
    put().await.unwrap();
    let told = drain(&stack, "q").await;
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("s3:TestEvent"));
    stack.put("data", "out/x", b"x").await;
    stack.put("data", "in/x", b"x").await;
    assert_eq!(drain(&stack, "q").await.len(), 1, "the filter holds");
    let stored = stack.s3.get_bucket_notification_configuration().bucket("data").send().await.unwrap();
    assert_eq!(stored.queue_configurations().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_to_a_queue_that_does_not_exist_is_refused() {
    let stack = Stack::start().await;
    stack.bucket("data").await;
    let queue =
        QueueConfiguration::builder().queue_arn(stack.emulator.queues().arn("none")).events(Event::from("s3:ObjectCreated:*")).build().unwrap();
    let wanted = NotificationConfiguration::builder().queue_configurations(queue).build();
    let refused = stack.s3.put_bucket_notification_configuration().bucket("data").notification_configuration(wanted);
    assert!(refused.send().await.is_err());
}

/// The crash window: objects put and events sent are counted after the process state is thrown away mid-way.
#[tokio::test(flavor = "multi_thread")]
async fn objects_and_events_are_one_after_a_crash() {
    let stack = Stack::start().await;
    notified(&stack).await;
    let puts: Vec<_> = (0..40)
        .map(|n| {
            let put = stack.s3.put_object().bucket("data").key(format!("k{n}")).body(vec![1; 20_000].into());
            tokio::spawn(put.send())
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(60)).await;
    let stack = stack.restart().await;
    for put in puts {
        let _ = put.await.unwrap();
    }
    let objects = stack.keys("data").await.len();
    assert_eq!(drain(&stack, "q").await.len(), objects);
    assert_eq!(stack.body_files(), (objects, 0));
}
