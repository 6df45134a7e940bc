//! Every route × {no key, wrong key, expired session, a role that only reads, another user}: the contract's §5.7 for the whole table.
//!
//! Which right a route asks for is taken from the OpenAPI document, so that what it says of rights is held against the code too.

use std::collections::BTreeMap;

use portcullis_core::auth::roles::{RIGHTS, ROLES};
use portcullis_core::clock::now_ms;
use portcullis_core::http::routes::{ROUTES, Route};
use portcullis_core::store::identity::digest;
use reqwest::Method;
use serde_json::{Value, json};

use crate::auth::user;
use crate::support::client::Client;
use crate::support::description::{check, operation};
use crate::support::files::unique;
use crate::target::{PASSWORD, Target};

/// What a route is about (contract §5.7). A route that fits none fails the test: somebody has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Anyone, whatever his key.
    Public,
    /// Ends a session.
    Logout,
    /// Anyone, but no bad key.
    Information,
    /// Brings something in.
    Submission,
    /// Reads an item.
    Reading,
    /// Changes an item.
    Changing,
    /// A right is asked for; `None`: any good key will do.
    Administration,
    /// A caller changes what is his own (contract A3: E400).
    Own,
}

fn kind(route: &Route) -> Kind {
    let path = route.path;
    match path {
        "/" | "/login" | "/readyz" | "/openapi.json" | "/docs" => Kind::Public,
        _ if path.starts_with("/console") => Kind::Public,
        "/logout" => Kind::Logout,
        "/version" | "/stat/engines" | "/file/rules" | "/limits" => Kind::Information,
        "/user/changepassword" => Kind::Own,
        _ if ["/admin/", "/yara/", "/user/", "/stat/"].iter().any(|start| path.starts_with(start)) => Kind::Administration,
        "/hash" => Kind::Reading,
        _ if path.contains('{') && route.method == "GET" => Kind::Reading,
        _ if path.contains('{') => Kind::Changing,
        "/file" | "/file/sync" | "/file/presign" | "/file/batch" | "/file/multipart" => Kind::Submission,
        _ => panic!("{} {path}: say in tests/e2e/access.rs who may ask it", route.method),
    }
}

/// The right that the document says the route asks for, and whether the help desk has it.
fn help_desk_may(route: &Route) -> Option<bool> {
    let described = operation(route)["description"].as_str().unwrap_or_default().to_owned();
    if described.contains("Rights: read of everything") {
        return Some(false);
    }
    let (name, rest) = described.split_once("Right: `")?.1.split_once('`')?;
    let (_, read, write) = RIGHTS.iter().find(|(known, ..)| *known == name).unwrap_or_else(|| panic!("there is no right `{name}`"));
    let right = if rest.trim_start().starts_with("read") { read } else { write };
    let desk = ROLES.iter().find(|role| role.name == "help_desk").unwrap();
    Some(desk.rights().has(*right))
}

/// What the paths name: all of them the administrator's.
struct Items {
    file: String,
    batch: String,
    upload: String,
    hash: String,
}

impl Items {
    async fn make() -> Self {
        let admin = Target::client();
        let result = admin.scan(unique("somebody's"), &[]).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let batch = text(&admin.post_json("/file/batch", &json!({})).await.json["batch_id"]);
        let begun = crate::support::client::send(admin.request(Method::POST, "/file/multipart").header("rule", "Parts").header("part-count", "2"));
        Self { file: text(&result["data_id"]), batch, upload: text(&begun.await.json["data_id"]), hash: text(&result["file_info"]["sha256"]) }
    }

    fn path(&self, route: &Route) -> String {
        let data = if route.path.starts_with("/file/multipart/") { &self.upload } else { &self.file };
        let known = [("{data_id}", data.as_str()), ("{batch_id}", &self.batch), ("{hash}", &self.hash), ("{engine_id}", "no-such-engine")];
        let path = known.iter().fold(route.path.to_owned(), |path, (name, value)| path.replace(name, value));
        // Nothing of that id: who may not ask must not learn even this.
        path.replace("{id}", "999999").replace("{file}", "none")
    }
}

/// A session that was used last an hour ago.
async fn expired() -> Client {
    let target = Target::get();
    let name = format!("late-{}", uuid::Uuid::new_v4().simple());
    let made = Target::client().post_json("/admin/user", &json!({ "name": name, "roles": ["1"], "password": PASSWORD })).await;
    assert_eq!(made.status, 200, "{made:?}");
    let login = Target::client().with_key(None).post_json("/login", &json!({ "user": name, "password": PASSWORD })).await;
    let session = login.json["session_id"].as_str().unwrap().to_owned();
    let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    let hour_ago = aws_sdk_dynamodb::types::AttributeValue::N((now_ms() - 3_600_000).to_string());
    let update = target.clients().dynamodb().update_item().table_name(&target.table);
    let update = update.key("pk", text(&format!("SESSION#{}", digest(&session)))).key("sk", text("SESSION"));
    update.update_expression("SET last_used = :past").expression_attribute_values(":past", hour_ago).send().await.unwrap();
    Target::client().with_key(Some(&session))
}

/// Status and body of a request without a body of sense; JSON is held against the document.
async fn ask(client: &Client, route: &Route, path: &str) -> (u16, Value) {
    let request = client.request(Method::from_bytes(route.method.as_bytes()).unwrap(), path);
    let answer = request.header("Content-Length", "0").send().await.unwrap();
    let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
    let json = serde_json::from_str(&text).unwrap_or(Value::Null);
    if !json.is_null() {
        check(route.method, path, status, &json);
    }
    (status, json)
}

#[tokio::test]
async fn every_route_answers_every_kind_of_caller_as_the_contract_says() {
    let items = Items::make().await;
    let open = Target::client().with_key(None);
    let callers: BTreeMap<&str, Client> = BTreeMap::from([
        ("no key", open.clone()),
        ("wrong key", open.with_key(Some("no-key-of-anybody-0123456789abcdef"))),
        ("expired session", expired().await),
        ("help desk", user(&["4"]).await),
        ("another user", user(&[]).await),
    ]);
    let denied = json!({ "err": "Access denied" });
    let mut wrong = Vec::new();
    for route in ROUTES.iter().filter(|route| route.ready) {
        let path = items.path(route);
        let right = help_desk_may(route);
        for (who, client) in &callers {
            let (status, body) = ask(client, route, &path).await;
            let (anonymous, bad_key, desk) = (*who == "no key", *who == "wrong key" || *who == "expired session", *who == "help desk");
            let refused = |expected: u16| status == expected && body == denied;
            let fine = status < 500 && ![401, 403, 405].contains(&status) && body != denied;
            let as_it_should = match kind(route) {
                Kind::Public => status < 500 && body != denied,
                Kind::Logout if anonymous => status == 400 && body["err"] == "Logout error",
                // Over is over, whoever says it.
                Kind::Logout if *who == "expired session" => status == 200 || status == 403,
                Kind::Logout => status == 403 && body == json!({ "response": "Access denied" }),
                Kind::Information => {
                    if bad_key {
                        refused(403)
                    } else {
                        fine
                    }
                }
                Kind::Submission | Kind::Own if anonymous || bad_key => refused(400),
                Kind::Own => fine,
                // Nothing was sent, which is all that is wrong; `Parts` is the rule that takes parts.
                Kind::Submission => fine || body["err"] == "Multipart upload is disabled.",
                Kind::Reading | Kind::Changing if bad_key => refused(400),
                Kind::Reading if route.path == "/hash" => fine,
                // A hash tells nothing of others: theirs looks like none.
                Kind::Reading if route.path == "/hash/{hash}" && !desk => status == 200 && body == json!({ items.hash.as_str(): "Not Found" }),
                Kind::Reading if desk => fine,
                Kind::Reading | Kind::Changing => refused(403),
                Kind::Administration if anonymous || bad_key => refused(403),
                Kind::Administration => match right {
                    // Whatever comes of it: it was not for want of a right.
                    None => fine,
                    Some(true) if desk => fine,
                    Some(_) => refused(405),
                },
            };
            if !as_it_should {
                wrong.push(format!("{} {} ({:?}, right {right:?}) with {who}: {status} {body}", route.method, route.path, kind(route)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is no text in a path names nothing, and the answer is JSON like all.
#[tokio::test]
async fn a_path_that_is_no_text_is_answered_in_json() {
    let admin = Target::client();
    for route in ROUTES.iter().filter(|route| route.ready && route.path.contains('{')) {
        let path = route.path.split('/').map(|part| if part.starts_with('{') { "%ff" } else { part }).collect::<Vec<_>>().join("/");
        let (status, body) = ask(&admin, route, &path).await;
        // A gateway in front may hand on U+FFFD in its place, which is text: the name of nothing.
        let fine = if Target::get().local { (400..500).contains(&status) && body["err"].is_string() } else { status < 500 && body.is_object() };
        assert!(fine, "{} {path}: {status} {body}", route.method);
    }
}
