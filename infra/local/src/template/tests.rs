//! The reader on small templates, and on the one that is deployed.

use super::*;

fn read(files: &[(&str, &str)]) -> Result<Template, TemplateError> {
    Template::load(&|wanted| {
        files.iter().find(|(name, _)| *name == wanted).map(|(_, text)| (*text).to_owned()).ok_or_else(|| "cannot be read".to_owned())
    })
}

fn resolve(template: &Template, parameters: &[(&str, &str)]) -> Result<Topology, TemplateError> {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    template.resolve(Deployment {
        parameters: &parameters,
        region: "us-east-1",
        account: "000000000000",
        queue_url: &|name| format!("http://localhost/{name}"),
    })
}

const NESTED: &str = "
Parameters: { Life: { Type: Number, Default: 30 }, Long: { Type: String, Default: '' } }
Conditions: { IsLong: !Not [!Equals [!Ref Long, '']] }
Resources:
  JobQueue:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: !If [IsLong, 600, !Ref Life]
      RedrivePolicy: { deadLetterTargetArn: !GetAtt DeadQueue.Arn, maxReceiveCount: 3 }
  DeadQueue: { Type: AWS::SQS::Queue }
  SpareQueue: { Type: AWS::SQS::Queue, Condition: IsLong }
Outputs:
  Arn: { Value: !GetAtt JobQueue.Arn }
  Url: { Value: !Ref JobQueue }
";

const ROOT_TEXT: &str = "
Parameters: { Life: { Type: Number, Default: 40 }, Long: { Type: String, Default: '' }, Names: { Type: CommaDelimitedList, Default: 'a, b' } }
Globals: { Function: { Timeout: 9, Environment: { Variables: { LOG: info } } } }
Resources:
  Queues: { Type: AWS::Serverless::Application, Properties: { Location: ./infra/q.yaml, Parameters: { Life: !Ref Life, Long: !Ref Long } } }
  Files:
    Type: AWS::S3::Bucket
    Properties:
      NotificationConfiguration: { QueueConfigurations: [{ Event: 's3:ObjectCreated:*', Queue: !GetAtt Queues.Outputs.Arn, Filter: { S3Key: { Rules: [{ Name: prefix, Value: in/ }] } } }] }
  WorkFunction:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: work } }
    Properties:
      MemorySize: 256
      Environment: { Variables: { QUEUE: !GetAtt Queues.Outputs.Url, BUCKET: !Ref Files, TEXT: !Sub '${Files}/${AWS::Region}/${!Kept}', LIST: !Join ['+', !Ref Names], NONE: !If [HasLong, x, !Ref AWS::NoValue] } }
      Events:
        Jobs: { Type: SQS, Properties: { Queue: !GetAtt Queues.Outputs.Arn, BatchSize: 5, FunctionResponseTypes: [ReportBatchItemFailures] } }
        Clock: { Type: Schedule, Properties: { Schedule: rate(5 minutes) } }
Conditions: { HasLong: !Not [!Equals [!Ref Long, '']] }
";

#[test]
fn nested_stacks_resolve_both_ways() {
    let template = read(&[("template.yaml", ROOT_TEXT), ("infra/q.yaml", NESTED)]).unwrap();
    let topology = resolve(&template, &[]).unwrap();
    let queue = topology.queue("JobQueue").unwrap();
    assert_eq!(queue.visibility_seconds, 40);
    assert_eq!(queue.redrive, Some(Redrive { dead_letter_queue: "portcullis-dead-queue".into(), max_receive_count: 3 }));
    assert!(topology.queue("SpareQueue").is_none());
    let bucket = topology.bucket("Files").unwrap();
    assert_eq!(bucket.notifications[0].queue, queue.name);
    assert_eq!(bucket.notifications[0].prefix, "in/");
    let function = topology.function("WorkFunction").unwrap();
    assert_eq!((function.timeout_seconds, function.memory_mb, function.binary.as_str()), (9, 256, "work"));
    let env: Vec<_> = function.env.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let url = "http://localhost/portcullis-job-queue";
    assert_eq!(
        env,
        [("BUCKET", "portcullis-files"), ("LIST", "a+b"), ("LOG", "info"), ("QUEUE", url), ("TEXT", "portcullis-files/us-east-1/${Kept}")]
    );
    assert_eq!(topology.event_sources[0].queue, queue.name);
    assert!(topology.event_sources[0].report_failures);
    assert_eq!(topology.schedules, [Schedule { name: "Clock".into(), function: "WorkFunction".into(), rate_seconds: 300 }]);
}

#[test]
fn given_parameters_win_and_unknown_ones_are_refused() {
    let template = read(&[("template.yaml", ROOT_TEXT), ("infra/q.yaml", NESTED)]).unwrap();
    let topology = resolve(&template, &[("Long", "yes")]).unwrap();
    assert_eq!(topology.queue("JobQueue").unwrap().visibility_seconds, 600);
    assert!(topology.queue("SpareQueue").is_some());
    assert_eq!(topology.function("WorkFunction").unwrap().env["NONE"], "x");
    assert_eq!(resolve(&template, &[("Lnog", "yes")]).unwrap_err().to_string(), "template.yaml: `Lnog` is given but not declared as a parameter");
}

#[test]
fn errors_name_file_and_logical_id() {
    let nested = NESTED.replace("!Ref Life]", "!Ref Lief]");
    let template = read(&[("template.yaml", ROOT_TEXT), ("infra/q.yaml", &nested)]).unwrap();
    let error = resolve(&template, &[]).unwrap_err();
    assert_eq!(error.to_string(), "infra/q.yaml: `JobQueue` `VisibilityTimeout` refers to `Lief`, which infra/q.yaml does not have");
    assert_eq!(read(&[("template.yaml", ROOT_TEXT)]).unwrap_err().to_string(), "infra/q.yaml: cannot be read");
}

#[test]
fn a_chain_without_end_is_an_error() {
    let text = "
Resources:
  A: { Type: AWS::Serverless::Application, Properties: { Location: a.yaml, Parameters: { X: !GetAtt B.Outputs.X } } }
  B: { Type: AWS::Serverless::Application, Properties: { Location: a.yaml, Parameters: { X: !GetAtt A.Outputs.X } } }
";
    let part = "
Parameters: { X: { Type: String } }
Outputs: { X: { Value: !Ref X } }
";
    let template = read(&[("template.yaml", text), ("a.yaml", part)]).unwrap();
    assert!(resolve(&template, &[]).unwrap_err().to_string().contains("does not end"));
}

#[test]
fn the_deployed_template_is_embedded_whole() {
    let embedded = resolve(&Template::embedded().unwrap(), &[]).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    assert_eq!(embedded, resolve(&Template::from_dir(&folder).unwrap(), &[]).unwrap());
    assert_eq!(embedded.functions.len(), 7);
    assert_eq!(embedded.default_route.as_deref(), Some("ResultsFunction"));
    assert_eq!(embedded.function("ScanFunction").unwrap().env["PORTCULLIS_UPLOAD_BUCKET"], "portcullis-upload-bucket");
    assert_eq!(embedded.table("DataTable").unwrap().ttl_attribute.as_deref(), Some("expires_at"));
}
