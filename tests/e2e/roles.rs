//! Roles of one's own over HTTP.

use reqwest::StatusCode;
use serde_json::json;

use crate::support::files::unique;
use crate::target::Target;
use crate::users::{created, fresh, path};

#[tokio::test]
async fn a_role_is_made_changed_used_and_deleted() {
    let admin = Target::client();
    let name = fresh("triage");
    let made = admin.post_json("/admin/role", &json!({ "name": name, "display_name": "Triage", "rights": { "scanlog": ["read"] } })).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    let role = made.json;
    assert!(role["id"].as_u64() > Some(4) && role["editable"] == true && role["rights"].as_object().unwrap().len() == 17, "{role}");
    let path_of = format!("/admin/role/{}", role["id"]);
    assert_eq!(admin.post_json("/admin/role", &json!({ "name": name, "rights": {} })).await.status, StatusCode::CONFLICT);
    assert_eq!(admin.put_json(&path_of, &json!({ "name": "help_desk" })).await.status, StatusCode::CONFLICT);

    // Its right is one to read results of others, and no more.
    let foreign = admin.submit(unique("foreign"), &[]).await;
    let key = uuid::Uuid::new_v4().to_string();
    let user = created(&admin, json!({ "roles": [role["id"].to_string()], "apikey": key })).await;
    let client = admin.with_key(Some(&key));
    assert_eq!(client.get(&format!("/file/{foreign}")).await.status, StatusCode::OK);
    assert_eq!(client.get("/admin/user").await.status, StatusCode::METHOD_NOT_ALLOWED);
    let plain_key = uuid::Uuid::new_v4().to_string();
    created(&admin, json!({ "apikey": plain_key })).await;
    assert_eq!(admin.with_key(Some(&plain_key)).get(&format!("/file/{foreign}")).await.status, StatusCode::FORBIDDEN);

    let in_use = admin.delete(&path_of).await;
    assert!(in_use.status == StatusCode::CONFLICT && in_use.err().contains("in use"), "{in_use:?}");
    let read = admin.get(&path_of).await.json;
    let changed = admin.put_json(&path_of, &json!({ "rights": { "users": ["read"] } })).await.json;
    assert_eq!(
        (&changed["rights"]["users"], &changed["rights"]["scanlog"], &changed["display_name"]),
        (&json!(["read"]), &json!([]), &json!("Triage"))
    );
    let stale = admin.put_json(&path_of, &json!({ "version": read["version"], "display_name": "Late" })).await;
    assert_eq!(stale.status, StatusCode::CONFLICT, "{stale:?}");
    assert_eq!(admin.put_json(&path(&user), &json!({ "roles": [] })).await.status, StatusCode::OK);
    assert_eq!(admin.delete(&path_of).await.status, StatusCode::OK);
    for answer in [admin.get(&path_of).await, admin.delete(&path_of).await] {
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
    let gone = admin.put_json(&path(&user), &json!({ "roles": [role["id"].to_string()] })).await;
    assert!(gone.status == StatusCode::BAD_REQUEST && gone.err().contains("`roles`"), "{gone:?}");
}

#[tokio::test]
async fn default_roles_are_shown_and_can_not_be_changed() {
    let admin = Target::client();
    let roles = admin.get("/admin/role").await.json;
    let default: Vec<_> = roles
        .as_array()
        .unwrap()
        .iter()
        .take(4)
        .map(|role| (role["id"].as_u64().unwrap(), role["name"].as_str().unwrap(), &role["editable"]))
        .collect();
    let no = json!(false);
    assert_eq!(default, [(1, "admin", &no), (2, "security_admin", &no), (3, "security_auditor", &no), (4, "help_desk", &no)]);
    assert_eq!(admin.get("/admin/role/4").await.json["rights"]["scanlog"], json!(["read"]));
    for answer in [admin.put_json("/admin/role/4", &json!({ "display_name": "x" })).await, admin.delete("/admin/role/4").await] {
        assert_eq!(answer.status, StatusCode::CONFLICT, "{answer:?}");
    }
}

#[tokio::test]
async fn a_role_that_is_being_given_is_not_deleted_under_the_user() {
    let admin = Target::client();
    for _ in 0..5 {
        let role = admin.post_json("/admin/role", &json!({ "name": fresh("race"), "rights": {} })).await.json;
        let user = created(&admin, json!({})).await;
        let (user_path, role_path, body) = (path(&user), format!("/admin/role/{}", role["id"]), json!({ "roles": [role["id"].to_string()] }));
        let (given, deleted) = tokio::join!(admin.put_json(&user_path, &body), admin.delete(&role_path));
        assert!(given.status.is_success() != deleted.status.is_success(), "one of the two: {given:?} {deleted:?}");
        let has = admin.get(&user_path).await.json["roles"].as_array().unwrap().len() == 1;
        assert_eq!(has, admin.get(&role_path).await.status == StatusCode::OK);
    }
}
