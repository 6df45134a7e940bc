//! The streaming front: infra/front.yaml, its image, and the program that runs in it say the same.

use clap::CommandFactory;
use portcullis_local::cli::Cli;
use portcullis_local::front::HEALTH;

use super::*;

const FILE: &str = "infra/front.yaml";
const API: &[&str] = &["Auth", "Upload", "Results", "Admin"];

fn resource(id: &str) -> Value {
    file(FILE)["Resources"][id]["Properties"].clone()
}

fn container() -> Value {
    resource("Task")["ContainerDefinitions"][0].clone()
}

fn attribute(of: &Value, key: &str) -> Value {
    of.as_array().unwrap().iter().find(|attribute| attribute["Key"] == key).unwrap()["Value"].clone()
}

fn dockerfile() -> String {
    std::fs::read_to_string(repository().join("infra/front/Dockerfile")).unwrap()
}

/// What a policy permits, one action on one resource at a time, with its condition.
fn permitted(statement: &Value) -> Vec<String> {
    let resources = match &statement["Resource"] {
        Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    };
    let all = texts(&statement["Action"]).into_iter().flat_map(|action| resources.iter().map(move |on| format!("{action} {on}")));
    all.map(|one| format!("{one} {}", statement["Condition"])).collect()
}

#[test]
fn a_task_may_do_what_the_api_functions_may_do_together_and_nothing_else() {
    let access = file("infra/access.yaml");
    let mut wanted = BTreeSet::new();
    for function in API {
        let policy = &access["Resources"][format!("{function}Role")]["Properties"]["Policies"][0]["PolicyDocument"];
        // A log of its own, which Fargate writes.
        wanted.extend(statements(policy).into_iter().filter(|statement| statement["Sid"] != "Logs").flat_map(permitted));
    }
    let role = resource("TaskRole");
    let [policy] = &role["Policies"].as_array().unwrap()[..] else { panic!("one policy") };
    let granted: BTreeSet<_> = statements(&policy["PolicyDocument"]).into_iter().flat_map(permitted).collect();
    assert_eq!(granted, wanted, "left {FILE}, right infra/access.yaml");
    assert!(role.get("ManagedPolicyArns").is_none());
    let of_functions = &access["Resources"]["KeyPolicy"]["Properties"]["PolicyDocument"];
    assert_eq!(&resource("KeyPolicy")["PolicyDocument"], of_functions);
}

#[test]
fn its_environment_is_that_of_the_functions_and_of_its_own_flags() {
    let container = container();
    let given: BTreeMap<_, _> = container["Environment"].as_array().unwrap().iter().map(|entry| (text(&entry["Name"]), &entry["Value"])).collect();
    let command = Cli::command();
    let flags = command.find_subcommand("front").unwrap().get_arguments().filter_map(|flag| flag.get_env()?.to_str());
    let functions: Vec<_> = API.iter().map(|function| function.to_lowercase()).collect();
    let keys = KEYS.iter().filter(|key| key.functions.iter().any(|function| functions.iter().any(|api| api == function))).map(|key| key.name);
    assert_eq!(given.keys().copied().collect::<BTreeSet<_>>(), flags.chain(keys).chain(["AWS_REGION"]).collect());
    // The root gives both the same.
    let root = file("template.yaml");
    let parameters = &root["Resources"]["Front"]["Properties"]["Parameters"];
    for function in API {
        for (key, value) in root["Resources"][format!("{function}Function")]["Properties"]["Environment"]["Variables"].as_object().unwrap() {
            assert_eq!(&parameters[text(&given[key.as_str()]["Ref"])], value, "{key} of {function}");
        }
    }
}

#[test]
fn it_is_there_only_when_an_image_is_named() {
    let root = file("template.yaml");
    assert_eq!(root["Resources"]["Front"]["Condition"], "HasFront");
    assert_eq!(root["Parameters"]["FrontImage"]["Default"], "");
    let given: BTreeSet<_> = root["Resources"]["Front"]["Properties"]["Parameters"].as_object().unwrap().keys().cloned().collect();
    let declared = file(FILE)["Parameters"].as_object().unwrap().clone();
    assert_eq!(given, declared.keys().cloned().collect());
    let body = format!("{}{}", file(FILE)["Resources"], file(FILE)["Conditions"]);
    for (name, parameter) in &declared {
        assert!(!text(&parameter["Description"]).is_empty(), "{name}");
        assert!(body.contains(&format!("{{\"Ref\":\"{name}\"}}")) || body.contains(&format!("${{{name}}}")), "{name} is not used");
        // What the root has a default for is the same here.
        let of_root = &root["Parameters"][format!("Front{name}")]["Default"];
        assert!(parameter.get("Default").is_none_or(|default| of_root.is_null() || default == of_root), "{name}");
    }
    let parameters = BTreeMap::from([("FrontImage".to_owned(), "front:1".to_owned())]);
    let queue_url = |name: &str| name.to_owned();
    let with =
        template().resolve(Deployment { parameters: &parameters, region: "us-east-1", account: "000000000000", queue_url: &queue_url }).unwrap();
    assert_eq!(with.functions.len(), topology().functions.len());
}

#[test]
fn clients_come_by_tls_and_tasks_are_reached_by_the_load_balancer_only() {
    let listeners = resources("AWS::ElasticLoadBalancingV2::Listener");
    let [(_, listener)] = &listeners[..] else { panic!("{listeners:?}") };
    let listener = &listener["Properties"];
    assert_eq!((&listener["Port"], &listener["Protocol"]), (&json!(443), &json!("HTTPS")));
    assert!(text(&listener["SslPolicy"]).starts_with("ELBSecurityPolicy-TLS13-1-2-"), "TLS 1.2 and later");
    let balancer = resource("BalancerSecurityGroup");
    let ([clients], [tasks]) = (&balancer["SecurityGroupIngress"].as_array().unwrap()[..], &balancer["SecurityGroupEgress"].as_array().unwrap()[..])
    else {
        panic!("{balancer}")
    };
    assert_eq!((&clients["FromPort"], &clients["ToPort"], &clients["CidrIp"]), (&json!(443), &json!(443), &json!({"Ref": "ClientCidr"})));
    assert_eq!((&tasks["FromPort"], &tasks["ToPort"]), (&json!(8008), &json!(8008)));
    assert_eq!(tasks["DestinationSecurityGroupId"], json!({"Ref": "TaskSecurityGroup"}));
    let into_tasks = resource("BalancerToTasks");
    assert!(resource("TaskSecurityGroup").get("SecurityGroupIngress").is_none());
    assert_eq!(resources("AWS::EC2::SecurityGroupIngress").len(), 1);
    assert_eq!((&into_tasks["FromPort"], &into_tasks["ToPort"]), (&json!(8008), &json!(8008)));
    assert_eq!(into_tasks["GroupId"], json!({"Ref": "TaskSecurityGroup"}));
    assert_eq!(into_tasks["SourceSecurityGroupId"], json!({"Ref": "BalancerSecurityGroup"}));
    let network = &resource("Service")["NetworkConfiguration"]["AwsvpcConfiguration"];
    assert_eq!((&network["AssignPublicIp"], &network["SecurityGroups"]), (&json!("DISABLED"), &json!([{"Ref": "TaskSecurityGroup"}])));
}

#[test]
fn the_load_balancer_asks_waits_and_forwards_as_the_program_expects() {
    let (targets, balancer, container) = (resource("Targets"), resource("Balancer"), container());
    assert_eq!((&targets["HealthCheckPath"], &targets["Matcher"]["HttpCode"]), (&json!(HEALTH), &json!("200")));
    assert_eq!(attribute(&targets["TargetGroupAttributes"], "deregistration_delay.timeout_seconds"), json!({"Ref": "DrainSeconds"}));
    let given = |name: &str| container["Environment"].as_array().unwrap().iter().find(|entry| entry["Name"] == name).unwrap()["Value"].clone();
    let attributes: Value = balancer["LoadBalancerAttributes"].as_array().unwrap().iter().filter(|one| one.get("Key").is_some()).cloned().collect();
    let idle = attribute(&attributes, "idle_timeout.timeout_seconds");
    assert_eq!((&idle, given("PORTCULLIS_IDLE_SECONDS")), (&json!({"Ref": "IdleSeconds"}), json!({"Ref": "IdleSeconds"})));
    // Names of headers with underscores are Core's.
    assert_eq!(attribute(&attributes, "routing.http.drop_invalid_header_fields.enabled"), "false");
    assert_eq!(attribute(&attributes, "routing.http.xff_header_processing.mode"), "append");
    let drain: u64 = text(&given("PORTCULLIS_DRAIN_SECONDS")).parse().unwrap();
    // Ten seconds more to take back what is cut off.
    assert!(drain + 15 <= container["StopTimeout"].as_u64().unwrap());
    let port = json!(8008);
    let ports = [&targets["Port"], &container["PortMappings"][0]["ContainerPort"], &resource("Service")["LoadBalancers"][0]["ContainerPort"]];
    assert_eq!(ports, [&port; 3]);
    assert_eq!(given("PORTCULLIS_PORT"), "8008");
}

#[test]
fn a_task_is_confined_and_has_the_memory_for_its_uploads() {
    let (task, container) = (resource("Task"), container());
    assert_eq!((&container["ReadonlyRootFilesystem"], &container["LinuxParameters"]["Capabilities"]["Drop"]), (&json!(true), &json!(["ALL"])));
    assert_eq!(container["MountPoints"], json!([{"SourceVolume": task["Volumes"][0]["Name"], "ContainerPath": "/tmp"}]));
    let default = |name: &str| file(FILE)["Parameters"][name]["Default"].as_u64().unwrap();
    // Two pieces of 8 MiB for each, and what is around them.
    assert!(default("MaxUploads") * 24 + 256 <= default("MemoryMb"));
    assert!(default("MinTasks") >= 2 && default("MinTasks") <= default("MaxTasks"));
    let deployment = &resource("Service")["DeploymentConfiguration"];
    assert_eq!(deployment["DeploymentCircuitBreaker"], json!({"Enable": true, "Rollback": true}));
    assert_eq!(deployment["MinimumHealthyPercent"], 100);
    let group = &container["LogConfiguration"]["Options"]["awslogs-group"];
    assert_eq!(group, &json!({"Ref": "LogGroup"}));
    let measures: Vec<_> = resources("AWS::ApplicationAutoScaling::ScalingPolicy")
        .iter()
        .map(|(_, policy)| {
            text(&policy["Properties"]["TargetTrackingScalingPolicyConfiguration"]["PredefinedMetricSpecification"]["PredefinedMetricType"])
                .to_owned()
        })
        .collect();
    assert_eq!(measures, ["ECSServiceAverageCPUUtilization", "ALBRequestCountPerTarget"]);
}

#[test]
fn the_image_is_what_the_task_says_it_is() {
    let (file, container) = (dockerfile(), container());
    let instruction =
        |name: &str| -> Vec<String> { file.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned).collect() };
    assert_eq!(instruction("USER"), [text(&container["User"])]);
    assert_ne!(text(&container["User"]).split(':').next(), Some("0"));
    assert_eq!(instruction("VOLUME"), [r#"["/tmp"]"#]);
    assert_eq!(instruction("EXPOSE"), ["8008"]);
    assert_eq!(instruction("ENTRYPOINT"), [r#"["/usr/bin/portcullis"]"#]);
    assert_eq!(instruction("CMD"), [r#"["front"]"#]);
    // The program asks itself: there is no other in the image.
    let check: Vec<_> = texts_in_order(&container["HealthCheck"]["Command"]);
    let health = instruction("HEALTHCHECK").pop().unwrap();
    assert!(health.ends_with(&format!("CMD {}", serde_json::to_string(&check[1..]).unwrap().replace(',', ", "))), "{health}");
    assert_eq!(&check[..2], ["CMD", "/usr/bin/portcullis"]);
    Cli::command().try_get_matches_from(&check[1..]).unwrap();
    // Images are named without a registry, and with a version.
    let builder = file.lines().find_map(|line| line.strip_prefix("ARG BUILDER=")).unwrap();
    assert!(!builder.contains('/') && !builder.ends_with(":latest"), "{builder}");
    assert_eq!(instruction("FROM"), ["${BUILDER} AS build", "scratch"]);
    // Built with the toolchain of the workspace.
    let manifest = std::fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"').to_owned();
    assert!(builder.starts_with(&format!("rust:{version}-")), "{builder}");
}

fn texts_in_order(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(text).collect()
}
