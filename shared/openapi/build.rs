//! Makes one JSON document of `document/*.yaml`, so that nothing has to read YAML at run time.
//!
//! Every file holds a part of the document. Objects of the same place are put together; a key that two files give is an error.

use std::error::Error;
use std::path::Path;

use serde_json::{Map, Value};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=document");
    println!("cargo:rerun-if-changed=build.rs");
    let mut files = std::fs::read_dir("document")?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    files.sort();
    let mut document = Map::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "yaml")) {
        println!("cargo:rerun-if-changed={}", file.display());
        let part = read(file).map_err(|e| format!("{}: {e}", file.display()))?;
        add(&mut document, part, "").map_err(|e| format!("{}: {e}", file.display()))?;
    }
    if let Some(info) = document.get_mut("info").and_then(Value::as_object_mut) {
        info.insert("version".into(), std::env::var("CARGO_PKG_VERSION")?.into());
    }
    let out = Path::new(&std::env::var("OUT_DIR")?).join("openapi.json");
    std::fs::write(out, serde_json::to_string(&document)?)?;
    Ok(())
}

fn read(file: &Path) -> Result<Map<String, Value>, Box<dyn Error>> {
    let mut yaml: serde_yaml_ng::Value = serde_yaml_ng::from_str(&std::fs::read_to_string(file)?)?;
    yaml.apply_merge()?;
    match serde_json::to_value(yaml)? {
        Value::Object(part) => Ok(part),
        _ => Err("the file is no object".into()),
    }
}

fn add(whole: &mut Map<String, Value>, part: Map<String, Value>, place: &str) -> Result<(), Box<dyn Error>> {
    for (key, value) in part {
        let here = format!("{place}/{key}");
        match (whole.get_mut(&key), value) {
            (None, value) => {
                whole.insert(key, value);
            }
            (Some(Value::Object(known)), Value::Object(more)) => add(known, more, &here)?,
            (Some(Value::Array(known)), Value::Array(more)) if place.is_empty() => known.extend(more),
            _ => return Err(format!("`{here}` stands in another file already").into()),
        }
    }
    Ok(())
}
