//! PDFs that are encrypted, read by lopdf.

use lopdf::{Document, LoadOptions};
use portcullis_core::domain::verdict::Code;

use super::body::Body;
use super::filters::MOST;
use super::lexer::Value;
use super::objects::Object;
use crate::archive::sink::Stop;

/// Levels of objects that are followed.
const DEPTH: usize = 48;

/// Calls `found` with every object, decrypted. No password that fits is code 15, whatever else is wrong with the file.
pub(super) fn objects(content: &[u8], passwords: &[String], found: &mut dyn FnMut(Object<'static>) -> Result<(), Stop>) -> Result<(), Stop> {
    let empty = String::new();
    let mut broken = None;
    for password in std::iter::once(&empty).chain(passwords) {
        let options = LoadOptions { password: Some(password.clone()), max_decompressed_size: Some(MOST / 4), ..LoadOptions::default() };
        match Document::load_mem_with_options(content, options) {
            // One that could not be decrypted is loaded all the same, and has no objects to speak of.
            Ok(document) if document.encryption_state.is_some() => {
                for ((number, _), object) in document.objects {
                    let (value, stream) = match object {
                        lopdf::Object::Stream(stream) => (dictionary(&stream.dict, 0), Some(Body::whole(stream.content))),
                        other => (value(&other, 0), None),
                    };
                    found(Object { number, value, stream })?;
                }
                return Ok(());
            }
            Ok(_) => {}
            Err(error) => broken = Some(error.to_string()),
        }
    }
    let why = match broken {
        Some(why) => format!("the document needs a password, or can not be decrypted ({why})"),
        None => "the document needs a password".into(),
    };
    Err(Stop::Closed(Code::PasswordProtectedDocument, why))
}

fn dictionary(dictionary: &lopdf::Dictionary, depth: usize) -> Value {
    Value::Dictionary(dictionary.iter().map(|(key, inner)| (key.clone(), value(inner, depth + 1))).collect())
}

fn value(object: &lopdf::Object, depth: usize) -> Value {
    if depth > DEPTH {
        return Value::Other;
    }
    match object {
        lopdf::Object::Dictionary(inner) => dictionary(inner, depth),
        lopdf::Object::Array(items) => Value::Array(items.iter().map(|item| value(item, depth + 1)).collect()),
        lopdf::Object::Name(name) => Value::Name(name.clone()),
        lopdf::Object::String(text, _) => Value::Text(text.clone()),
        lopdf::Object::Integer(number) => Value::Number(*number),
        lopdf::Object::Reference((number, _)) => Value::Reference(*number),
        _ => Value::Other,
    }
}
