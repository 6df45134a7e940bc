//! Answers held against the OpenAPI document: a status, a field or a value that it does not know fails the test that saw it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock};

use jsonschema::{Draft, Validator};
use portcullis_core::http::routes::{LEGACY_PREFIX, ROUTES, Route};
use portcullis_openapi::{document, resolve};
use serde_json::{Value, json};

/// Paths of base URLs, as of a stage: they come before the API's own.
fn bases() -> &'static Mutex<BTreeSet<String>> {
    static BASES: OnceLock<Mutex<BTreeSet<String>>> = OnceLock::new();
    BASES.get_or_init(Mutex::default)
}

/// A client speaks to an API at this URL.
pub fn served_at(url: &str) {
    let path = reqwest::Url::parse(url).map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default();
    bases().lock().unwrap().insert(path);
}

/// The route of a request, by the rules of the gateway: of those with its verb a literal segment beats a parameter.
pub fn route(method: &str, path: &str) -> Option<&'static Route> {
    let path = path.strip_prefix(LEGACY_PREFIX).filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(path);
    let wanted: Vec<&str> = path.trim_matches('/').split('/').collect();
    let fits = |route: &&Route| {
        let parts: Vec<&str> = route.path.trim_matches('/').split('/').collect();
        parts.len() == wanted.len() && parts.iter().zip(&wanted).all(|(part, is)| part == is || (part.starts_with('{') && !is.is_empty()))
    };
    let literal = |route: &&Route| route.path.split('/').map(|part| !part.starts_with('{')).collect::<Vec<_>>();
    ROUTES.iter().filter(|route| route.method == method).filter(fits).max_by_key(literal)
}

/// The document's operation for a route.
pub fn operation(route: &Route) -> &'static Value {
    &document()["paths"][route.path][route.method.to_lowercase()]
}

/// A validator for a schema of the document.
pub fn validator(schema: &Value) -> Arc<Validator> {
    static CACHE: OnceLock<Mutex<HashMap<String, Arc<Validator>>>> = OnceLock::new();
    let key = schema.to_string();
    let mut cache = CACHE.get_or_init(Mutex::default).lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let made = cache.entry(key).or_insert_with(|| {
        let whole = json!({ "allOf": [schema], "components": document()["components"] });
        Arc::new(jsonschema::options().with_draft(Draft::Draft202012).build(&whole).unwrap_or_else(|e| panic!("{e}: {schema}")))
    });
    Arc::clone(made)
}

/// What is wrong with a value by a schema of the document; empty when nothing.
pub fn problems(schema: &Value, value: &Value) -> Vec<String> {
    let resolved = resolve(schema);
    let alternatives = resolved["anyOf"].as_array();
    match alternatives {
        // What is said of the alternative that the value comes nearest to says more than that none fits.
        Some(alternatives) if !validator(schema).is_valid(value) => {
            alternatives.iter().map(|one| problems(one, value)).min_by_key(Vec::len).unwrap_or_default()
        }
        _ => validator(schema).iter_errors(value).map(|error| format!("{} at `{}`", error, error.instance_path())).collect(),
    }
}

/// Holds one JSON answer against the document.
pub fn check(method: &str, path: &str, status: u16, answer: &Value) {
    let base = bases().lock().unwrap().iter().filter(|base| path.starts_with(base.as_str())).max_by_key(|base| base.len()).cloned();
    let path = path.strip_prefix(base.as_deref().unwrap_or_default()).unwrap_or(path);
    let error = json!({ "$ref": "#/components/schemas/Error" });
    let schema = match route(method, path) {
        // Unknown paths and verbs have no place in the document; what they answer has.
        None => {
            assert!(status == 404 || status == 405, "{method} {path}: {status} of a path that no route has: {answer}");
            &error
        }
        Some(route) => {
            let response = resolve(&operation(route)["responses"][status.to_string()]);
            assert!(response.is_object(), "{method} {}: the document has no status {status}: {answer}", route.path);
            &response["content"]["application/json"]["schema"]
        }
    };
    if status == 304 {
        // It has no body (RFC 9110 §15.4.5).
        assert!(answer.is_null() && schema.is_null(), "{method} {path}: {answer}");
        return;
    }
    assert!(schema.is_object(), "{method} {path}: the document has no JSON for {status}: {answer}");
    let problems = problems(schema, answer);
    assert!(problems.is_empty(), "{method} {path} {status}: not as the document says:\n{}\nin {answer}", problems.join("\n"));
}
