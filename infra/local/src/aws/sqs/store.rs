//! Queues and messages as rows. Plain functions on a connection, so that the object store can send a message in the
//! transaction that makes an object visible.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::error::SqsError;
use super::message::{self, Depth, Message, MessageAttributes, Sent};
use super::settings::{Attributes, Settings};
use crate::aws::ACCOUNT_ID;
use crate::aws::db::{DbError, now_ms};

/// What one receive found.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// The messages, now invisible to others.
    pub(crate) messages: Vec<Message>,
    /// Dead-letter queues that got a message.
    pub(crate) redriven: Vec<String>,
    /// When the next message becomes visible, if there is one, epoch milliseconds.
    pub(crate) next_visible_ms: Option<i64>,
}

/// A message to be stored; validated here against the queue's settings.
#[derive(Debug, Clone)]
pub(crate) struct NewMessage {
    pub(crate) body: String,
    pub(crate) attributes: MessageAttributes,
    /// Seconds until it becomes visible; the queue's own delay when absent.
    pub(crate) delay_seconds: Option<i64>,
}

/// The attributes a queue was given.
pub(crate) fn attributes(conn: &Connection, queue: &str) -> Result<Attributes, SqsError> {
    let text: Option<String> =
        conn.prepare_cached("SELECT attributes FROM queues WHERE name = ?1")?.query_row([queue], |row| row.get(0)).optional()?;
    let text = text.ok_or(SqsError::QueueDoesNotExist)?;
    Ok(serde_json::from_str(&text).map_err(DbError::from)?)
}

/// Creates the queue; with the same settings again it is a no-op.
pub(crate) fn create(conn: &Connection, queue: &str, wanted: &Attributes) -> Result<(), SqsError> {
    match attributes(conn, queue) {
        Ok(existing) => {
            let existing = super::settings::described(&existing);
            let differs = wanted.iter().find(|(name, value)| existing.get(*name) != Some(value));
            differs.map_or(Ok(()), |(name, _)| Err(SqsError::QueueNameExists(name.clone())))
        }
        Err(SqsError::QueueDoesNotExist) => {
            let text = serde_json::to_string(wanted).map_err(DbError::from)?;
            conn.execute("INSERT INTO queues(name, attributes, created_ms, modified_ms) VALUES (?1, ?2, ?3, ?3)", params![queue, text, now_ms()])?;
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Merges attributes into the queue's.
pub(crate) fn set_attributes(conn: &Connection, queue: &str, changes: Attributes) -> Result<(), SqsError> {
    let mut all = attributes(conn, queue)?;
    all.extend(changes);
    all.retain(|_, value| !value.is_empty());
    let text = serde_json::to_string(&all).map_err(DbError::from)?;
    conn.execute("UPDATE queues SET attributes = ?2, modified_ms = ?3 WHERE name = ?1", params![queue, text, now_ms()])?;
    Ok(())
}

/// Creation and last change of the queue, epoch milliseconds.
pub(crate) fn times(conn: &Connection, queue: &str) -> Result<(i64, i64), SqsError> {
    conn.query_row("SELECT created_ms, modified_ms FROM queues WHERE name = ?1", [queue], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .ok_or(SqsError::QueueDoesNotExist)
}

/// Names with the prefix, sorted, after `after`.
pub(crate) fn list(conn: &Connection, prefix: &str, after: &str, limit: usize) -> Result<Vec<String>, SqsError> {
    let mut statement = conn.prepare_cached("SELECT name FROM queues WHERE substr(name, 1, length(?1)) = ?1 AND name > ?2 ORDER BY name LIMIT ?3")?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let names = statement.query_map(params![prefix, after, limit], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

/// Removes the queue with its messages.
pub(crate) fn delete_queue(conn: &Connection, queue: &str) -> Result<(), SqsError> {
    found(conn.execute("DELETE FROM queues WHERE name = ?1", [queue])?)
}

/// Removes all messages of the queue.
pub(crate) fn purge(conn: &Connection, queue: &str) -> Result<(), SqsError> {
    attributes(conn, queue)?;
    conn.execute("DELETE FROM messages WHERE queue = ?1", [queue])?;
    Ok(())
}

/// Stores a message.
pub(crate) fn send(conn: &Connection, queue: &str, message: &NewMessage) -> Result<Sent, SqsError> {
    let settings = Settings::of(&attributes(conn, queue)?);
    message::validate(&message.body, &message.attributes, settings.max_bytes)?;
    let delay = message.delay_seconds.unwrap_or(settings.delay_seconds);
    if !(0..=900).contains(&delay) {
        return Err(SqsError::InvalidParameterValue(format!(
            "Value {delay} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900."
        )));
    }
    let now = now_ms();
    let message_id = Uuid::new_v4().to_string();
    let attributes = serde_json::to_string(&message.attributes).map_err(DbError::from)?;
    conn.prepare_cached("INSERT INTO messages(queue, message_id, body, attributes, sent_ms, visible_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![queue, message_id, message.body, attributes, now, now + delay * 1000])?;
    Ok(Sent {
        message_id,
        md5_of_body: message::md5_hex(message.body.as_bytes()),
        md5_of_attributes: message::md5_of_attributes(&message.attributes),
    })
}

/// Hands out up to `max` visible messages, oldest first; moves those received too often to the dead-letter queue.
pub(crate) fn receive(conn: &Connection, queue: &str, max: u32, visibility_seconds: Option<i64>) -> Result<Received, SqsError> {
    let settings = Settings::of(&attributes(conn, queue)?);
    let visibility = visibility_seconds.unwrap_or(settings.visibility_seconds) * 1000;
    let now = now_ms();
    let mut received = Received::default();
    loop {
        let rows = visible(conn, queue, now, max)?;
        let none = rows.is_empty();
        for row in rows {
            if row.sent_ms + settings.retention_seconds * 1000 <= now {
                conn.prepare_cached("DELETE FROM messages WHERE id = ?1")?.execute([row.id])?;
            } else if let Some((target, arn)) = dead_letter(conn, &settings, &row)? {
                // Same account and region: the source's ARN differs from the target's in the name only.
                let prefix = arn.strip_suffix(&target).unwrap_or_default();
                redrive(conn, &format!("{prefix}{queue}"), &target, row.id)?;
                received.redriven.push(target);
            } else {
                received.messages.push(hand_out(conn, row, now, visibility)?);
            }
        }
        // Expired and redriven rows are gone: look again only when they hid what may be behind them.
        if none || !received.messages.is_empty() {
            break;
        }
    }
    if received.messages.is_empty() {
        received.next_visible_ms =
            conn.prepare_cached("SELECT min(visible_ms) FROM messages WHERE queue = ?1")?.query_row([queue], |row| row.get(0))?;
    }
    Ok(received)
}

/// Deletes the message of that receive. A handle that was superseded, or whose message is gone, is a success too.
pub(crate) fn delete(conn: &Connection, queue: &str, handle: &str) -> Result<(), SqsError> {
    attributes(conn, queue)?;
    let (id, receipt) = parse_handle(handle)?;
    conn.prepare_cached("DELETE FROM messages WHERE id = ?1 AND queue = ?2 AND receipt = ?3")?.execute(params![id, queue, receipt])?;
    Ok(())
}

/// Makes every message in flight visible: for a start after which no receiver can be alive.
pub(crate) fn return_in_flight(conn: &Connection, queue: &str) -> Result<usize, SqsError> {
    let now = now_ms();
    let sql = "UPDATE messages SET visible_ms = ?2 WHERE queue = ?1 AND visible_ms > ?2 AND receipt IS NOT NULL";
    Ok(conn.execute(sql, params![queue, now])?)
}

/// Moves the end of invisibility to `seconds` from now; 0 makes the message visible at once.
pub(crate) fn change_visibility(conn: &Connection, queue: &str, handle: &str, seconds: i64) -> Result<(), SqsError> {
    attributes(conn, queue)?;
    let (id, receipt) = parse_handle(handle)?;
    if !(0..=43_200).contains(&seconds) {
        return Err(SqsError::InvalidParameterValue(format!(
            "Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and 43200."
        )));
    }
    let now = now_ms();
    let changed = conn
        .prepare_cached("UPDATE messages SET visible_ms = ?4 WHERE id = ?1 AND queue = ?2 AND receipt = ?3 AND visible_ms > ?5")?
        .execute(params![id, queue, receipt, now + seconds * 1000, now])?;
    if changed == 0 { Err(SqsError::MessageNotInflight) } else { Ok(()) }
}

/// Counts by state.
pub(crate) fn depth(conn: &Connection, queue: &str) -> Result<Depth, SqsError> {
    let retention = Settings::of(&attributes(conn, queue)?).retention_seconds;
    let now = now_ms();
    let count = |row: &Row<'_>, at: usize| row.get::<_, i64>(at).map(|n| u64::try_from(n).unwrap_or(0));
    let depth = conn
        .prepare_cached(
            "SELECT count(*) FILTER (WHERE visible_ms <= ?2),
                    count(*) FILTER (WHERE visible_ms > ?2 AND receipt IS NOT NULL),
                    count(*) FILTER (WHERE visible_ms > ?2 AND receipt IS NULL)
             FROM messages WHERE queue = ?1 AND sent_ms > ?3",
        )?
        .query_row(params![queue, now, now - retention * 1000], |row| {
            Ok(Depth { visible: count(row, 0)?, in_flight: count(row, 1)?, delayed: count(row, 2)? })
        })?;
    Ok(depth)
}

struct Stored {
    id: i64,
    message_id: String,
    body: String,
    attributes: String,
    source_arn: Option<String>,
    sent_ms: i64,
    received_ms: Option<i64>,
    receive_count: i64,
}

fn visible(conn: &Connection, queue: &str, now: i64, max: u32) -> Result<Vec<Stored>, SqsError> {
    let mut statement = conn.prepare_cached(
        "SELECT id, message_id, body, attributes, source_arn, sent_ms, received_ms, receive_count FROM messages
         WHERE queue = ?1 AND visible_ms <= ?2 ORDER BY visible_ms, id LIMIT ?3",
    )?;
    let rows = statement.query_map(params![queue, now, max], |row| {
        Ok(Stored {
            id: row.get(0)?,
            message_id: row.get(1)?,
            body: row.get(2)?,
            attributes: row.get(3)?,
            source_arn: row.get(4)?,
            sent_ms: row.get(5)?,
            received_ms: row.get(6)?,
            receive_count: row.get(7)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The dead-letter queue (name, ARN) this message is due for: only when it was received often enough and the queue exists.
fn dead_letter(conn: &Connection, settings: &Settings, row: &Stored) -> Result<Option<(String, String)>, SqsError> {
    let Some(redrive) = settings.redrive.as_ref().filter(|r| row.receive_count >= r.max_receive_count) else {
        return Ok(None);
    };
    match attributes(conn, redrive.queue()) {
        Ok(_) => Ok(Some((redrive.queue().to_owned(), redrive.dead_letter_target_arn.clone()))),
        Err(SqsError::QueueDoesNotExist) => Ok(None),
        Err(error) => Err(error),
    }
}

fn redrive(conn: &Connection, source: &str, to: &str, id: i64) -> Result<(), SqsError> {
    conn.prepare_cached(
        "UPDATE messages SET queue = ?2, source_arn = ?3, visible_ms = ?4, receive_count = 0, received_ms = NULL,
                receipt = NULL WHERE id = ?1",
    )?
    .execute(params![id, to, source, now_ms()])?;
    Ok(())
}

fn hand_out(conn: &Connection, row: Stored, now: i64, visibility: i64) -> Result<Message, SqsError> {
    let receipt = Uuid::new_v4().simple().to_string();
    let first = row.received_ms.unwrap_or(now);
    let count = row.receive_count + 1;
    conn.prepare_cached("UPDATE messages SET visible_ms = ?2, received_ms = ?3, receive_count = ?4, receipt = ?5 WHERE id = ?1")?
        .execute(params![row.id, now + visibility, first, count, receipt])?;
    let mut attributes = BTreeMap::from([
        ("ApproximateFirstReceiveTimestamp".to_owned(), first.to_string()),
        ("ApproximateReceiveCount".to_owned(), count.to_string()),
        ("SenderId".to_owned(), ACCOUNT_ID.to_owned()),
        ("SentTimestamp".to_owned(), row.sent_ms.to_string()),
    ]);
    if let Some(source) = row.source_arn {
        attributes.insert("DeadLetterQueueSourceArn".to_owned(), source);
    }
    Ok(Message {
        message_id: row.message_id,
        receipt_handle: format!("{}.{receipt}", row.id),
        md5_of_body: message::md5_hex(row.body.as_bytes()),
        body: row.body,
        attributes,
        message_attributes: serde_json::from_str(&row.attributes).map_err(DbError::from)?,
        receive_count: u32::try_from(count).unwrap_or(u32::MAX),
        sent_ms: row.sent_ms,
    })
}

fn parse_handle(handle: &str) -> Result<(i64, &str), SqsError> {
    let parts = handle.split_once('.').and_then(|(id, receipt)| Some((id.parse::<i64>().ok()?, receipt)));
    parts
        .filter(|(_, receipt)| receipt.len() == 32 && receipt.bytes().all(|b| b.is_ascii_hexdigit()))
        .ok_or_else(|| SqsError::ReceiptHandleIsInvalid(handle.to_owned()))
}

fn found(rows: usize) -> Result<(), SqsError> {
    if rows == 0 { Err(SqsError::QueueDoesNotExist) } else { Ok(()) }
}
