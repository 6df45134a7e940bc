"""Prepares a stack that was deployed on MiniStack, and prints the environment of the end-to-end suite.

    deployed.py <endpoint> <stack> <administrator's key>

Two things are set again: MiniStack 1.5.33 makes a bucket without the Object Lock of its template, and keeps a number that came through a template parameter as text, and its event
source poller fails on a concurrency that is text.
"""

import sys

import boto3


def main():
    endpoint, stack, key = sys.argv[1:]
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    client = lambda name: session.client(name, endpoint_url=endpoint)

    described = client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    if described["StackStatus"] != "CREATE_COMPLETE":
        sys.exit(f"stack {stack} is {described['StackStatus']}")
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}

    functions = client("lambda")
    mappings = functions.list_event_source_mappings()["EventSourceMappings"]
    if len(mappings) != 2:
        sys.exit(f"{len(mappings)} event source mappings, not 2")
    for mapping in mappings:
        if mapping.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            sys.exit(f"{mapping['FunctionArn']} does not report the messages that failed")
        scaling = mapping.get("ScalingConfig")
        if scaling:
            functions.update_event_source_mapping(
                UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": int(scaling["MaximumConcurrency"])}
            )

    lock = {"ObjectLockEnabled": "Enabled"}
    client("s3").put_object_lock_configuration(Bucket=outputs["QuarantineBucketName"], ObjectLockConfiguration=lock)

    for name, value in {
        "PORTCULLIS_E2E_URL": f"{endpoint}/_aws/execute-api/{outputs['ApiId']}/$default",
        "PORTCULLIS_E2E_APIKEY": key,
        "PORTCULLIS_E2E_AWS_ENDPOINT": endpoint,
        "PORTCULLIS_E2E_TABLE": outputs["DataTableName"],
        "PORTCULLIS_E2E_AUDIT_TABLE": outputs["AuditTableName"],
        "PORTCULLIS_E2E_UPLOAD_BUCKET": outputs["UploadBucketName"],
        "PORTCULLIS_E2E_REPORT_BUCKET": outputs["ReportBucketName"],
        "PORTCULLIS_E2E_DEFINITIONS_BUCKET": outputs["DefinitionsBucketName"],
        "PORTCULLIS_E2E_INBOX_BUCKET": outputs["InboxBucketName"],
        "PORTCULLIS_E2E_QUARANTINE_BUCKET": outputs["QuarantineBucketName"],
        "PORTCULLIS_E2E_SCAN_QUEUE_URL": outputs["ScanQueueUrl"],
        "PORTCULLIS_E2E_SCAN_DEAD_LETTER_QUEUE_URL": outputs["ScanDeadLetterQueueUrl"],
        "PORTCULLIS_E2E_WEBHOOK_SECRET": outputs["WebhookSecretArn"],
        "PORTCULLIS_E2E_NOTIFY_QUEUE_URL": outputs["NotifyQueueUrl"],
        "PORTCULLIS_E2E_NOTIFY_DEAD_LETTER_QUEUE_URL": outputs["NotifyDeadLetterQueueUrl"],
    }.items():
        print(f"{name}={value}")


main()
