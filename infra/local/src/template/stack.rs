//! A template file in its place: its parameters, its resources, its nested stacks.
//!
//! What always holds: every declared parameter has a value, and no value is given that is not declared.

use super::{Deployment, Template, TemplateError};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Types of a nested stack, and the property that names its file.
pub(super) const NESTED: &[(&str, &str)] = &[("AWS::Serverless::Application", "Location"), ("AWS::CloudFormation::Stack", "TemplateURL")];

/// Files of the nested stacks of a template file.
pub(super) fn locations(document: &Value) -> impl Iterator<Item = &str> {
    let resources = document.get("Resources").and_then(Value::as_object).into_iter().flatten();
    resources.filter_map(|(_, resource)| {
        let kind = resource.get("Type")?.as_str()?;
        let (_, property) = NESTED.iter().find(|(nested, _)| *nested == kind)?;
        resource.get("Properties")?.get(property)?.as_str()
    })
}

/// References that lead to each other end here.
pub(super) const DEEPEST: u32 = 64;

/// A template file with its parameters.
pub(super) struct Stack<'a> {
    /// Its file.
    pub(super) file: String,
    pub(super) document: &'a Value,
    pub(super) parameters: BTreeMap<String, Value>,
    template: &'a Template,
    pub(super) deployment: Deployment<'a>,
    depth: u32,
    /// Nested stacks whose parameters are being evaluated.
    opening: RefCell<BTreeSet<String>>,
}

/// A resource that is created (its condition holds).
#[derive(Clone, Copy)]
pub(super) struct Resource<'s> {
    /// Logical id.
    pub(super) id: &'s str,
    /// E.g. `AWS::SQS::Queue`.
    pub(super) kind: &'s str,
    /// All of it, not evaluated.
    pub(super) body: &'s Value,
}

impl<'a> Stack<'a> {
    /// Opens the root stack.
    pub(super) fn root(template: &'a Template, deployment: Deployment<'a>) -> Result<Self, TemplateError> {
        let given = deployment.parameters.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        Self::open(template, deployment, super::ROOT.to_owned(), &given, 0)
    }

    fn open(
        template: &'a Template,
        deployment: Deployment<'a>,
        file: String,
        given: &BTreeMap<String, Value>,
        depth: u32,
    ) -> Result<Self, TemplateError> {
        let document = template.document(&file)?;
        let mut stack = Self { file, document, parameters: BTreeMap::new(), template, deployment, depth, opening: RefCell::default() };
        let declared = document.get("Parameters").and_then(Value::as_object).cloned().unwrap_or_default();
        if let Some(unknown) = given.keys().find(|name| !declared.contains_key(*name)) {
            return Err(stack.error(unknown, "is given but not declared as a parameter"));
        }
        for (name, declaration) in declared {
            let value = given.get(&name).or_else(|| declaration.get("Default")).cloned();
            let value = value.ok_or_else(|| stack.error(&name, "is a parameter without a value"))?;
            let is_list = declaration.get("Type").and_then(Value::as_str) == Some("CommaDelimitedList");
            let value = match value {
                Value::String(text) if is_list => text.split(',').map(|item| Value::from(item.trim())).collect(),
                other => other,
            };
            stack.parameters.insert(name, value);
        }
        Ok(stack)
    }

    /// The stack that the resource `id` opens, if it is a nested one.
    pub(super) fn nested(&self, id: &str) -> Result<Option<Self>, TemplateError> {
        let Some(resource) = self.resources()?.into_iter().find(|resource| resource.id == id) else { return Ok(None) };
        let Some((_, property)) = NESTED.iter().find(|(kind, _)| *kind == resource.kind) else { return Ok(None) };
        if self.depth > DEEPEST || !self.opening.borrow_mut().insert(id.to_owned()) {
            return Err(self.error(id, "is reached through a chain of references that does not end"));
        }
        let properties = self.properties(resource);
        self.opening.borrow_mut().remove(id);
        let properties = properties?;
        let location = properties.get(*property).and_then(Value::as_str).ok_or_else(|| self.error(id, &format!("has no `{property}`")))?;
        let given = properties.get("Parameters").and_then(Value::as_object).cloned().unwrap_or_default().into_iter().collect();
        let file = super::beside(&self.file, location);
        Self::open(self.template, self.deployment, file, &given, self.depth + 1).map(Some)
    }

    /// The resources of this file that are created.
    pub(super) fn resources(&self) -> Result<Vec<Resource<'_>>, TemplateError> {
        let mut found = Vec::new();
        for (id, body) in self.section("Resources").into_iter().flatten() {
            let wanted = match body.get("Condition").and_then(Value::as_str) {
                Some(condition) => self.condition(condition, 0).map_err(|problem| self.error(id, &problem))?,
                None => true,
            };
            let kind = body.get("Type").and_then(Value::as_str).ok_or_else(|| self.error(id, "has no `Type`"))?;
            if wanted {
                found.push(Resource { id, kind, body });
            }
        }
        Ok(found)
    }

    /// The evaluated properties of a resource, those of `Globals` among them.
    pub(super) fn properties(&self, resource: Resource<'_>) -> Result<Map<String, Value>, TemplateError> {
        let mut properties = self.globals(resource.kind);
        super::merge(&mut properties, resource.body.get("Properties").unwrap_or(&Value::Null));
        let mut evaluated = Map::new();
        for (name, value) in properties {
            let value = self.evaluate(&value, 0).map_err(|problem| self.error(resource.id, &format!("`{name}` {problem}")))?;
            if let Some(value) = value {
                evaluated.insert(name, value);
            }
        }
        Ok(evaluated)
    }

    /// An error about a resource, parameter or output of this file.
    pub(super) fn error(&self, id: &str, problem: &str) -> TemplateError {
        TemplateError { file: self.file.clone(), logical_id: Some(id.to_owned()), problem: problem.to_owned() }
    }

    pub(super) fn section(&self, name: &str) -> Option<&Map<String, Value>> {
        self.document.get(name).and_then(Value::as_object)
    }

    fn globals(&self, kind: &str) -> Map<String, Value> {
        let section = kind.strip_prefix("AWS::Serverless::").and_then(|kind| self.document.get("Globals")?.get(kind));
        section.and_then(Value::as_object).cloned().unwrap_or_default()
    }
}
