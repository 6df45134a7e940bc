"""Runs every bootstrap under the Lambda runtime interface emulator with its fixtures, and checks the answers.

    rie.py <endpoint> <stack> <build folder> <bin folder of the sam environment>

The emulator comes with the SAM CLI. A function gets the environment it has in the deployed stack, so its answers are
real ones. answers.json says what is expected of every file in events/; a fixture without an answer, or an answer
without a fixture, fails.
"""

import json
import os
import pathlib
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import boto3

HERE = pathlib.Path(__file__).parent
EVENTS = HERE.parent.parent / "events"
# Names in the fixtures (those of the local host) → outputs of the stack.
NAMES = {"portcullis-upload-bucket": "UploadBucketName", "portcullis-inbox-bucket": "InboxBucketName"}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def differences(answer, wanted, path="answer"):
    """What `wanted` asks for and `answer` does not have. "*" is anything; lists are compared whole."""
    if wanted == "*" and answer not in (None, ""):
        return []
    if isinstance(wanted, dict) and isinstance(answer, dict):
        return [line for key, value in wanted.items() for line in differences(answer.get(key), value, f"{path}.{key}")]
    if isinstance(wanted, list) and isinstance(answer, list) and len(wanted) == len(answer):
        return [line for n, value in enumerate(wanted) for line in differences(answer[n], value, f"{path}[{n}]")]
    return [] if answer == wanted else [f"{path} is {json.dumps(answer)}, not {json.dumps(wanted)}"]


class Emulator:
    """One bootstrap under the emulator."""

    def __init__(self, rie, bootstrap, name, environment, timeout, memory):
        self.port, runtime_port = free_port(), free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory),
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            **environment,
        }
        self.log = tempfile.TemporaryFile()
        command = [rie, "--log-level", "error", "--runtime-api-address", f"127.0.0.1:{runtime_port}"]
        command += ["--runtime-interface-emulator-address", f"127.0.0.1:{self.port}", bootstrap, "bootstrap"]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True
        )

    def invoke(self, event):
        url = f"http://127.0.0.1:{self.port}/2015-03-31/functions/function/invocations"
        for _ in range(100):
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    break
            except OSError:
                time.sleep(0.1)
        with urllib.request.urlopen(urllib.request.Request(url, data=event.encode(), method="POST"), timeout=120) as answer:
            text = answer.read().decode()
        return json.loads(text) if text else None

    def stop(self):
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.log.seek(0)
        return self.log.read().decode(errors="replace")


def main():
    endpoint, stack, build, sam = sys.argv[1:]
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    client = lambda name: session.client(name, endpoint_url=endpoint)
    cloudformation, functions = client("cloudformation"), client("lambda")
    outputs = {output["OutputKey"]: output["OutputValue"] for output in cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]}
    wanted = json.loads((HERE / "answers.json").read_text())
    fixtures = {str(path.relative_to(EVENTS)) for path in EVENTS.rglob("*.json")}
    if fixtures != set(wanted):
        sys.exit(f"events/ and answers.json differ: {sorted(fixtures ^ set(wanted))}")
    architecture = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
    [rie] = pathlib.Path(sam).parent.glob(f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{architecture}")

    # What scan/object-created.json announces.
    client("s3").put_object(Bucket=outputs["InboxBucketName"], Key="hello gate.txt", Body=b"hello, gate\n")

    failed = 0
    # In the order of the answers: the node is ready once a scan has told its engines.
    for function in dict.fromkeys(fixture.split("/")[0] for fixture in wanted):
        logical_id = f"{function.capitalize()}Function"
        resource = cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId=logical_id)
        name = resource["StackResourceDetail"]["PhysicalResourceId"]
        configuration = functions.get_function_configuration(FunctionName=name)
        environment = {**configuration["Environment"]["Variables"], "AWS_ENDPOINT_URL": endpoint}
        emulator = Emulator(rie, f"{build}/{logical_id}/bootstrap", name, environment, configuration["Timeout"], configuration["MemorySize"])
        problems = []
        try:
            for fixture in (fixture for fixture in wanted if fixture.startswith(f"{function}/")):
                event = (EVENTS / fixture).read_text()
                for local, output in NAMES.items():
                    event = event.replace(local, outputs[output])
                start = time.monotonic()
                answer = emulator.invoke(event)
                took = time.monotonic() - start
                if isinstance(answer, dict) and str(answer.get("body", "")).startswith(("{", "[")):
                    answer["body"] = json.loads(answer["body"])
                if isinstance(answer, dict) and "batchItemFailures" in answer:
                    # Messages are handled side by side: failures come in any order.
                    answer["batchItemFailures"].sort(key=lambda failure: failure["itemIdentifier"])
                found = differences(answer, wanted[fixture])
                problems += found
                print(f"{'FAILED' if found else 'ok':6} {fixture} ({took * 1000:.0f} ms)", *found, sep="\n       " if found else "")
        except OSError as error:
            problems.append(str(error))
            print(f"FAILED {function}: {error}")
        log = emulator.stop()
        if problems:
            print(log[-4000:])
        failed += len(problems)
    sys.exit(1 if failed else 0)


main()
