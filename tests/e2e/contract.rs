//! The conformance checks of the contract (§10), as far as this version goes.

use portcullis_core::http::routes::{LEGACY_PREFIX, ROUTES};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::client::{send, verdict};
use crate::support::files::{eicar, nested, unique, zip};
use crate::target::Target;

#[tokio::test]
async fn a_raw_body_without_type_is_scanned_and_found_under_both_prefixes() {
    let client = Target::client();
    let content = unique("clean text");
    for prefix in ["", LEGACY_PREFIX] {
        let answer = send(client.request(Method::POST, &format!("{prefix}/file")).body(content.clone())).await;
        assert_eq!(answer.status, StatusCode::OK);
        let id = answer.json["data_id"].as_str().unwrap();
        assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()), "{id}");
        let result = client.result(id).await;
        assert_eq!(verdict(&result), (0, "Allowed", ""));
        for path in [format!("{LEGACY_PREFIX}/file/{id}"), format!("/process/{id}"), format!("/archive/{id}")] {
            assert_eq!(client.get(&path).await.json["data_id"], id, "{path}");
        }
    }
}

#[tokio::test]
async fn the_content_type_is_not_believed() {
    let client = Target::client();
    let body = format!(r#"{{"user":"a","n":"{}"}}"#, uuid::Uuid::new_v4());
    let request = client.request(Method::POST, "/file").header("Content-Type", "application/x-www-form-urlencoded").header("filename", "a.json");
    let id = send(request.body(body.clone())).await.json["data_id"].as_str().unwrap().to_owned();
    let result = client.result(&id).await;
    assert_eq!(result["file_info"]["file_size"], body.len());
    assert_eq!(result["file_info"]["sha256"], crate::target::sha256(body.as_bytes()));
}

#[tokio::test]
async fn names_come_back_decoded_once() {
    let client = Target::client();
    for (sent, shown) in
        [("a%20b.txt", "a b.txt"), ("bkt::dir/key.txt", "bkt::dir/key.txt"), ("100%zz.txt", "100%zz.txt"), ("gr%C3%BCn.txt", "grün.txt")]
    {
        let id = client.submit(unique("name"), &[("filename", sent)]).await;
        assert_eq!(client.get(&format!("/file/{id}")).await.json["file_info"]["display_name"], shown);
        assert_eq!(client.result(&id).await["file_info"]["display_name"], shown);
    }
}

#[tokio::test]
async fn a_clean_file_is_allowed_with_the_whole_report() {
    let client = Target::client();
    let content = unique("hello");
    let headers = [("filename", "hello.txt"), ("user_agent", "webscan"), ("metadata", r#"{"client_ip":"10.0.1.100"}"#)];
    let result = client.scan(content.clone(), &headers).await;
    assert_eq!(verdict(&result), (0, "Allowed", ""));
    assert_eq!(result["process_info"]["verdicts"], json!(["No Threat Detected"]));
    assert_eq!(result["process_info"]["profile"], "File process");
    assert_eq!(result["process_info"]["user_agent"], "webscan");
    assert_eq!(result["process_info"]["username"], "LOCAL/admin");
    assert_eq!(result["metadata"]["client_ip"], "10.0.1.100");
    assert_eq!(result["file_info"]["file_type"], "text/plain");
    assert_eq!(result["yara"], json!({ "hits": {}, "verdict": 0 }));
    assert!(result.get("extracted_files").is_none());
    for (engine, row) in result["scan_results"]["scan_details"].as_object().unwrap() {
        assert_eq!((&row["scan_result_i"], &row["threat_found"]), (&json!(0), &json!("")), "{engine}");
        assert!(row["def_time"].as_str().unwrap().ends_with('Z'), "{engine}");
    }
}

#[tokio::test]
async fn eicar_is_blocked() {
    let result = Target::client().scan(eicar(), &[("filename", "eicar.com")]).await;
    assert_eq!(verdict(&result), (1, "Blocked", "Infected"));
    assert_eq!(result["file_info"]["file_type_description"], "EICAR virus test files");
    assert_eq!(result["file_info"]["sha256"], "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f");
    assert!(result["scan_results"]["total_detected_avs"].as_u64() >= Some(1));
    assert!(result["scan_results"]["scan_details"].as_object().unwrap().values().any(|row| row["threat_found"] != "" && row["scan_result_i"] == 1));
}

#[tokio::test]
async fn a_nested_archive_is_blocked_by_its_child_which_has_a_result_of_its_own() {
    let client = Target::client();
    let inner = zip(&[("docs/readme.txt", b"read me"), ("eicar.com", &eicar())]);
    let archive = zip(&[("inner.zip", &inner), ("clean.txt", &unique("clean"))]);
    let result = client.scan(archive, &[("filename", "sample.zip")]).await;
    assert_eq!(verdict(&result), (1, "Blocked", "Infected"));
    assert!(result["scan_results"]["total_detected_avs"].as_u64() >= Some(1), "clients that count detections must see one: {result}");
    let extracted = &result["extracted_files"];
    assert_eq!(extracted["files_extracted_count"], 4);
    let children = extracted["files_in_archive"].as_array().unwrap();
    assert_eq!(children[0]["display_name"], "sample.zip/inner.zip/eicar.com", "worst first");
    assert_eq!(extracted["worst_data_id"], children[0]["data_id"]);
    for child in children {
        for field in [
            "data_id",
            "detected_by",
            "display_name",
            "file_size",
            "file_type",
            "file_type_description",
            "progress_percentage",
            "scan_all_result_i",
            "scanned_with",
        ] {
            assert!(!child[field].is_null(), "{field} in {child}");
        }
        let own = client.result(child["data_id"].as_str().unwrap()).await;
        assert_eq!(own["data_id"], child["data_id"]);
        assert_eq!(own["scan_results"]["scan_all_result_i"], child["scan_all_result_i"]);
        assert_eq!(own["file_info"]["display_name"], child["display_name"]);
    }
    let after_last = format!("{:032x}", u128::from_str_radix(result["data_id"].as_str().unwrap(), 16).unwrap().wrapping_add(5));
    assert_eq!(client.get(&format!("/file/{after_last}")).await.json, json!({ &after_last: "Not Found" }));
}

#[tokio::test]
async fn children_are_paged_and_few_or_many_read_the_same() {
    let client = Target::client();
    let contents: Vec<(String, Vec<u8>)> = (0..1200).map(|n| (format!("{n:04}.txt"), format!("file number {n}").into_bytes())).collect();
    let mut files: Vec<(&str, &[u8])> = contents.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    let bad = eicar();
    files.insert(700, ("bad.com", &bad));
    let result = client.scan(zip(&files), &[("filename", "many.zip")]).await;
    let id = result["data_id"].as_str().unwrap();
    assert_eq!(result["extracted_files"]["files_extracted_count"], 1201);
    assert_eq!(result["extracted_files"]["files_in_archive"].as_array().unwrap().len(), 500);
    assert_eq!(result["extracted_files"]["files_in_archive"][0]["display_name"], "many.zip/bad.com");
    let mut seen = std::collections::HashSet::new();
    for first in (0..1300).step_by(100) {
        let page = client.get(&format!("/archive/{id}?first={first}&size=100")).await.json["extracted_files"].clone();
        assert_eq!((&page["first_index"], &page["page_size"]), (&json!(first), &json!(100)));
        for child in page["files_in_archive"].as_array().unwrap() {
            assert!(seen.insert(child["data_id"].as_str().unwrap().to_owned()), "twice: {child}");
        }
    }
    assert_eq!(seen.len(), 1201);
    let one = client.result(seen.iter().next().unwrap()).await;
    assert!(one["file_info"]["display_name"].as_str().unwrap().starts_with("many.zip/"));
    assert_eq!(client.get(&format!("/file/{id}?first=x")).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn deep_nesting_is_opened_to_the_limit() {
    let client = Target::client();
    assert_eq!(verdict(&client.scan(nested(&eicar(), 5), &[("filename", "deep.zip")]).await).0, 1);
    let too_deep = client.scan(nested(b"x", 5), &[("filename", "deep.zip"), ("rule", "Small archives")]).await;
    assert_eq!(verdict(&too_deep), (9, "Blocked", "Exceeded Archive Depth"));
}

#[tokio::test]
async fn every_digest_finds_the_newest_result() {
    let client = Target::client();
    let content = unique("hash me");
    let first = client.scan(content.clone(), &[("filename", "first.txt")]).await;
    for digest in ["md5", "sha1", "sha256", "sha512"] {
        let hash = first["file_info"][digest].as_str().unwrap();
        assert_eq!(client.get(&format!("/hash/{hash}")).await.json["data_id"], first["data_id"], "{digest}");
        assert_eq!(client.get(&format!("/hash/{}", hash.to_uppercase())).await.json["data_id"], first["data_id"], "{digest}");
    }
    let second = client.scan(content, &[("filename", "second.txt"), ("rule", "Open")]).await;
    let hash = second["file_info"]["sha256"].as_str().unwrap();
    assert_eq!(client.get(&format!("/hash/{hash}")).await.json["data_id"], second["data_id"]);
    let under = |rule: &'static str| send(client.request(Method::GET, &format!("/hash/{hash}")).header("rule", rule));
    assert_eq!(under("File process").await.json["data_id"], first["data_id"]);
    assert_eq!(under("Tiny").await.json, json!({ hash: "Not Found" }));
}

#[tokio::test]
async fn many_digests_find_their_results_in_the_order_asked() {
    let client = Target::client();
    let clean = client.scan(unique("one of many"), &[]).await;
    let infected = client.scan([eicar(), unique(" ")].concat(), &[("filename", "e.zip")]).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let unknown = uuid::Uuid::new_v4().simple().to_string();
    let hashes = [text(&infected["file_info"]["md5"]), unknown.clone(), text(&clean["file_info"]["sha256"]).to_uppercase(), "xyz".into()];
    let answer = client.post_json("/hash", &json!({ "hash": hashes })).await;
    let code = &infected["scan_results"]["scan_all_result_i"];
    let expected = json!([
        { "hash": hashes[0], "scan_result": code, "data_id": infected["data_id"] },
        { "hash": unknown, "scan_result": 5, "data_id": null },
        { "hash": hashes[2], "scan_result": 0, "data_id": clean["data_id"] },
        { "hash": "xyz", "scan_result": 5, "data_id": null },
    ]);
    assert_eq!((answer.status, &answer.json), (StatusCode::OK, &expected));
    let body = json!({ "hash": [hashes[2]] }).to_string();
    let detailed = send(client.request(Method::POST, "/hash").header("include_scan_details", "1").body(body)).await.json;
    assert_eq!(detailed[0]["scan_details"], clean["scan_results"]["scan_details"]);
}

#[tokio::test]
async fn what_is_unknown_is_not_found_with_200() {
    let client = Target::client();
    let unknown = uuid::Uuid::new_v4().simple().to_string();
    let hash = "66DA1A91E1ED5D59BECFAD85F53C05F9";
    for (path, asked) in [
        (format!("/file/{unknown}"), unknown.as_str()),
        (format!("/hash/{hash}"), hash),
        ("/file/no-id".into(), "no-id"),
        ("/hash/xyz".into(), "xyz"),
    ] {
        let answer = client.get(&path).await;
        assert_eq!((answer.status, answer.json), (StatusCode::OK, json!({ asked: "Not Found" })), "{path}");
    }
}

#[tokio::test]
async fn engines_of_results_are_listed() {
    let client = Target::client();
    let result = client.scan(unique("engines"), &[]).await;
    let engines = client.get("/stat/engines").await.json;
    let engines = engines.as_array().unwrap();
    for engine in engines {
        assert_eq!(engine.as_object().unwrap().len(), 11, "{engine}");
    }
    assert!(engines.iter().any(|engine| engine["active"] == true && engine["state"] == "production"));
    for name in result["scan_results"]["scan_details"].as_object().unwrap().keys() {
        assert!(engines.iter().any(|engine| engine["eng_name"] == *name), "{name}");
    }
}

#[tokio::test]
async fn rules_are_listed_with_their_limit_and_filtered_by_agent() {
    let client = Target::client();
    let names = |rules: &Value| rules.as_array().unwrap().iter().map(|rule| rule["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let all = client.get("/file/rules").await.json;
    assert!(all.as_array().unwrap().iter().all(|rule| rule["max_file_size"].is_u64()));
    assert!(names(&all).contains(&"Agent".to_owned()));
    let other = send(client.request(Method::GET, "/file/rules").header("user_agent", "other")).await.json;
    assert!(!names(&other).contains(&"Agent".to_owned()));
    let own = client.scan(unique("agent"), &[("user_agent", "e2e-agent")]).await;
    assert_eq!(own["process_info"]["profile"], "Agent");
}

#[tokio::test]
async fn version_health_and_nodes_have_their_shapes() {
    let client = Target::client();
    assert_eq!(client.get("/version").await.json["product_id"], "MSCL");
    let open = client.with_key(None);
    assert_eq!(open.get("/readyz").await.status, StatusCode::OK);
    assert_eq!(open.get("/readyz?verbose=true").await.json["database"]["status"], true);
    let nodes = client.get("/stat/nodes").await.json;
    assert!(nodes["statuses"][0]["scan_queue_details"]["available_slots"].as_u64() > Some(0));
}

#[tokio::test]
async fn routes_of_later_work_say_so() {
    let client = Target::client();
    for route in ROUTES.iter().filter(|route| !route.ready) {
        let path: Vec<&str> = route.path.split('/').map(|part| if part.starts_with('{') { "1" } else { part }).collect();
        for prefix in ["", LEGACY_PREFIX] {
            let answer = send(client.request(route.method.parse().unwrap(), &format!("{prefix}{}", path.join("/")))).await;
            assert_eq!((answer.status.as_u16(), answer.err()), (501, "Not implemented"), "{} {prefix}{}", route.method, route.path);
        }
    }
}

#[tokio::test]
async fn unknown_paths_and_verbs_are_json_errors() {
    let client = Target::client();
    for (method, path, status) in [
        (Method::GET, "/nowhere", 404),
        (Method::POST, "/file/a/b/c/d", 404),
        (Method::GET, "/metascan_rest/nowhere", 404),
        (Method::GET, "/login", 405),
        (Method::DELETE, "/file", 405),
        (Method::PUT, "/metascan_rest/version", 405),
    ] {
        let answer = send(client.request(method.clone(), path)).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}");
        assert!(!answer.err().is_empty());
    }
}
