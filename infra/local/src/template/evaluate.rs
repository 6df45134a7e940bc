//! Intrinsic functions and conditions.
//!
//! What always holds: a reference that cannot be resolved is an error, and a chain of references that
//! never ends is one too. A problem is a sentence part that follows the name of a property.

use super::physical_name;
use super::stack::{DEEPEST, NESTED, Stack};
use serde_json::{Map, Value};

impl Stack<'_> {
    /// Evaluates a value; `None` is `AWS::NoValue`.
    pub(super) fn evaluate(&self, value: &Value, depth: u32) -> Result<Option<Value>, String> {
        if depth > DEEPEST {
            return Err("is nested too deep".into());
        }
        let depth = depth + 1;
        match value {
            Value::Array(items) => {
                let mut list = Vec::new();
                for item in items {
                    list.extend(self.evaluate(item, depth)?);
                }
                Ok(Some(Value::Array(list)))
            }
            Value::Object(map) => {
                if let Some((name, argument)) = single(map).filter(|(name, _)| *name == "Ref" || name.starts_with("Fn::")) {
                    return self.intrinsic(name, argument, depth);
                }
                let mut entries = Map::new();
                for (name, item) in map {
                    if let Some(item) = self.evaluate(item, depth)? {
                        entries.insert(name.clone(), item);
                    }
                }
                Ok(Some(Value::Object(entries)))
            }
            scalar => Ok(Some(scalar.clone())),
        }
    }

    fn intrinsic(&self, name: &str, argument: &Value, depth: u32) -> Result<Option<Value>, String> {
        match (name, argument) {
            ("Ref", Value::String(target)) => self.reference(target),
            ("Fn::GetAtt", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(id), Value::String(attribute)] => self.attribute(id, attribute).map(Some),
                _ => Err(format!("has a `Fn::GetAtt` of `{argument}`")),
            },
            ("Fn::Sub", Value::String(text)) => self.substitute(text, &Map::new()).map(Some),
            ("Fn::Sub", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(text), Value::Object(own)] => match self.evaluate(&Value::Object(own.clone()), depth)? {
                    Some(Value::Object(own)) => self.substitute(text, &own).map(Some),
                    _ => Err("has a `Fn::Sub` without values".into()),
                },
                _ => Err(format!("has a `Fn::Sub` of `{argument}`")),
            },
            ("Fn::If", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(condition), then, otherwise] => self.evaluate(if self.condition(condition, depth)? { then } else { otherwise }, depth),
                _ => Err(format!("has a `Fn::If` of `{argument}`")),
            },
            ("Fn::Join" | "Fn::Split", Value::Array(parts)) => {
                let [Value::String(delimiter), operand] = parts.as_slice() else { return Err(format!("has a `{name}` of `{argument}`")) };
                match (name, self.evaluate(operand, depth)?) {
                    ("Fn::Join", Some(Value::Array(items))) => {
                        let texts = items.iter().map(scalar_text).collect::<Result<Vec<_>, _>>()?;
                        Ok(Some(Value::from(texts.join(delimiter))))
                    }
                    ("Fn::Split", Some(Value::String(text))) => Ok(Some(text.split(delimiter.as_str()).collect())),
                    _ => Err(format!("has a `{name}` of `{argument}`")),
                }
            }
            _ => Err(format!("uses `{name}`, which the local host does not evaluate")),
        }
    }

    fn reference(&self, target: &str) -> Result<Option<Value>, String> {
        let pseudo = match target {
            "AWS::NoValue" => return Ok(None),
            "AWS::Region" => Some(self.deployment.region),
            "AWS::AccountId" => Some(self.deployment.account),
            "AWS::Partition" => Some("aws"),
            "AWS::URLSuffix" => Some("amazonaws.com"),
            "AWS::StackName" => Some("portcullis"),
            _ => None,
        };
        if let Some(text) = pseudo {
            return Ok(Some(text.into()));
        }
        if let Some(value) = self.parameters.get(target) {
            return Ok(Some(value.clone()));
        }
        let kind = self.kind_of(target)?;
        let name = physical_name(target);
        Ok(Some(match kind {
            "AWS::SQS::Queue" => (self.deployment.queue_url)(&name).into(),
            "AWS::SecretsManager::Secret" => self.secret_arn(&name).into(),
            "AWS::S3::Bucket" | "AWS::DynamoDB::Table" | "AWS::Serverless::Function" => name.into(),
            _ => target.into(),
        }))
    }

    fn attribute(&self, id: &str, attribute: &str) -> Result<Value, String> {
        let kind = self.kind_of(id)?;
        if let (Some(output), true) = (attribute.strip_prefix("Outputs."), NESTED.iter().any(|(nested, _)| *nested == kind)) {
            let stack = self
                .nested(id)
                .map_err(|error| format!("needs `{id}`: {error}"))?
                .ok_or_else(|| format!("needs `{id}`, whose condition does not hold"))?;
            return stack.output(output);
        }
        let name = physical_name(id);
        let (region, account) = (self.deployment.region, self.deployment.account);
        Ok(Value::from(match (kind, attribute) {
            ("AWS::SQS::Queue", "Arn") => format!("arn:aws:sqs:{region}:{account}:{name}"),
            ("AWS::SQS::Queue", "QueueName") => name,
            ("AWS::S3::Bucket", "Arn") => format!("arn:aws:s3:::{name}"),
            ("AWS::DynamoDB::Table", "Arn") => format!("arn:aws:dynamodb:{region}:{account}:table/{name}"),
            ("AWS::Serverless::Function", "Arn") => format!("arn:aws:lambda:{region}:{account}:function:{name}"),
            ("AWS::SecretsManager::Secret", "Id") => self.secret_arn(&name),
            // Roles, log groups: something to pass around; nothing local reads it.
            _ => format!("arn:aws:local:{region}:{account}:{id}/{attribute}"),
        }))
    }

    /// AWS adds six random characters.
    fn secret_arn(&self, name: &str) -> String {
        format!("arn:aws:secretsmanager:{}:{}:secret:{name}", self.deployment.region, self.deployment.account)
    }

    fn output(&self, name: &str) -> Result<Value, String> {
        let value = self.document.get("Outputs").and_then(|outputs| outputs.get(name)?.get("Value"));
        let value = value.ok_or_else(|| format!("needs output `{name}`, which {} does not have", self.file))?;
        self.evaluate(value, 0)?.ok_or_else(|| format!("needs output `{name}`, which has no value"))
    }

    fn kind_of(&self, id: &str) -> Result<&str, String> {
        let resource = self.document.get("Resources").and_then(|resources| resources.get(id)?.get("Type"));
        resource.and_then(Value::as_str).ok_or_else(|| format!("refers to `{id}`, which {} does not have", self.file))
    }

    fn substitute(&self, text: &str, own: &Map<String, Value>) -> Result<Value, String> {
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, tail) = after.split_once('}').ok_or_else(|| format!("has a `Fn::Sub` with an open brace: `{text}`"))?;
            result.push_str(before);
            rest = tail;
            let value = match (name.strip_prefix('!'), own.get(name), name.split_once('.')) {
                (Some(literal), ..) => Value::from(format!("${{{literal}}}")),
                (_, Some(value), _) => value.clone(),
                (_, _, Some((id, attribute))) => self.attribute(id, attribute)?,
                _ => self.reference(name)?.unwrap_or_default(),
            };
            result.push_str(&scalar_text(&value)?);
        }
        result.push_str(rest);
        Ok(Value::from(result))
    }

    pub(super) fn condition(&self, name: &str, depth: u32) -> Result<bool, String> {
        let body = self.section("Conditions").and_then(|conditions| conditions.get(name));
        self.holds(body.ok_or_else(|| format!("needs condition `{name}`, which {} does not have", self.file))?, depth + 1)
    }

    fn holds(&self, body: &Value, depth: u32) -> Result<bool, String> {
        if depth > DEEPEST {
            return Err("needs a condition that refers to itself".into());
        }
        let (name, argument) = body.as_object().and_then(single).ok_or_else(|| format!("needs condition `{body}`"))?;
        match (name, argument) {
            ("Condition", Value::String(other)) => self.condition(other, depth),
            ("Fn::Not", Value::Array(parts)) => match parts.as_slice() {
                [part] => Ok(!self.holds(part, depth + 1)?),
                _ => Err(format!("needs condition `{body}`")),
            },
            ("Fn::And" | "Fn::Or", Value::Array(parts)) => {
                let parts = parts.iter().map(|part| self.holds(part, depth + 1)).collect::<Result<Vec<_>, _>>()?;
                Ok(if name == "Fn::And" { parts.iter().all(|part| *part) } else { parts.iter().any(|part| *part) })
            }
            ("Fn::Equals", Value::Array(parts)) => match parts.as_slice() {
                [left, right] => {
                    let side = |value| self.evaluate(value, depth)?.as_ref().map_or(Ok(String::new()), scalar_text);
                    Ok(side(left)? == side(right)?)
                }
                _ => Err(format!("needs condition `{body}`")),
            },
            _ => Err(format!("needs condition `{body}`, which the local host does not evaluate")),
        }
    }
}

/// The only entry of a map that has one.
fn single(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut entries = map.iter();
    let (name, value) = entries.next()?;
    entries.next().is_none().then_some((name.as_str(), value))
}

/// CloudFormation compares and joins everything as text.
pub(super) fn scalar_text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        other => Err(format!("has `{other}` where a text is needed")),
    }
}
