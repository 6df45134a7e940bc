//! One template file: YAML in, plain JSON with long-form intrinsic functions out.
//!
//! What always holds: after [`parse`] there are no YAML tags; `!GetAtt A.B` and `Fn::GetAtt: [A, B]`
//! look the same.

use serde_json::{Map, Value, json};
use serde_yaml_ng::Value as Yaml;

/// Parses the text of a template.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let yaml: Yaml = serde_yaml_ng::from_str(text).map_err(|error| format!("is not YAML: {error}"))?;
    plain(yaml)
}

fn plain(yaml: Yaml) -> Result<Value, String> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => Value::Bool(value),
        Yaml::Number(number) => serde_json::to_value(number).map_err(|error| error.to_string())?,
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(items) => Value::Array(items.into_iter().map(plain).collect::<Result<_, _>>()?),
        Yaml::Mapping(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                map.insert(key_text(&key)?, plain(value)?);
            }
            Value::Object(map)
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let value = plain(tagged.value)?;
            match tag.trim_start_matches('!') {
                name @ ("Ref" | "Condition") => json!({ name: value }),
                "GetAtt" => json!({ "Fn::GetAtt": attribute(value)? }),
                name => json!({ format!("Fn::{name}"): value }),
            }
        }
    })
}

fn key_text(key: &Yaml) -> Result<String, String> {
    match key {
        Yaml::String(text) => Ok(text.clone()),
        Yaml::Number(number) => Ok(number.to_string()),
        Yaml::Bool(value) => Ok(value.to_string()),
        other => Err(format!("has a key that is not text: {other:?}")),
    }
}

fn attribute(value: Value) -> Result<Value, String> {
    match value {
        Value::String(text) => match text.split_once('.') {
            Some((id, name)) => Ok(json!([id, name])),
            None => Err(format!("`!GetAtt {text}` names no attribute")),
        },
        list => Ok(list),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_become_long_forms() {
        let value = parse("a: !Ref X\nb: !GetAtt Y.Outputs.Z\nc: !If [C, !Sub '${X}', {Fn::GetAtt: [Y, Arn]}]").unwrap();
        assert_eq!(
            value,
            json!({
                "a": {"Ref": "X"},
                "b": {"Fn::GetAtt": ["Y", "Outputs.Z"]},
                "c": {"Fn::If": ["C", {"Fn::Sub": "${X}"}, {"Fn::GetAtt": ["Y", "Arn"]}]},
            })
        );
    }

    #[test]
    fn text_that_is_not_yaml_says_where() {
        assert!(parse("a: [").unwrap_err().contains("line"));
        assert!(parse("a: !GetAtt Y").unwrap_err().contains("!GetAtt Y"));
    }
}
