//! Reads `template.yaml` and its nested parts, so that the local host runs what is deployed.
//!
//! What always holds: the reader invents nothing. A property that it needs and cannot resolve is an
//! error that names the file and the logical id; the only defaults are CloudFormation's own.

mod assemble;
mod document;
mod evaluate;
mod stack;
mod topology;

pub use topology::*;

use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// File of the root stack.
const ROOT: &str = "template.yaml";

/// The files this binary was built with.
const EMBEDDED: &[(&str, &str)] = &[
    (ROOT, include_str!("../../../../template.yaml")),
    ("infra/access.yaml", include_str!("../../../access.yaml")),
    ("infra/alarms.yaml", include_str!("../../../alarms.yaml")),
    ("infra/api.yaml", include_str!("../../../api.yaml")),
    ("infra/dashboard.yaml", include_str!("../../../dashboard.yaml")),
    ("infra/front.yaml", include_str!("../../../front.yaml")),
    ("infra/queues.yaml", include_str!("../../../queues.yaml")),
    ("infra/storage.yaml", include_str!("../../../storage.yaml")),
];

/// A template with its nested parts.
#[derive(Clone, Debug)]
pub struct Template {
    /// File (relative to the folder of the root template) → content without YAML tags.
    files: BTreeMap<String, Value>,
}

/// What a local deployment of the template is given.
#[derive(Clone, Copy)]
pub struct Deployment<'a> {
    /// Parameters that differ from their defaults.
    pub parameters: &'a BTreeMap<String, String>,
    /// Region in ARNs, e.g. `us-east-1`.
    pub region: &'a str,
    /// Account in ARNs, twelve digits.
    pub account: &'a str,
    /// URL of the queue with this physical name.
    pub queue_url: &'a dyn Fn(&str) -> String,
}

/// Why a template cannot be hosted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {}{problem}", .logical_id.as_ref().map(|id| format!("`{id}` ")).unwrap_or_default())]
pub struct TemplateError {
    /// The file.
    pub file: String,
    /// The resource or parameter, where one is to blame.
    pub logical_id: Option<String>,
    /// What is wrong with it.
    pub problem: String,
}

impl Template {
    /// The template this binary was built with.
    pub fn embedded() -> Result<Self, TemplateError> {
        Self::load(&|file| {
            let found = EMBEDDED.iter().find(|(name, _)| *name == file);
            found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| "is not among the embedded files".to_owned())
        })
    }

    /// The template in a folder: `template.yaml`, and the parts it names.
    pub fn from_dir(folder: &Path) -> Result<Self, TemplateError> {
        Self::load(&|file| std::fs::read_to_string(folder.join(file)).map_err(|error| format!("cannot be read: {error}")))
    }

    fn load(read: &dyn Fn(&str) -> Result<String, String>) -> Result<Self, TemplateError> {
        let mut files = BTreeMap::new();
        let mut wanted = vec![ROOT.to_owned()];
        while let Some(file) = wanted.pop() {
            let document = read(&file).and_then(|text| document::parse(&text));
            let document = document.map_err(|problem| TemplateError { file: file.clone(), logical_id: None, problem })?;
            wanted.extend(stack::locations(&document).map(|location| beside(&file, location)).filter(|part| !files.contains_key(part)));
            files.insert(file, document);
        }
        Ok(Self { files })
    }

    /// The files: name relative to the folder of the root template, content without YAML tags
    /// (`!Ref X` is `{"Ref": "X"}`, `!GetAtt X.Arn` is `{"Fn::GetAtt": ["X", "Arn"]}`).
    pub fn files(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.files.iter().map(|(name, document)| (name.as_str(), document))
    }

    fn document(&self, file: &str) -> Result<&Value, TemplateError> {
        let missing = || TemplateError { file: file.to_owned(), logical_id: None, problem: "was not loaded".to_owned() };
        self.files.get(file).ok_or_else(missing)
    }

    /// The topology of a local deployment. Physical names are derived from logical ids ([`physical_name`]).
    pub fn resolve(&self, deployment: Deployment<'_>) -> Result<Topology, TemplateError> {
        let mut topology = Topology::default();
        assemble::collect(&stack::Stack::root(self, deployment)?, &mut topology)?;
        topology.name_functions().and_then(|()| topology.check()).map_err(|problem| TemplateError {
            file: ROOT.to_owned(),
            logical_id: None,
            problem,
        })?;
        Ok(topology)
    }
}

impl Topology {
    /// Routes are read with the physical name of their function; from here on they say the logical id.
    fn name_functions(&mut self) -> Result<(), String> {
        let ids: BTreeMap<String, String> =
            self.functions.iter().map(|function| (physical_name(&function.logical_id), function.logical_id.clone())).collect();
        for target in self.routes.iter_mut().map(|route| &mut route.function).chain(&mut self.default_route) {
            *target = ids.get(target).ok_or_else(|| format!("has a route to function `{target}`, which does not exist"))?.clone();
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let ids = self.tables.iter().map(|table| &table.logical_id).chain(self.queues.iter().map(|queue| &queue.logical_id));
        let ids = ids.chain(self.buckets.iter().map(|bucket| &bucket.logical_id)).chain(self.secrets.iter().map(|secret| &secret.logical_id));
        let ids = ids.chain(self.functions.iter().map(|function| &function.logical_id));
        let mut seen = BTreeSet::new();
        if let Some(twin) = ids.into_iter().find(|id| !seen.insert(*id)) {
            return Err(format!("has two resources `{twin}`; physical names are made from logical ids"));
        }
        let redrives = self.queues.iter().filter_map(|queue| queue.redrive.as_ref()).map(|redrive| &redrive.dead_letter_queue);
        let notifications = self.buckets.iter().flat_map(|bucket| &bucket.notifications).map(|notification| &notification.queue);
        let mut queues = redrives.chain(notifications).chain(self.event_sources.iter().map(|source| &source.queue));
        match queues.find(|name| !self.queues.iter().any(|queue| queue.name == **name)) {
            Some(name) => Err(format!("refers to queue `{name}`, which does not exist")),
            None => Ok(()),
        }
    }
}

/// Physical name of a resource on a laptop: `UploadBucket` → `portcullis-upload-bucket`.
pub fn physical_name(logical_id: &str) -> String {
    let mut name = String::from("portcullis");
    for letter in logical_id.chars() {
        if letter.is_uppercase() {
            name.push('-');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

/// The path of `location` as `file` means it: relative to the folder of `file`.
fn beside(file: &str, location: &str) -> String {
    let location = location.trim_start_matches("./");
    match file.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{location}"),
        None => location.to_owned(),
    }
}

/// Puts `over` over `base`, map by map.
fn merge(base: &mut Map<String, Value>, over: &Value) {
    for (name, value) in over.as_object().into_iter().flatten() {
        match base.get_mut(name) {
            Some(Value::Object(map)) if value.is_object() => merge(map, value),
            _ => {
                base.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests;
