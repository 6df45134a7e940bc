//! Every JSON body of the API, spoilt in every way: generated from the request schemas and examples of the OpenAPI document.
//!
//! What the document calls wrong must be refused with 400 and a text that names the field; so the document can not promise
//! checks that the code does not make. None of these bodies changes anything.

use portcullis_core::http::routes::{ROUTES, Route};
use portcullis_openapi::resolve;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::support::client::{Answer, Client, send};
use crate::support::description::{operation, validator};
use crate::target::Target;

/// Largest JSON body that is read, in bytes.
const LIMIT: usize = 1024 * 1024;

/// A route that takes JSON, with what the document says of its body.
struct Body {
    route: &'static Route,
    path: String,
    schema: &'static Value,
    example: Value,
    /// Without a body the route does nothing.
    required: bool,
}

/// A spoilt body, and what the answer must name.
struct Spoilt {
    what: String,
    body: Vec<u8>,
    names: Option<String>,
}

/// All ready routes with a JSON body. `id`: of a user that nobody needs.
fn bodies(id: u64) -> Vec<Body> {
    let ready = ROUTES.iter().filter(|route| route.ready);
    ready
        .filter_map(|route| {
            let request = resolve(&operation(route)["requestBody"]);
            let content = &request["content"]["application/json"];
            let example = content.get("example").cloned().or_else(|| content["examples"].as_object()?.values().next()?.get("value").cloned());
            let schema = content.get("schema")?;
            let example = example.unwrap_or_else(|| panic!("{} {}: the document has no example of the body", route.method, route.path));
            assert!(validator(schema).is_valid(&example), "{} {}: the example is not as its schema says", route.method, route.path);
            let id = if route.path.starts_with("/admin/user/") { id } else { 1 };
            let path: Vec<String> = route.path.split('/').map(|part| if part.starts_with('{') { id.to_string() } else { part.to_owned() }).collect();
            Some(Body { route, path: path.join("/"), schema, example, required: request["required"] == true })
        })
        .collect()
}

/// Values of every kind, in and out of many ranges.
fn values() -> Vec<Value> {
    let texts = ["", "\u{0}", "no such word", "🂡/\\\"'<>", "s3://A/x"].map(Value::from);
    let long = Value::from("x".repeat(3000));
    let numbers = [json!(-1), json!(0), json!(0.5), json!(1e30), json!(u64::MAX), json!(i64::MIN), json!(1_000_001), json!(4_000_000_000_u64)];
    let others = [
        Value::Null,
        json!(true),
        json!([]),
        json!({}),
        json!([[]]),
        json!([null]),
        json!({ "unknown": 1 }),
        json!([{ "unknown": [] }]),
        json!([["s3://bucket/x", "enabled"]]),
    ];
    texts.into_iter().chain([long]).chain(numbers).chain(others).collect()
}

/// A copy with something done to the object at `place`.
fn at(whole: &Value, place: &str, change: impl FnOnce(&mut Map<String, Value>)) -> Value {
    let mut copy = whole.clone();
    change(copy.pointer_mut(place).and_then(Value::as_object_mut).unwrap());
    copy
}

/// Every object of an example: its place, and its schema.
fn objects<'a>(value: &Value, schema: &'a Value, place: &str, found: &mut Vec<(String, &'a Value)>) {
    let schema = resolve_in(schema);
    match value {
        Value::Object(fields) => {
            found.push((place.to_owned(), schema));
            for (name, field) in fields {
                let of_field = schema["properties"].get(name).or_else(|| schema.get("additionalProperties")).unwrap_or(&Value::Null);
                objects(field, of_field, &format!("{place}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                objects(item, &schema["items"], &format!("{place}/{n}"), found);
            }
        }
        _ => {}
    }
}

fn resolve_in(schema: &Value) -> &Value {
    if schema.get("$ref").is_some() { resolve(schema) } else { schema }
}

/// The body spoilt field by field, wherever the schema says that it is spoilt then.
fn field_by_field(body: &Body) -> Vec<Spoilt> {
    let judge = validator(body.schema);
    let mut spoilt = Vec::new();
    let mut add = |what: String, changed: Value, names: Option<&str>| {
        if !judge.is_valid(&changed) {
            spoilt.push(Spoilt { what, body: changed.to_string().into_bytes(), names: names.map(str::to_owned) });
        }
    };
    let mut found = Vec::new();
    objects(&body.example, body.schema, "", &mut found);
    for (place, schema) in found {
        let none = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&none);
        for name in properties.keys() {
            let missing = at(&body.example, &place, |fields| drop(fields.remove(name)));
            add(format!("without `{name}` at `{place}`"), missing, Some(name));
            for value in values() {
                let what = format!("`{name}` at `{place}` is `{:.60}`", value.to_string());
                add(what, at(&body.example, &place, |fields| drop(fields.insert(name.clone(), value))), Some(name));
            }
        }
        let unknown = at(&body.example, &place, |fields| drop(fields.insert("no_such_field".into(), json!(1))));
        add(format!("an unknown field at `{place}`"), unknown, Some("no_such_field"));
    }
    spoilt
}

/// The body spoilt as a whole.
fn as_a_whole(body: &Body) -> Vec<Spoilt> {
    let text = body.example.to_string();
    let inner = text.trim_start_matches('{').trim_end_matches('}');
    let mut spoilt = vec![];
    let mut add = |what: &str, body: Vec<u8>, names: Option<String>| spoilt.push(Spoilt { what: what.to_owned(), body, names });
    if body.required {
        add("nothing", Vec::new(), None);
    }
    for whole in ["{", "null", "true", "7", "\"text\"", "[]", "[1,2]", "{}{}", "{'a':1}", "{\"a\":NaN}", "\u{feff}{}"] {
        add(whole, whole.as_bytes().to_vec(), None);
    }
    if let Some((name, value)) = body.example.as_object().and_then(|fields| fields.iter().next()) {
        let twice = format!("{{{}:{value},{inner}}}", Value::from(name.as_str()));
        add("a field twice", twice.into_bytes(), Some(name.clone()));
    }
    let more =
        |value: String| if inner.is_empty() { format!("{{\"no_such_field\":{value}}}") } else { format!("{{{inner},\"no_such_field\":{value}}}") };
    add("nested deeply in arrays", more(format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))).into_bytes(), None);
    add("nested deeply in objects", more(format!("{}1{}", "{\"a\":".repeat(50_000), "}".repeat(50_000))).into_bytes(), None);
    add("larger than is read", more(Value::from("x".repeat(LIMIT)).to_string()).into_bytes(), None);
    add("latin-1", [b"{\"no_such_field\":\"gr\xfcn\",".as_slice(), inner.as_bytes(), b"}"].concat(), None);
    add("broken UTF-8", [b"{\"no_such_field\":\"\xe2\x82\",".as_slice(), inner.as_bytes(), b"}"].concat(), None);
    add("UTF-16", text.encode_utf16().flat_map(u16::to_le_bytes).collect(), None);
    add("UTF-16 with its mark", [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect(), None);
    add("half a surrogate", more("\"\\ud800\"".to_owned()).into_bytes(), None);
    spoilt
}

async fn post(client: &Client, body: &Body, content: Vec<u8>) -> Answer {
    let method = Method::from_bytes(body.route.method.as_bytes()).unwrap();
    // `send` holds the answer against the document: its status, and `{"err": …}` and nothing else.
    send(client.request(method, &body.path).body(content)).await
}

/// What was wrong with the answers to spoilt bodies, each in a line.
async fn complaints(client: &Client, bodies: &[Body], spoil: fn(&Body) -> Vec<Spoilt>) -> (usize, Vec<String>) {
    let (mut asked, mut wrong) = (0, Vec::new());
    // A deployment runs the same code, and costs 0.1 s a request: every tenth is enough to see that its gateway changes nothing.
    let every = if Target::get().local { 1 } else { 10 };
    for body in bodies {
        for Spoilt { what, body: content, names } in spoil(body).into_iter().step_by(every) {
            asked += 1;
            let answer = post(client, body, content).await;
            let refused = answer.status == 400;
            let named = names.as_deref().is_none_or(|name| answer.text.contains(name));
            if !refused || !named {
                wrong.push(format!("{} {}: {what}: {} {:.200}", body.route.method, body.route.path, answer.status, answer.text));
            }
        }
    }
    (asked, wrong)
}

async fn spare_user() -> u64 {
    let name = format!("spare-{}", uuid::Uuid::new_v4().simple());
    Target::client().post_json("/admin/user", &json!({ "name": name, "roles": [] })).await.json["id"].as_u64().unwrap()
}

#[tokio::test]
async fn every_field_of_every_body_is_checked_and_named() {
    let bodies = bodies(spare_user().await);
    let (asked, wrong) = complaints(&Target::client(), &bodies, field_by_field).await;
    assert!(asked > 200, "{asked} bodies are too few to be all of them");
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn bodies_that_are_no_json_of_ours_are_refused() {
    let bodies = bodies(spare_user().await);
    let (asked, wrong) = complaints(&Target::client(), &bodies, as_a_whole).await;
    assert!(asked > 40, "{asked} bodies are too few to be all of them");
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
}
