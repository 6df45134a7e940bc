//! From evaluated resources to a [`Topology`].
//!
//! What always holds: a number, name or target that a resource must have is read from the template or is
//! CloudFormation's documented default; anything else is an error with the resource's logical id.

use super::evaluate::scalar_text;
use super::stack::{Resource, Stack};
use super::topology::{
    Attribute, Bucket, EventSource, Function, Index, KeySchema, Notification, Queue, Redrive, Route, Schedule, Secret, Table, Topology,
};
use super::{TemplateError, physical_name};
use serde_json::{Map, Value};

/// Adds everything in `stack` and its nested stacks to `topology`.
pub(super) fn collect(stack: &Stack<'_>, topology: &mut Topology) -> Result<(), TemplateError> {
    for resource in stack.resources()? {
        let read = || Reader::new(stack, resource);
        match resource.kind {
            "AWS::DynamoDB::Table" => topology.tables.push(read()?.table()?),
            "AWS::SQS::Queue" => topology.queues.push(read()?.queue()?),
            "AWS::S3::Bucket" => topology.buckets.push(read()?.bucket()?),
            "AWS::SecretsManager::Secret" => topology.secrets.push(read()?.secret()?),
            "AWS::Serverless::Function" => read()?.function(resource, topology)?,
            "AWS::ApiGatewayV2::Route" => read()?.route(topology)?,
            _ => {
                if let Some(nested) = stack.nested(resource.id)? {
                    collect(&nested, topology)?;
                }
            }
        }
    }
    Ok(())
}

struct Reader<'r, 'a> {
    stack: &'r Stack<'a>,
    id: &'r str,
    properties: Map<String, Value>,
    name: String,
}

impl<'r, 'a> Reader<'r, 'a> {
    fn new(stack: &'r Stack<'a>, resource: Resource<'r>) -> Result<Self, TemplateError> {
        Ok(Self { stack, id: resource.id, properties: stack.properties(resource)?, name: physical_name(resource.id) })
    }

    fn error(&self, problem: &str) -> TemplateError {
        self.stack.error(self.id, problem)
    }

    fn at(&self, pointer: &str) -> Option<&Value> {
        let mut path = pointer.split('/');
        let first = self.properties.get(path.next()?)?;
        path.try_fold(first, |value, step| value.get(step))
    }

    fn text(&self, pointer: &str) -> Result<String, TemplateError> {
        let value = self.at(pointer).ok_or_else(|| self.error(&format!("has no `{pointer}`")))?;
        scalar_text(value).map_err(|problem| self.error(&format!("`{pointer}` {problem}")))
    }

    fn number(&self, pointer: &str, default: u32) -> Result<u32, TemplateError> {
        let Some(value) = self.at(pointer) else { return Ok(default) };
        let number = scalar_text(value).ok().and_then(|text| text.parse().ok());
        number.ok_or_else(|| self.error(&format!("`{pointer}` is `{value}`, not a whole number")))
    }

    /// Name of the queue (or function) with this ARN.
    fn named(&self, pointer: &str, value: &Value) -> Result<String, TemplateError> {
        let arn = value.as_str().filter(|text| text.starts_with("arn:"));
        let name = arn.and_then(|arn| arn.rsplit(':').next());
        name.map(str::to_owned).ok_or_else(|| self.error(&format!("`{pointer}` is `{value}`, not an ARN")))
    }

    fn table(&self) -> Result<Table, TemplateError> {
        let ttl = self.at("TimeToLiveSpecification/Enabled").and_then(Value::as_bool).unwrap_or(false);
        let mut indexes = Vec::new();
        for index in list(self.at("GlobalSecondaryIndexes")) {
            indexes.push(Index {
                name: field(index, "IndexName").ok_or_else(|| self.error("has an index without a name"))?,
                key: self.key(index.get("KeySchema"))?,
                projection: index
                    .get("Projection")
                    .and_then(|projection| field(projection, "ProjectionType"))
                    .unwrap_or_else(|| "KEYS_ONLY".to_owned()),
                included: list(index.get("Projection").and_then(|projection| projection.get("NonKeyAttributes")))
                    .iter()
                    .filter_map(|name| name.as_str().map(str::to_owned))
                    .collect(),
            });
        }
        Ok(Table {
            logical_id: self.id.to_owned(),
            name: self.name.clone(),
            key: self.key(self.at("KeySchema"))?,
            indexes,
            ttl_attribute: if ttl { Some(self.text("TimeToLiveSpecification/AttributeName")?) } else { None },
        })
    }

    fn key(&self, schema: Option<&Value>) -> Result<KeySchema, TemplateError> {
        let of_type = |wanted: &str| {
            let element = list(schema).iter().find(|element| field(element, "KeyType").as_deref() == Some(wanted));
            element.and_then(|element| field(element, "AttributeName")).map(|name| self.attribute(name)).transpose()
        };
        Ok(KeySchema { partition: of_type("HASH")?.ok_or_else(|| self.error("has a key without a `HASH` attribute"))?, sort: of_type("RANGE")? })
    }

    fn attribute(&self, name: String) -> Result<Attribute, TemplateError> {
        let definition = list(self.at("AttributeDefinitions")).iter().find(|definition| field(definition, "AttributeName").as_ref() == Some(&name));
        match definition.and_then(|definition| field(definition, "AttributeType")) {
            Some(kind) => Ok(Attribute { name, kind }),
            None => Err(self.error(&format!("does not define attribute `{name}`"))),
        }
    }

    fn queue(&self) -> Result<Queue, TemplateError> {
        let redrive = match self.at("RedrivePolicy/deadLetterTargetArn") {
            Some(arn) => Some(Redrive {
                dead_letter_queue: self.named("RedrivePolicy/deadLetterTargetArn", arn)?,
                max_receive_count: self.number("RedrivePolicy/maxReceiveCount", 10)?,
            }),
            None => None,
        };
        Ok(Queue {
            logical_id: self.id.to_owned(),
            name: self.name.clone(),
            visibility_seconds: self.number("VisibilityTimeout", 30)?,
            retention_seconds: self.number("MessageRetentionPeriod", 345_600)?,
            delay_seconds: self.number("DelaySeconds", 0)?,
            redrive,
        })
    }

    fn bucket(&self) -> Result<Bucket, TemplateError> {
        let mut notifications = Vec::new();
        for configuration in list(self.at("NotificationConfiguration/QueueConfigurations")) {
            let rules = list(configuration.pointer("/Filter/S3Key/Rules"));
            let rule = |wanted: &str| {
                let rule = rules.iter().find(|rule| field(rule, "Name").is_some_and(|name| name.eq_ignore_ascii_case(wanted)));
                rule.and_then(|rule| field(rule, "Value")).unwrap_or_default()
            };
            notifications.push(Notification {
                queue: self.named("QueueConfigurations", configuration.get("Queue").unwrap_or(&Value::Null))?,
                event: field(configuration, "Event").ok_or_else(|| self.error("has a notification without an event"))?,
                prefix: rule("prefix"),
                suffix: rule("suffix"),
            });
        }
        if let Some(other) = ["LambdaConfigurations", "TopicConfigurations", "EventBridgeConfiguration"]
            .iter()
            .find(|kind| self.at(&format!("NotificationConfiguration/{kind}")).is_some())
        {
            return Err(self.error(&format!("has `{other}`; the local host sends bucket events to queues only")));
        }
        let mut form_origins = Vec::new();
        for rule in list(self.at("CorsConfiguration/CorsRules")) {
            let texts = |name: &str| list(rule.get(name)).iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
            if texts("AllowedMethods") != ["POST"] || !texts("AllowedHeaders").is_empty() {
                return Err(self.error("has a CORS rule for more than `POST` without headers, which the local host does not play"));
            }
            form_origins.extend(texts("AllowedOrigins"));
        }
        Ok(Bucket {
            logical_id: self.id.to_owned(),
            name: self.name.clone(),
            lock_days: match self.at("ObjectLockConfiguration/Rule/DefaultRetention/Days") {
                Some(_) => Some(self.number("ObjectLockConfiguration/Rule/DefaultRetention/Days", 1)?),
                None => None,
            },
            versioned: self.at("VersioningConfiguration/Status").and_then(Value::as_str) == Some("Enabled"),
            notifications,
            form_origins,
        })
    }

    fn secret(&self) -> Result<Secret, TemplateError> {
        let known = ["ExcludeCharacters", "ExcludePunctuation", "PasswordLength"];
        let generate = self.at("GenerateSecretString").and_then(Value::as_object).ok_or_else(|| self.error("has no `GenerateSecretString`"))?;
        if let Some(other) = generate.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(self.error(&format!("has `{other}`, which the local host does not play")));
        }
        if generate.get("ExcludePunctuation").and_then(Value::as_bool) != Some(true) {
            return Err(self.error("is not of letters and digits only; the local host generates no other"));
        }
        let excluded = generate.get("ExcludeCharacters").and_then(Value::as_str).unwrap_or_default();
        if excluded.chars().any(char::is_alphanumeric) {
            return Err(self.error("excludes letters or digits, which the local host does not play"));
        }
        Ok(Secret { logical_id: self.id.to_owned(), name: self.name.clone(), length: self.number("GenerateSecretString/PasswordLength", 32)? })
    }

    fn function(&self, resource: Resource<'_>, topology: &mut Topology) -> Result<(), TemplateError> {
        let binary = resource.body.pointer("/Metadata/BuildProperties/Binary").and_then(Value::as_str);
        let mut env = std::collections::BTreeMap::new();
        for (key, value) in self.at("Environment/Variables").and_then(Value::as_object).into_iter().flatten() {
            env.insert(key.clone(), scalar_text(value).map_err(|problem| self.error(&format!("`{key}` {problem}")))?);
        }
        topology.functions.push(Function {
            logical_id: self.id.to_owned(),
            binary: binary.ok_or_else(|| self.error("has no `Metadata.BuildProperties.Binary`"))?.to_owned(),
            env,
            timeout_seconds: self.number("Timeout", 3)?,
            memory_mb: self.number("MemorySize", 128)?,
            scratch_mb: self.number("EphemeralStorage/Size", 512)?,
        });
        for (name, event) in self.at("Events").and_then(Value::as_object).into_iter().flatten() {
            let properties = event.get("Properties").and_then(Value::as_object).cloned().unwrap_or_default();
            let event_reader = Reader { stack: self.stack, id: self.id, properties, name: name.clone() };
            match event.get("Type").and_then(Value::as_str) {
                Some("SQS") => topology.event_sources.push(event_reader.event_source()?),
                Some("Schedule") => topology.schedules.push(event_reader.schedule("Schedule")?),
                Some("ScheduleV2") => topology.schedules.push(event_reader.schedule("ScheduleExpression")?),
                other => {
                    return Err(self.error(&format!("event `{name}` is of type `{}`, which the local host does not play", other.unwrap_or_default())));
                }
            }
        }
        Ok(())
    }

    fn event_source(&self) -> Result<EventSource, TemplateError> {
        Ok(EventSource {
            queue: self.named("Queue", self.at("Queue").unwrap_or(&Value::Null))?,
            function: self.id.to_owned(),
            batch_size: self.number("BatchSize", 10)?,
            report_failures: list(self.at("FunctionResponseTypes")).iter().any(|kind| kind == "ReportBatchItemFailures"),
            max_concurrency: self.at("ScalingConfig/MaximumConcurrency").map(|_| self.number("ScalingConfig/MaximumConcurrency", 0)).transpose()?,
        })
    }

    fn schedule(&self, property: &str) -> Result<Schedule, TemplateError> {
        let expression = self.text(property)?;
        let rate = expression.strip_prefix("rate(").and_then(|rest| rest.strip_suffix(')')).and_then(|rate| rate.split_once(' '));
        let seconds = rate.and_then(|(count, unit)| {
            let unit = match unit.trim_end_matches('s') {
                "minute" => 60,
                "hour" => 3600,
                "day" => 86_400,
                _ => return None,
            };
            count.parse::<u64>().ok()?.checked_mul(unit)
        });
        let rate_seconds = seconds.ok_or_else(|| self.error(&format!("`{property}` is `{expression}`, not `rate(n minutes)`")))?;
        Ok(Schedule { name: self.name.clone(), function: self.id.to_owned(), rate_seconds })
    }

    fn route(&self, topology: &mut Topology) -> Result<(), TemplateError> {
        let key = self.text("RouteKey")?;
        let target = self.text("Target")?;
        let integration = target.strip_prefix("integrations/").ok_or_else(|| self.error(&format!("`Target` is `{target}`, not an integration")))?;
        let resource = self.stack.resources()?.into_iter().find(|resource| resource.id == integration);
        let resource = resource.ok_or_else(|| self.error(&format!("names integration `{integration}`, which does not exist")))?;
        let properties = self.stack.properties(resource)?;
        // The logical id is found again when all functions are known (see `Template::resolve`).
        let function = self.named("IntegrationUri", properties.get("IntegrationUri").unwrap_or(&Value::Null))?;
        match key.split_once(' ') {
            _ if key == "$default" => topology.default_route = Some(function),
            Some((method, path)) => topology.routes.push(Route { method: method.to_owned(), path: path.to_owned(), function }),
            None => return Err(self.error(&format!("`RouteKey` is `{key}`, not a verb and a path"))),
        }
        Ok(())
    }
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn field(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().map(str::to_owned)
}
