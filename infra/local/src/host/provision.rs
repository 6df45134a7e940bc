//! Creates what the template describes, through the same APIs CloudFormation uses. Repeated at every start.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType, ScalarAttributeType,
    TimeToLiveSpecification,
};
use portcullis_core::aws::Clients;
use portcullis_core::error::chain;

use super::HostError;
use crate::aws::Emulator;
use crate::aws::s3::{BucketSpec, QueueRule};
use crate::template::{Bucket, KeySchema, Notification, Queue, Table, Topology};

/// Creates tables, queues and buckets that are not there yet, and brings settings up to the template.
pub(super) async fn create(topology: &Topology, emulator: &Emulator, clients: &Clients) -> Result<(), HostError> {
    for table in &topology.tables {
        create_table(clients, table).await?;
    }
    for queue in &topology.queues {
        create_queue(emulator, queue).await?;
    }
    for bucket in &topology.buckets {
        create_bucket(emulator, bucket).await?;
    }
    for secret in &topology.secrets {
        let text = generated(secret.length).map_err(|problem| HostError::Resource { name: secret.name.clone(), problem })?;
        emulator.secrets().ensure(&secret.name, move || text).await.map_err(|e| failed(&secret.name, &e))?;
    }
    Ok(())
}

/// Random letters and digits, each as likely as the others.
fn generated(length: u32) -> Result<String, String> {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::new();
    while text.len() < length as usize {
        let mut bytes = [0_u8; 64];
        getrandom::fill(&mut bytes).map_err(|e| format!("the system has no randomness: {e}"))?;
        // 4 * 62 = 248: what lies above would make the first letters likelier.
        text.extend(bytes.into_iter().filter(|byte| *byte < 248).map(|byte| char::from(LETTERS[usize::from(byte % 62)])));
    }
    text.truncate(length as usize);
    Ok(text)
}

fn failed(name: &str, error: &(dyn std::error::Error + 'static)) -> HostError {
    HostError::Resource { name: name.to_owned(), problem: chain(error) }
}

async fn create_table(clients: &Clients, table: &Table) -> Result<(), HostError> {
    let name = &table.name;
    let mut attributes = BTreeMap::new();
    let schemas = std::iter::once(&table.key).chain(table.indexes.iter().map(|index| &index.key));
    for attribute in schemas.flat_map(|key| std::iter::once(&key.partition).chain(key.sort.as_ref())) {
        attributes.insert(attribute.name.clone(), attribute.kind.clone());
    }
    let mut request = clients
        .dynamodb()
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(key_schema(name, &table.key)?));
    for (attribute, kind) in attributes {
        let definition = AttributeDefinition::builder().attribute_name(attribute).attribute_type(ScalarAttributeType::from(kind.as_str()));
        request = request.attribute_definitions(definition.build().map_err(|e| failed(name, &e))?);
    }
    for index in &table.indexes {
        let mut projection = Projection::builder().projection_type(ProjectionType::from(index.projection.as_str()));
        if !index.included.is_empty() {
            projection = projection.set_non_key_attributes(Some(index.included.clone()));
        }
        let built = GlobalSecondaryIndex::builder()
            .index_name(&index.name)
            .set_key_schema(Some(key_schema(name, &index.key)?))
            .projection(projection.build())
            .build();
        request = request.global_secondary_indexes(built.map_err(|e| failed(name, &e))?);
    }
    match request.send().await {
        Ok(_) => {}
        Err(SdkError::ServiceError(error)) if error.err().is_resource_in_use_exception() => return Ok(()),
        Err(error) => return Err(failed(name, &error)),
    }
    if let Some(attribute) = &table.ttl_attribute {
        let ttl = TimeToLiveSpecification::builder().attribute_name(attribute).enabled(true).build().map_err(|e| failed(name, &e))?;
        clients.dynamodb().update_time_to_live().table_name(name).time_to_live_specification(ttl).send().await.map_err(|e| failed(name, &e))?;
    }
    Ok(())
}

fn key_schema(table: &str, key: &KeySchema) -> Result<Vec<KeySchemaElement>, HostError> {
    let element = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().map_err(|e| failed(table, &e));
    let mut schema = vec![element(&key.partition.name, KeyType::Hash)?];
    if let Some(sort) = &key.sort {
        schema.push(element(&sort.name, KeyType::Range)?);
    }
    Ok(schema)
}

async fn create_queue(emulator: &Emulator, queue: &Queue) -> Result<(), HostError> {
    let queues = emulator.queues();
    let mut attributes = BTreeMap::from([
        ("VisibilityTimeout".to_owned(), queue.visibility_seconds.to_string()),
        ("MessageRetentionPeriod".to_owned(), queue.retention_seconds.to_string()),
        ("DelaySeconds".to_owned(), queue.delay_seconds.to_string()),
    ]);
    if let Some(redrive) = &queue.redrive {
        let policy =
            serde_json::json!({ "deadLetterTargetArn": queues.arn(&redrive.dead_letter_queue), "maxReceiveCount": redrive.max_receive_count });
        attributes.insert("RedrivePolicy".to_owned(), policy.to_string());
    }
    queues.ensure(&queue.name, attributes).await.map_err(|e| failed(&queue.name, &e))?;
    // The receivers of before died with the process that held this folder's lock.
    let returned = queues.return_in_flight(&queue.name).await.map_err(|e| failed(&queue.name, &e))?;
    if returned > 0 {
        tracing::info!(queue = queue.name, messages = returned, "messages of a stopped host are taken up again");
    }
    Ok(())
}

async fn create_bucket(emulator: &Emulator, bucket: &Bucket) -> Result<(), HostError> {
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let rule = |notification: &Notification| QueueRule {
        queue_arn: emulator.queues().arn(&notification.queue),
        events: vec![notification.event.clone()],
        prefix: some(&notification.prefix),
        suffix: some(&notification.suffix),
    };
    let spec = BucketSpec {
        name: bucket.name.clone(),
        versioned: bucket.versioned,
        notifications: bucket.notifications.iter().map(rule).collect(),
        form_origins: bucket.form_origins.clone(),
        lock_days: bucket.lock_days,
    };
    emulator.buckets().ensure(spec).await.map_err(|e| failed(&bucket.name, &e))
}
