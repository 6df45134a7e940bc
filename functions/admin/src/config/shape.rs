//! What a settings document of the API looks like: its fields, their ranges, their names on the wire and in the store.
//!
//! What always holds: a value that is stored was checked here, field by field, and a problem names its field.

use std::ops::RangeInclusive;

use portcullis_core::domain::engine::CATALOGUE;
use portcullis_core::update::Window;
use serde_json::{Map, Value};

/// Names of engines in one list, at most.
const MAX_ENGINES: usize = 50;

/// What a field may hold.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A whole number.
    Number(RangeInclusive<u64>),
    /// `true` or `false`.
    Flag,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A text of at most so many bytes.
    Text(usize),
    /// Engines, by name or id; stored by name.
    Engines,
    /// Windows of time ([`Window`]).
    Windows,
}

/// One field.
#[derive(Debug)]
pub(crate) struct Field {
    /// Its name in bodies.
    pub(crate) name: &'static str,
    /// Another name of it in bodies, shown as well.
    pub(crate) alias: Option<&'static str>,
    /// Its name in the stored document.
    pub(crate) stored: &'static str,
    pub(crate) kind: Kind,
}

/// A field whose name is the same everywhere.
pub(crate) const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, alias: None, stored: name, kind }
}

impl Kind {
    fn check(&self, name: &str, value: &Value) -> Result<Value, String> {
        match self {
            Self::Number(range) => {
                let number = value.as_u64().filter(|number| range.contains(number));
                number.map(Value::from).ok_or_else(|| format!("`{name}` is not a whole number from {} to {}.", range.start(), range.end()))
            }
            Self::Flag => value.as_bool().map(Value::from).ok_or_else(|| format!("`{name}` is neither true nor false.")),
            Self::OneOf(words) => {
                let known = value.as_str().filter(|word| words.contains(word));
                known.map(Value::from).ok_or_else(|| format!("`{name}` is not one of `{}`.", words.join("`, `")))
            }
            Self::Text(bytes) => {
                let text = value.as_str().filter(|text| text.len() <= *bytes && !text.chars().any(char::is_control));
                text.map(Value::from).ok_or_else(|| format!("`{name}` is no text of at most {bytes} bytes."))
            }
            Self::Engines => engines(name, value),
            Self::Windows => Window::parse_all(name, value),
        }
    }
}

fn engines(name: &str, value: &Value) -> Result<Value, String> {
    let sent = value.as_array().filter(|engines| engines.len() <= MAX_ENGINES);
    let sent = sent.ok_or_else(|| format!("`{name}` is no list of at most {MAX_ENGINES} engines."))?;
    let known = |engine: &Value| {
        let text = engine.as_str()?;
        CATALOGUE.iter().find(|known| known.id == text || known.name.eq_ignore_ascii_case(text))
    };
    let names = sent.iter().map(|engine| {
        let known = known(engine).ok_or_else(|| format!("`{name}` names `{engine}`, which is no engine."))?;
        Ok(Value::from(known.name))
    });
    Ok(Value::Array(names.collect::<Result<_, String>>()?))
}

/// A stored document with what was sent; what was not stays.
pub(crate) fn changed(fields: &[Field], in_force: &Value, sent: &Map<String, Value>) -> Result<Value, String> {
    let named = |name: &str| fields.iter().find(|field| field.name == name || field.alias == Some(name));
    let mut document = in_force.clone();
    for (name, value) in sent {
        let field = named(name).ok_or_else(|| format!("There is no field `{name}`."))?;
        let checked = field.kind.check(name, value)?;
        let other = if field.name == name { field.alias } else { Some(field.name) };
        if let Some(other) = other.filter(|other| sent.get(*other).is_some_and(|twin| twin != value)) {
            return Err(format!("`{name}` and `{other}` are the same setting and have two values."));
        }
        document[field.stored] = checked;
    }
    if sent.is_empty() {
        let all: Vec<_> = fields.iter().map(|field| field.name).collect();
        return Err(format!("Nothing was sent to change: the fields are `{}`.", all.join("`, `")));
    }
    Ok(document)
}

/// A stored document as bodies have it.
pub(crate) fn shown(fields: &[Field], document: &Value) -> Value {
    let mut body = Map::new();
    for field in fields {
        let Some(value) = document.get(field.stored).cloned() else { continue };
        if let Some(alias) = field.alias {
            body.insert(alias.to_owned(), value.clone());
        }
        body.insert(field.name.to_owned(), value);
    }
    Value::Object(body)
}
