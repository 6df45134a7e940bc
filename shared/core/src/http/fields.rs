//! JSON bodies read field by field: every problem names its field.
//!
//! What always holds: a name that stands twice, a field nobody asked for, a value of another type or out of its range is an error
//! with one sentence, and never a default. `null` is a value of another type.

use std::fmt;
use std::ops::RangeInclusive;

use axum::body::Body;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::body::bytes;
use super::error::{ApiError, ErrorCode};

/// The fields of an object that were not read yet.
#[derive(Debug, Default)]
pub struct Fields {
    /// Where the object stands in the body: empty, or `servers[0].`.
    at: String,
    left: Map<String, Value>,
}

/// What is wrong, in one sentence.
pub type Problem = String;

impl Fields {
    /// Of a body of at most 1 MiB. `known`: every field there may be.
    ///
    /// # Errors
    /// 400 with a text that names the problem.
    pub async fn read(body: Body, known: &[&str]) -> Result<Self, ApiError> {
        Self::parse(&bytes(body).await?, known).map_err(bad)
    }

    /// Of bytes.
    pub fn parse(bytes: &[u8], known: &[&str]) -> Result<Self, Problem> {
        Self::of(strict(bytes)?, String::new(), known)
    }

    /// Of a value that stands somewhere in a body, e.g. at `servers[0].`.
    pub fn of(value: Value, at: String, known: &[&str]) -> Result<Self, Problem> {
        let Value::Object(left) = value else {
            let what = if at.is_empty() { "The body".to_owned() } else { format!("`{}`", at.trim_end_matches('.')) };
            return Err(format!("{what} is no JSON object."));
        };
        if let Some(unknown) = left.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(format!("There is no field `{at}{}`.", shown(unknown)));
        }
        Ok(Self { at, left })
    }

    /// The name of a field as problems call it.
    pub fn name(&self, field: &str) -> String {
        format!("{}{field}", self.at)
    }

    /// Whether a field was sent (and not read yet).
    pub fn has(&self, field: &str) -> bool {
        self.left.contains_key(field)
    }

    /// A field as it is.
    pub fn value(&mut self, field: &str) -> Option<Value> {
        self.left.remove(field)
    }

    /// A field that must be there.
    pub fn required<T>(&self, field: &str, value: Option<T>) -> Result<T, Problem> {
        value.ok_or_else(|| format!("`{}` is missing.", self.name(field)))
    }

    /// A text of so many characters, without control characters.
    pub fn text(&mut self, field: &str, length: RangeInclusive<usize>) -> Result<Option<String>, Problem> {
        let name = self.name(field);
        match self.value(field) {
            None => Ok(None),
            Some(Value::String(text)) if length.contains(&text.chars().count()) && !text.chars().any(char::is_control) => Ok(Some(text)),
            Some(_) => Err(format!("`{name}` is no text of {} to {} characters without control characters.", length.start(), length.end())),
        }
    }

    /// `true` or `false`.
    pub fn bool(&mut self, field: &str) -> Result<Option<bool>, Problem> {
        let name = self.name(field);
        match self.value(field) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(_) => Err(format!("`{name}` is neither true nor false.")),
        }
    }

    /// A whole number within a range.
    pub fn number(&mut self, field: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Problem> {
        let name = self.name(field);
        let problem = || format!("`{name}` is not a whole number from {} to {}.", range.start(), range.end());
        self.value(field).map(|value| value.as_u64().filter(|number| range.contains(number)).ok_or_else(problem)).transpose()
    }

    /// As [`Fields::number`]; some clients send it as a text.
    pub fn number_or_text(&mut self, field: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Problem> {
        if let Some(Value::String(text)) = self.left.get(field)
            && let Ok(number) = text.parse::<u64>()
        {
            self.left.insert(field.to_owned(), number.into());
        }
        self.number(field, range)
    }

    /// A list of at most so many texts of so many characters each.
    pub fn texts(&mut self, field: &str, count: usize, length: RangeInclusive<usize>) -> Result<Option<Vec<String>>, Problem> {
        let name = self.name(field);
        let problem = || format!("`{name}` is no list of at most {count} texts of {} to {} characters each.", length.start(), length.end());
        let Some(value) = self.value(field) else { return Ok(None) };
        let Value::Array(items) = value else { return Err(problem()) };
        if items.len() > count {
            return Err(problem());
        }
        let fits = |text: &String| length.contains(&text.chars().count()) && !text.chars().any(char::is_control);
        let texts = items.into_iter().map(|item| if let Value::String(text) = item { Some(text).filter(fits) } else { None });
        texts.collect::<Option<Vec<_>>>().map(Some).ok_or_else(problem)
    }

    /// One of some words.
    pub fn word<T: Copy>(&mut self, field: &str, words: &[(&str, T)]) -> Result<Option<T>, Problem> {
        let name = self.name(field);
        let Some(value) = self.value(field) else { return Ok(None) };
        let found = value.as_str().and_then(|text| words.iter().find(|(word, _)| *word == text));
        found.map(|(_, value)| Some(*value)).ok_or_else(|| {
            let list: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            format!("`{name}` is none of {}.", list.join(", "))
        })
    }

    /// An object within.
    pub fn object(&mut self, field: &str, known: &[&str]) -> Result<Option<Self>, Problem> {
        let at = format!("{}.", self.name(field));
        self.value(field).map(|value| Self::of(value, at, known)).transpose()
    }

    /// A list of at most so many objects within.
    pub fn objects(&mut self, field: &str, count: usize, known: &[&str]) -> Result<Option<Vec<Self>>, Problem> {
        let name = self.name(field);
        match self.value(field) {
            None => Ok(None),
            Some(Value::Array(items)) if items.len() <= count => {
                items.into_iter().enumerate().map(|(n, item)| Self::of(item, format!("{name}[{n}]."), known)).collect::<Result<_, _>>().map(Some)
            }
            Some(_) => Err(format!("`{name}` is no list of at most {count} objects.")),
        }
    }
}

/// A problem as the 400 it is.
pub fn bad(problem: impl Into<std::borrow::Cow<'static, str>>) -> ApiError {
    ApiError::with_text(ErrorCode::BadRequest, problem)
}

/// A name from outside, cut to what an error text can carry.
fn shown(name: &str) -> String {
    crate::domain::name::display(name).chars().take(64).collect()
}

/// JSON in which no name stands twice in an object.
///
/// # Errors
/// One sentence. Nesting deeper than 128 is not read.
pub fn strict(bytes: &[u8]) -> Result<Value, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|_| "The body is not valid UTF-8.")?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Strict.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| {
        if error.is_data() {
            // Ours: serde_json adds where.
            let text = error.to_string();
            let sentence = text.split(" at line ").next().unwrap_or_default();
            format!("{sentence}.")
        } else {
            "The body is not valid JSON.".to_owned()
        }
    })
}

/// Builds a [`Value`] and refuses names that stand twice.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Strict)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(serde::de::Error::custom(format!("The field `{}` stands twice", shown(&name))));
            }
            let value = entries.next_value_seed(Strict)?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &str) -> Result<Fields, Problem> {
        Fields::parse(body.as_bytes(), &["a", "b", "list"])
    }

    #[test]
    fn what_is_wrong_with_a_body_is_named() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
        for (body, names) in [
            ("", "JSON"),
            ("{", "JSON"),
            ("[]", "object"),
            ("null", "object"),
            ("{} {}", "JSON"),
            (r#"{"a":1,"a":1}"#, "`a` stands twice"),
            (r#"{"b":{"x":1,"x":2}}"#, "`x` stands twice"),
            (r#"{"c":1}"#, "`c`"),
            (deep.as_str(), "JSON"),
        ] {
            let problem = parsed(body).unwrap_err();
            assert!(problem.contains(names), "{body:.40}: {problem}");
        }
        assert!(Fields::parse(b"{\"a\":\"\xff\"}", &["a"]).unwrap_err().contains("UTF-8"));
        assert!(strict("\u{feff}{}".as_bytes()).is_err());
    }

    #[test]
    fn fields_are_read_by_type_and_range() {
        let mut fields = parsed(r#"{"a":7,"b":"x","list":["p","q"]}"#).unwrap();
        assert_eq!(fields.number("a", 1..=7), Ok(Some(7)));
        assert_eq!(fields.text("b", 1..=1), Ok(Some("x".into())));
        assert_eq!(fields.texts("list", 2, 1..=1), Ok(Some(vec!["p".into(), "q".into()])));
        assert_eq!(fields.number("a", 1..=7), Ok(None), "read once");
        for body in [r#"{"a":8}"#, r#"{"a":"7"}"#, r#"{"a":7.0}"#, r#"{"a":-1}"#, r#"{"a":null}"#, r#"{"a":true}"#] {
            let problem = parsed(body).unwrap().number("a", 1..=7).unwrap_err();
            assert!(problem.contains("`a`"), "{body}: {problem}");
        }
        assert_eq!(parsed(r#"{"a":"7"}"#).unwrap().number_or_text("a", 1..=7), Ok(Some(7)));
        assert!(parsed(r#"{"a":"x"}"#).unwrap().number_or_text("a", 1..=7).unwrap_err().contains("`a`"));
        for body in [r#"{"a":"toolong"}"#, r#"{"a":""}"#, r#"{"a":1}"#, r#"{"a":"x\u0000"}"#, r#"{"a":null}"#] {
            assert!(parsed(body).unwrap().text("a", 1..=5).unwrap_err().contains("`a`"), "{body}");
        }
        for body in [r#"{"list":[1]}"#, r#"{"list":"p"}"#, r#"{"list":["p","q","r"]}"#, r#"{"list":[""]}"#] {
            assert!(parsed(body).unwrap().texts("list", 2, 1..=1).unwrap_err().contains("`list`"), "{body}");
        }
        assert!(parsed(r#"{"a":1}"#).unwrap().bool("a").unwrap_err().contains("`a`"));
        assert_eq!(parsed(r#"{"a":"on"}"#).unwrap().word("a", &[("on", 1), ("off", 0)]), Ok(Some(1)));
        assert!(parsed(r#"{"a":"ON"}"#).unwrap().word("a", &[("on", 1)]).unwrap_err().contains("`on`"));
        let mut nested = parsed(r#"{"list":[{"p":1},{"p":"x"}]}"#).unwrap();
        let mut objects = nested.objects("list", 2, &["p"]).unwrap().unwrap();
        assert_eq!(objects[0].number("p", 0..=1), Ok(Some(1)));
        assert!(objects[1].number("p", 0..=1).unwrap_err().contains("`list[1].p`"));
        assert!(parsed(r#"{"a":{"q":1}}"#).unwrap().object("a", &["p"]).unwrap_err().contains("`a.q`"));
        assert!(parsed("{}").unwrap().required::<u64>("a", None).unwrap_err().contains("`a` is missing"));
    }
}
