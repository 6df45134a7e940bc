//! Queues through the SDK.

use std::time::{Duration, Instant};

use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry,
};

use super::Stack;

async fn receive(stack: &Stack, url: &str) -> Vec<Message> {
    let received = stack
        .sqs
        .receive_message()
        .queue_url(url)
        .max_number_of_messages(10)
        .message_system_attribute_names(MessageSystemAttributeName::All)
        .message_attribute_names("All")
        .send()
        .await
        .unwrap();
    received.messages.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_attributes_is_sent_received_and_deleted() {
    let stack = Stack::start().await;
    let url = stack.queue("q").await;
    assert_eq!(url, format!("{}/000000000000/q", stack.emulator.endpoint()));
    let attribute = MessageAttributeValue::builder().data_type("String").string_value("v").build().unwrap();
    let sent = stack.sqs.send_message().queue_url(&url).message_body("hello ü").message_attributes("kind", attribute).send().await.unwrap();
    let messages = receive(&stack, &url).await;
    let [message] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!(message.body(), Some("hello ü"));
    assert_eq!(message.message_id(), sent.message_id());
    assert_eq!(message.md5_of_body(), sent.md5_of_message_body());
    assert_eq!(message.md5_of_message_attributes(), sent.md5_of_message_attributes());
    assert_eq!(message.message_attributes().unwrap()["kind"].string_value(), Some("v"));
    let system = message.attributes().unwrap();
    assert_eq!(system[&MessageSystemAttributeName::ApproximateReceiveCount], "1");
    assert!(system.contains_key(&MessageSystemAttributeName::SentTimestamp));
    assert!(receive(&stack, &url).await.is_empty(), "in flight");
    assert_eq!(stack.emulator.queues().depth("q").await.unwrap().in_flight, 1);
    stack.sqs.delete_message().queue_url(&url).receipt_handle(message.receipt_handle().unwrap()).send().await.unwrap();
    assert_eq!(stack.emulator.queues().depth("q").await.unwrap().total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_comes_back_after_its_visibility_timeout_and_then_goes_to_the_dead_letter_queue() {
    let stack = Stack::start().await;
    let dlq = stack.queue("dlq").await;
    let policy = format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":2}}"#, stack.emulator.queues().arn("dlq"));
    let url = stack
        .sqs
        .create_queue()
        .queue_name("q")
        .attributes(QueueAttributeName::RedrivePolicy, policy)
        .attributes(QueueAttributeName::VisibilityTimeout, "1")
        .send()
        .await
        .unwrap()
        .queue_url
        .unwrap();
    stack.sqs.send_message().queue_url(&url).message_body("poison").send().await.unwrap();
    let first = receive(&stack, &url).await;
    assert!(receive(&stack, &url).await.is_empty());
    // The long poll wakes when the timeout ends, not when it ends itself.
    let begun = Instant::now();
    let second = stack.emulator.queues().receive("q", 1, Duration::from_secs(10), None).await.unwrap();
    assert_eq!(second[0].receive_count, 2);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    // The first receipt was superseded: it deletes nothing.
    let stale = first[0].receipt_handle().unwrap();
    stack.sqs.delete_message().queue_url(&url).receipt_handle(stale).send().await.unwrap();
    let handle = &second[0].receipt_handle;
    stack.emulator.queues().change_visibility("q", handle, Duration::ZERO).await.unwrap();
    assert!(receive(&stack, &url).await.is_empty());
    let dead = receive(&stack, &dlq).await;
    assert_eq!(dead[0].body(), Some("poison"));
    let source = &dead[0].attributes().unwrap()[&MessageSystemAttributeName::DeadLetterQueueSourceArn];
    assert_eq!(*source, stack.emulator.queues().arn("q"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_is_woken_by_the_send() {
    let stack = Stack::start().await;
    let url = stack.queue("q").await;
    let waiting = tokio::spawn(stack.sqs.receive_message().queue_url(&url).wait_time_seconds(10).send());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let begun = Instant::now();
    stack.sqs.send_message().queue_url(&url).message_body("x").send().await.unwrap();
    let received = waiting.await.unwrap().unwrap();
    assert_eq!(received.messages().len(), 1);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_fails_by_entry() {
    let stack = Stack::start().await;
    let url = stack.queue("q").await;
    let entry = |id: &str, delay: i32| SendMessageBatchRequestEntry::builder().id(id).message_body(id).delay_seconds(delay).build().unwrap();
    let answer = stack.sqs.send_message_batch().queue_url(&url).entries(entry("good", 0)).entries(entry("bad", 901)).send().await.unwrap();
    assert_eq!(answer.successful().len(), 1);
    assert_eq!((answer.failed()[0].id(), answer.failed()[0].sender_fault()), ("bad", true));
    let message = receive(&stack, &url).await.remove(0);
    let entry = |id: &str, handle: &str| DeleteMessageBatchRequestEntry::builder().id(id).receipt_handle(handle).build().unwrap();
    let answer = stack
        .sqs
        .delete_message_batch()
        .queue_url(&url)
        .entries(entry("a", message.receipt_handle().unwrap()))
        .entries(entry("b", "nonsense"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.successful()[0].id(), "a");
    assert_eq!((answer.failed()[0].id(), answer.failed()[0].code()), ("b", "ReceiptHandleIsInvalid"));
    let twice = stack
        .sqs
        .delete_message_batch()
        .queue_url(&url)
        .entries(entry("a", "x"))
        .entries(entry("a", "y"))
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(twice.is_batch_entry_ids_not_distinct(), "{twice:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_those_of_the_sdk_and_limits_hold() {
    let stack = Stack::start().await;
    let missing = stack.sqs.get_queue_url().queue_name("none").send().await.unwrap_err().into_service_error();
    assert!(missing.is_queue_does_not_exist(), "{missing:?}");
    let url = stack.queue("q").await;
    let handle = stack.sqs.delete_message().queue_url(&url).receipt_handle("x").send().await;
    assert!(handle.unwrap_err().into_service_error().is_receipt_handle_is_invalid());
    let big = "x".repeat(1_048_577);
    let long = stack.sqs.send_message().queue_url(&url).message_body(&big).send().await;
    let long = long.unwrap_err().into_service_error();
    assert!(long.to_string().contains("InvalidParameterValue") || format!("{long:?}").contains("shorter"), "{long:?}");
    stack.sqs.send_message().queue_url(&url).message_body(&big[1..]).send().await.unwrap();
    let fifo = stack.sqs.create_queue().queue_name("a.fifo").send().await;
    assert!(format!("{:?}", fifo.unwrap_err()).contains("FIFO queues are not supported"));
    stack.queue("q").await; // again: no-op
    let other = stack.sqs.create_queue().queue_name("q").attributes(QueueAttributeName::DelaySeconds, "5").send().await;
    assert!(other.unwrap_err().into_service_error().is_queue_name_exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_and_messages_survive_a_restart() {
    let stack = Stack::start().await;
    let url = stack.queue("q").await;
    stack.sqs.set_queue_attributes().queue_url(&url).attributes(QueueAttributeName::VisibilityTimeout, "77").send().await.unwrap();
    stack.sqs.send_message().queue_url(&url).message_body("kept").send().await.unwrap();
    let stack = stack.restart().await;
    let url = stack.sqs.get_queue_url().queue_name("q").send().await.unwrap().queue_url.unwrap();
    let all = stack.sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::All).send().await.unwrap().attributes.unwrap();
    assert_eq!(all[&QueueAttributeName::VisibilityTimeout], "77");
    assert_eq!(all[&QueueAttributeName::ApproximateNumberOfMessages], "1");
    assert_eq!(receive(&stack, &url).await[0].body(), Some("kept"));
    stack.sqs.purge_queue().queue_url(&url).send().await.unwrap();
    assert_eq!(stack.emulator.queues().depth("q").await.unwrap().total(), 0);
    stack.sqs.delete_queue().queue_url(&url).send().await.unwrap();
    assert!(stack.emulator.queues().list("").await.unwrap().is_empty());
}

/// Not a benchmark, a floor: prints the rate (`--nocapture`) and fails when something is an order too slow.
#[tokio::test(flavor = "multi_thread")]
async fn send_receive_delete_is_fast_enough() {
    const ROUNDS: u32 = 1000;
    let stack = Stack::start().await;
    stack.queue("q").await;
    let queues = stack.emulator.queues();
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        queues.send("q", "{}").await.unwrap();
        let message = queues.receive("q", 1, Duration::ZERO, None).await.unwrap().remove(0);
        queues.delete("q", &message.receipt_handle).await.unwrap();
    }
    let rate = f64::from(ROUNDS) / begun.elapsed().as_secs_f64();
    eprintln!("{rate:.0} send+receive+delete per second");
    assert!(rate > 200.0, "{rate}");
}
