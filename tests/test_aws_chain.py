"""The whole service on the emulated AWS, from the files that are deployed.

The stack is that of `infrastructure.yaml`, made by `deploy`; the API is deployed by the real Chalice; the workflow is
`statemachine.json`, whose waits alone are shorter; every function runs in processes of its own through Lambda's
runtime interface; and everything is asked for by the real client.
"""

import ast
import base64
import itertools
import json
import re
import shutil
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import boto3
import httpx
import pytest
from boto3.dynamodb.conditions import Key
from click.testing import CliRunner
from moto.awslambda.models import lambda_backends
from moto.core.exceptions import JsonRESTError
from moto.dynamodb.responses import DynamoHandler
from moto.s3 import notifications
from moto.s3.responses import S3Response

from client.api import Client
from client.cli import main as command_line
from client.errors import Refused
from client.models import Job, Options
from deploy import api, stack
from deploy.__main__ import main
from deploy.settings import Deployment
from local.cli import main as transcriber
from tests import aws, emulated_chalice, emulated_events, gateway, permissions
from tests.cloud import emulated, outputs_of_stacks
from tests.conftest import Figure
from tests.containers import Containers
from tests.lambdas import Function
from tests.media_files import ffmpeg
from tests.permissions import Call, allows

ACCOUNT = "123456789012"
SENTENCE = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"
SETTINGS = {"MODELS": "tiny.en speakers", "MAX_CONCURRENCY": "2", "DELETION_PROTECTION": "false"}
# No bound of time: the emulator is slow, and slower where other tests run.
PATIENCE = 900

pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse")


@dataclass
class Site:
    """The deployed service, as its users and its operator see it."""

    outputs: dict[str, str]
    functions: dict[str, Containers]
    url: str
    client: Client
    token: str
    calls: set[Call]

    def send(self, files: dict[str, Path], options: Options | None = None) -> Job:
        """A job whose files have been uploaded."""
        job = self.client.create_job([(path, local.stat().st_size) for path, local in files.items()], options)
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda file: self.client.upload(job.id, file, files[file.path]), job.files))
        return job

    def finished(self, job: Job) -> Job:
        deadline = time.monotonic() + PATIENCE
        while (began := time.monotonic()) < deadline:
            now = self.client.job(job.id)
            if now.final:
                return now
            # An answer about many files is much work for the emulator, which has other work to do.
            time.sleep(max(0.2, 10 * (time.monotonic() - began)))
        raise TimeoutError(f"{self.client.job(job.id)}")

    def await_step(self, job: Job) -> None:
        """Until its first step is at work: the emulator fails an execution that is stopped just before."""
        deadline = time.monotonic() + PATIENCE
        while not self.steps(job):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def text(self, job: Job, n: int, folder: Path) -> str:
        self.client.download(job.id, n, "txt", folder / "transcript.txt")
        return (folder / "transcript.txt").read_text()

    def executions(self, job: Job) -> list[dict[str, Any]]:
        found = boto3.client("stepfunctions").list_executions(stateMachineArn=self.outputs["StateMachineArn"])
        return [execution for execution in found["executions"] if execution["name"] == job.id]

    def steps(self, job: Job) -> list[str]:
        both = self.functions["transcribe-dev-steps"], self.functions["transcribe-dev-transcriber"]
        return [event["step"] for function in both for event in function.events if event.get("job") == job.id]


@pytest.fixture(scope="module")
def site(voices_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    hurried = folder / "statemachine.json"
    text = re.sub(r'"IntervalSeconds": \d+', '"IntervalSeconds": 1', stack.DEFINITION.read_text())
    hurried.write_text(re.sub(r'"BackoffRate": \d+', '"BackoffRate": 1', text))
    with ExitStack() as context:
        cloud = context.enter_context(emulated())
        descriptions = context.enter_context(emulated_chalice.taken())
        context.enter_context(emulated_events.connected())
        context.enter_context(outputs_of_stacks())
        context.enter_context(patch.object(stack, "DEFINITION", hurried))
        context.enter_context(patch.dict("os.environ", {"AWS_ACCT_ID": ACCOUNT}))
        calls = context.enter_context(permissions.noted())
        deployment = Deployment("dev", ACCOUNT, aws.REGION, SETTINGS)
        image = f"{deployment.registry}/transcribe-dev@sha256:0"
        parameters = deployment.parameters(stack.parsed(stack.template()), image, 10)
        operator("ecr-repo")
        with deployer() as session:
            outputs = stack.deploy(session.client("cloudformation"), deployment.stack, parameters)
            api.deploy("dev", outputs, session.client("s3"))
        access = {name: value for name, value in cloud.environment.items() if name.startswith("AWS_")}
        functions = {}
        for function in lambda_backends[ACCOUNT][aws.REGION].list_functions():
            name, role = function.function_name, {"AWS_ACCESS_KEY_ID": function.role.rpartition("-")[2]}
            image_variables = {"MODELS_DIR": str(voices_dir)}
            functions[name] = Containers(function, {**access, **role}, image_variables, folder / name, context)
        cloud.handlers |= functions
        url = context.enter_context(gateway.serving(descriptions[-1]))
        token = new_token("ann")
        yield Site(outputs, functions, url, context.enter_context(Client(url, token)), token, calls)


@pytest.fixture(scope="module")
def silence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("silence") / "silence.wav"
    ffmpeg("-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono", "-t", "0.5", path)
    return path


@contextmanager
def deployer() -> Iterator[Any]:
    """What is done with boto3's session is done by the deployer."""
    with patch.dict("os.environ", {"AWS_ACCESS_KEY_ID": "deployer"}):
        yield boto3.Session()


def new_token(owner: str) -> str:
    with deployer():
        made = CliRunner().invoke(transcriber, ["tokens", "create", "--stage", "dev", "--owner", owner])
    assert made.exit_code == 0, made.output
    return made.stdout.strip()


def operator(*command: str) -> str:
    """What `python -m deploy` prints."""
    with deployer():
        result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@contextmanager
def told_by_eventbridge(count: int) -> Iterator[list[dict[str, Any]]]:
    """The details of `count` events of the service, there when the context ends."""
    events, sqs, details = boto3.client("events"), boto3.client("sqs"), list[dict[str, Any]]()
    queue = sqs.create_queue(
        QueueName="told.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    )
    arn = sqs.get_queue_attributes(QueueUrl=queue["QueueUrl"], AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="told", EventPattern=json.dumps({"source": ["transcribe"]}))
    target = {"Id": "queue", "Arn": arn, "SqsParameters": {"MessageGroupId": "told"}}
    events.put_targets(Rule="told", Targets=[target])
    try:
        yield details
    finally:
        names = {"QueueUrl": queue["QueueUrl"], "MaxNumberOfMessages": 10, "WaitTimeSeconds": 5}
        deadline = time.monotonic() + 60
        while len(details) < count and time.monotonic() < deadline:
            for message in sqs.receive_message(**names).get("Messages", []):
                details.append(json.loads(message["Body"])["detail"])
                # Those that come after it are held back until then.
                sqs.delete_message(QueueUrl=queue["QueueUrl"], ReceiptHandle=message["ReceiptHandle"])
        events.remove_targets(Rule="told", Ids=["queue"])
        events.delete_rule(Name="told")
        sqs.delete_queue(QueueUrl=queue["QueueUrl"])


def words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def test_a_video_becomes_a_transcript(site: Site, jfk_video: Path, tmp_path: Path, figure: Figure) -> None:
    began = time.monotonic()
    with told_by_eventbridge(4) as told:
        job = site.finished(site.send({"week 1/é speech.mp4": jfk_video}))
    states = ["awaiting_upload", "queued", "running", "succeeded"]
    previous = [None, *states[:-1]]
    assert told == [
        {"job": job.id, "owner": "ann", "state": state, "previous": before}
        for state, before in zip(states, previous, strict=True)
    ]
    figure(f"a job took {time.monotonic() - began:.1f} s, cold starts and all")
    (file,) = job.files
    assert (job.state, file.state, file.error) == ("succeeded", "succeeded", None)
    shown = httpx.get(f"{site.url}/jobs/{job.id}", headers={"Authorization": f"Bearer {site.token}"}).json()
    assert shown["dollars"] == pytest.approx(shown["gigabyte_seconds"] * 0.0000166667 + 6 * 2e-7, rel=0.1)
    assert 0.1 < shown["processor_seconds"] < 60
    assert words(site.text(job, 0, tmp_path)) == SENTENCE
    (execution,) = site.executions(job)
    assert execution["status"] == "SUCCEEDED"
    assert site.steps(job) == ["plan", "prepare", "batch", "merge", "finish", "transcribe"]


def test_a_small_file_is_transcribed_in_one_request(site: Site, jfk: Path) -> None:
    """As clients of OpenAI's do it, which send it again after 504: bytes in a form, through API Gateway and Lambda."""
    headers = {"Authorization": f"Bearer {site.token}"}
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = httpx.post(
            f"{site.url}/v1/audio/transcriptions",
            headers=headers,
            data={"model": "whisper-1", "response_format": "verbose_json"},
            files={"file": ("speech.wav", jfk.read_bytes())},
            timeout=60,
        )
        if answer.status_code != 504 or time.monotonic() > deadline:
            break
    assert answer.status_code == 200, answer.text
    assert words(answer.json()["text"]) == SENTENCE
    assert answer.json()["duration"] == pytest.approx(11, abs=0.1)
    assert [job.title for job in site.client.jobs()].count("speech.wav") == 1


def test_requests_without_a_token_go_no_further(site: Site) -> None:
    health = httpx.get(f"{site.url}/health").json()
    assert (health["status"], health["models"], health["diarizes"]) == ("ok", ["tiny.en"], True)
    assert httpx.get(f"{site.url}/jobs").status_code == 401
    assert httpx.get(f"{site.url}/jobs", headers={"Authorization": "Bearer nobody's"}).status_code == 403


def test_the_command_line(site: Site, silence: Path, tmp_path: Path) -> None:
    environ = {"TRANSCRIBE_SERVER": site.url, "TRANSCRIBE_TOKEN": site.token}

    def transcribe(code: int, *arguments: str) -> list[dict[str, Any]]:
        done = CliRunner().invoke(command_line, [*arguments, "--json"], env=environ, prog_name="transcribe")
        assert done.exit_code == code, done.output
        return [json.loads(line) for line in done.stdout.splitlines()]

    (tmp_path / "in").mkdir()
    shutil.copy(silence, tmp_path / "in" / "a.wav")
    (sent,) = transcribe(0, str(tmp_path / "in"))
    assert (sent["error"], sent["transcripts"]["txt"]) == (None, str(tmp_path / "in" / "a.txt"))
    (job,) = transcribe(0, "list", "--limit", "1")
    assert (job["state"], job["files_by_state"]) == ("succeeded", {"succeeded": 1})
    (fetched,) = transcribe(0, "download", job["id"], "-o", str(tmp_path / "out"))
    assert Path(fetched["transcripts"]["srt"]) == tmp_path / "out" / "a.srt"
    assert transcribe(1, "retry", job["id"]) == transcribe(1, "cancel", job["id"]) == []
    assert transcribe(0, "delete", "--yes", job["id"]) == [{"id": job["id"], "state": "deleted"}]
    assert transcribe(1, "status", job["id"]) == []


def test_a_corrupt_file_fails_and_the_others_do_not(site: Site, jfk_video: Path, jfk: Path, tmp_path: Path) -> None:
    (tmp_path / "corrupt.mp4").write_bytes(jfk_video.read_bytes()[:1000])
    job = site.finished(site.send({"a.mp4": jfk_video, "b.mp4": tmp_path / "corrupt.mp4", "c.wav": jfk}))
    assert job.state == "partial"
    assert [(file.path, file.state, file.error_code) for file in job.files] == [
        ("a.mp4", "succeeded", None),
        ("b.mp4", "failed", "damaged"),
        ("c.wav", "succeeded", None),
    ]
    assert [words(site.text(job, n, tmp_path)) for n in (0, 2)] == [SENTENCE, SENTENCE]
    (execution,) = site.executions(job)
    assert execution["status"] == "SUCCEEDED"


def test_a_transcribe_function_that_dies_twice_is_tried_again(
    site: Site, jfk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [0.1, 0.0]

    def die(_event: Any, container: Function) -> None:
        if left:
            time.sleep(left.pop())
            container.kill()

    transcriber = site.functions["transcribe-dev-transcriber"]
    monkeypatch.setattr(transcriber, "accident", die)
    job = site.finished(site.send({"a.wav": jfk}, Options(diarize=True)))
    assert left == []
    assert job.state == "succeeded"
    assert site.steps(job).count("transcribe") == 3
    assert words(site.text(job, 0, tmp_path)) == f"speaker 1 {SENTENCE}"


def test_events_that_come_again_start_nothing(site: Site, silence: Path) -> None:
    told = site.functions["transcribe-dev-object_created"].events
    before = len(told)
    job = site.send({"a.wav": silence, "b.wav": silence})
    events = told[before:]
    assert len(events) == 2
    functions = boto3.client("lambda")

    def tell(event: Any) -> None:
        functions.invoke(FunctionName="transcribe-dev-object_created", Payload=json.dumps(event))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(tell, events * 3))
    job = site.finished(job)
    tell(events[0])
    assert site.client.job(job.id) == job
    assert job.state == "succeeded"
    assert len(site.executions(job)) == 1
    assert site.steps(job).count("plan") == 1


def test_a_job_of_300_files(site: Site, silence: Path, jfk: Path, tmp_path: Path, figure: Figure) -> None:
    files = {f"week{n // 100}/{n}.wav": jfk if n == 150 else silence for n in range(300)}
    began = time.monotonic()
    job = site.send(files, Options(formats=("txt",)))
    sent = time.monotonic()
    job = site.finished(job)
    figure(f"300 files were sent in {sent - began:.1f} s and done in {time.monotonic() - sent:.1f} s")
    assert job.state == "succeeded"
    assert [(file.path, file.state) for file in job.files] == [(path, "succeeded") for path in files]
    assert words(site.text(job, 150, tmp_path)) == SENTENCE
    assert len(site.executions(job)) == 1
    assert Counter(site.steps(job)) == {
        "plan": 1,
        "prepare": 300,
        "batch": 1,
        "transcribe": 1,
        "merge": 300,
        "finish": 1,
    }


def test_more_than_was_declared_fails_the_file_alone(site: Site, silence: Path, jfk: Path) -> None:
    """S3 refuses such an upload by its signature, which the emulator does not look at."""
    job = site.client.create_job([("larger.wav", silence.stat().st_size), ("as-declared.wav", silence.stat().st_size)])
    for file, content in zip(job.files, (jfk, silence), strict=True):
        assert file.upload is not None
        httpx.put(file.upload.url, content=content.read_bytes()).raise_for_status()
    job = site.finished(job)
    assert [(file.state, file.error_code) for file in job.files] == [("failed", "size_mismatch"), ("succeeded", None)]


def test_an_object_deleted_between_steps_fails_its_file_alone(
    site: Site, silence: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete(event: Any, _container: Function) -> None:
        if event["step"] == "plan":
            boto3.client("s3").delete_object(Bucket=site.outputs["MediaBucket"], Key=f"uploads/{event['job']}/a.wav")

    monkeypatch.setattr(site.functions["transcribe-dev-steps"], "accident", delete)
    job = site.finished(site.send({"a.wav": silence, "b.wav": silence}))
    assert [(file.state, file.error_code) for file in job.files] == [("failed", "missing"), ("succeeded", None)]


def test_a_file_that_needs_too_much_memory_fails_alone(
    site: Site, silence: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(event: Any, container: Function) -> None:
        end = time.monotonic() + 3
        while event["step"] == "prepare" and event["file"] == 0 and time.monotonic() < end:
            container.kill()  # again, since the emulator starts what died at rest anew
            time.sleep(0.005)

    monkeypatch.setattr(site.functions["transcribe-dev-steps"], "accident", die)
    job = site.finished(site.send({"huge.wav": silence, "b.wav": silence}))
    assert [(file.state, file.error_code) for file in job.files] == [("failed", "unprepared"), ("succeeded", None)]
    assert job.files[0].error == (
        "The file could not be read. It needed more memory than the function has. Send the file again."
    )
    assert site.steps(job).count("prepare") == 6, "five attempts, and the other file's"


def test_a_function_whose_time_is_up_goes_on_in_the_next(site: Site, jfk: Path, tmp_path: Path) -> None:
    """It stops 10 s before its end: with 11 s it has one more than that, so each chunk takes an invocation or two."""
    transcriber = site.functions["transcribe-dev-transcriber"]
    was = transcriber.deployed.timeout
    transcriber.change(timeout=11)
    try:
        job = site.finished(site.send({f"{n}.wav": jfk for n in range(4)}))
    finally:
        transcriber.change(timeout=was)
    assert job.state == "succeeded"
    assert site.steps(job).count("transcribe") > 1
    assert [words(site.text(job, n, tmp_path)) for n in range(4)] == [SENTENCE] * 4


def test_an_upload_whose_url_has_expired_gets_another(
    site: Site, silence: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The emulator does not look at the time: what was signed until now is refused here, as S3 does hours later."""
    job = site.client.create_job([("a.wav", silence.stat().st_size)])
    time.sleep(1.1)
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    answer, refused = S3Response.key_response, []

    def expired(this: Any, request: Any, full_url: str, headers: Any) -> Any:
        signed = parse_qs(urlsplit(full_url).query).get("X-Amz-Date", [now])[0]
        if request.method != "PUT" or signed >= now:
            return answer(this, request, full_url, headers)
        refused.append(full_url)
        return 403, {}, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"

    monkeypatch.setattr(S3Response, "key_response", expired)
    (file,) = job.files
    site.client.upload(job.id, file, silence)
    assert len(refused) == 1
    assert site.finished(job).state == "succeeded"


def test_a_job_whose_event_was_lost_is_found(site: Site, silence: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(notifications, "send_event", lambda *_: None)
        job = site.send({"a.wav": silence})
    assert site.client.job(job.id).state == "awaiting_upload"
    five_minutes_later(site, job)
    assert site.finished(job).state == "succeeded"


def five_minutes_later(site: Site, job: Job) -> None:
    """The job that waits is looked at."""
    table, key = boto3.resource("dynamodb").Table(site.outputs["Table"]), Key("pk").eq("waiting")
    item = next(item for item in table.query(KeyConditionExpression=key)["Items"] if item["sk"].endswith(job.id))
    table.put_item(Item={**item, "sk": f"{int(time.time()):012}#{job.id}"})
    scheduled(site, "catch_up")


def test_a_throttled_table_is_waited_for(site: Site, silence: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of all writes are refused at first: Lambda's and our own retries get them through."""
    update, calls = DynamoHandler.update_item, itertools.count()

    def throttled(this: DynamoHandler) -> Any:
        if (call := next(calls)) < 20 and call % 2:
            raise JsonRESTError("ProvisionedThroughputExceededException", "Too many writes.")
        return update(this)

    monkeypatch.setattr(DynamoHandler, "update_item", throttled)
    job = site.finished(site.send({"a.wav": silence, "b.wav": silence}))
    assert next(calls) > 2
    assert (job.state, [file.state for file in job.files]) == ("succeeded", ["succeeded", "succeeded"])


def test_a_drop_in_folder_is_transcribed(site: Site, jfk: Path, tmp_path: Path) -> None:
    s3, media = boto3.client("s3"), site.outputs["MediaBucket"]
    s3.upload_file(str(jfk), media, "inbox/lectures/week 1/jfk.wav")
    s3.put_object(Bucket=media, Key="inbox/lectures/done.txt", Body=b"")
    deadline = time.monotonic() + PATIENCE
    while True:
        listed = s3.list_objects_v2(Bucket=site.outputs["TranscriptsBucket"], Prefix="transcripts/").get("Contents", [])
        found = [item["Key"] for item in listed if item["Key"].endswith("/lectures/week 1/jfk.txt")]
        if found:
            break
        assert time.monotonic() < deadline, listed
        time.sleep(0.2)
    s3.download_file(site.outputs["TranscriptsBucket"], found[0], str(tmp_path / "jfk.txt"))
    assert words((tmp_path / "jfk.txt").read_text()) == SENTENCE


def test_an_execution_that_is_stopped_fails_its_job(site: Site, jfk_video: Path) -> None:
    job = site.send({"a.mp4": jfk_video})
    site.await_step(job)
    (execution,) = site.executions(job)
    boto3.client("stepfunctions").stop_execution(executionArn=execution["executionArn"])
    job = site.finished(job)
    assert (job.state, job.error) == (
        "failed",
        "The transcription was stopped by the operator of this service. Retry the job: what is finished stays.",
    )


def test_a_job_is_cancelled_then_retried_then_deleted(site: Site, jfk_video: Path) -> None:
    job = site.send({"week 1/a.mp4": jfk_video})
    site.await_step(job)
    headers = {"Authorization": f"Bearer {site.token}"}
    with httpx.Client(base_url=site.url, headers=headers, timeout=60) as http:
        assert http.post(f"/jobs/{job.id}/cancel").raise_for_status().json()["files_by_state"] == {"cancelled": 1}
        told = site.functions["transcribe-dev-execution_ended"].events
        deadline = time.monotonic() + PATIENCE
        while job.id not in [event["detail"]["name"] for event in told]:  # the emulator lets the step end
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert [execution["status"] for execution in site.executions(job)] == ["ABORTED"]
        assert site.finished(job).state == "cancelled"

        assert http.post(f"/jobs/{job.id}/retry").raise_for_status().json()["state"] == "queued"
        assert site.finished(job).state == "succeeded"
        names = boto3.client("stepfunctions").list_executions(stateMachineArn=site.outputs["StateMachineArn"])
        assert f"{job.id}-2" in [execution["name"] for execution in names["executions"]]

        assert http.delete(f"/jobs/{job.id}").status_code == 204
        assert http.get(f"/jobs/{job.id}").status_code == 404
    assert objects_of(site, job) != []
    scheduled(site, "sweep")
    assert objects_of(site, job) == []
    with pytest.raises(Refused, match="There is no such job"):
        site.client.job(job.id)


def scheduled(site: Site, handler: str) -> None:
    """What EventBridge does when it is time."""
    event = dict.fromkeys(("version", "id", "account", "time", "region", "detail-type", "source"), "")
    site.functions[f"transcribe-dev-{handler}"]({**event, "resources": [], "detail": {}})


def objects_of(site: Site, job: Job) -> list[str]:
    buckets = site.outputs["MediaBucket"], site.outputs["TranscriptsBucket"]
    pages = (boto3.client("s3").list_objects_v2(Bucket=bucket) for bucket in buckets)
    return [found["Key"] for page in pages for found in page.get("Contents", []) if job.id in found["Key"]]


UNSEEN = {"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"} | {
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
}
UNSEEN_OF = {
    "api": set[str](),
    # Lambda itself reads the stream and the queue with the function's role.
    "events": {
        *("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"),
        *("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
    },
    "steps": {"s3:AbortMultipartUpload"},  # of a stream that was torn
    "sweep": {"states:StopExecution"},  # of a job that runs when its days are over
    "transcriber": set[str](),
    # What Step Functions does with the role beyond what the emulator does.
    "workflow": {
        *("states:StartExecution", "states:DescribeExecution", "states:StopExecution"),
        *("s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"),
        *("logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery"),
        *("logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies"),
        *("logs:DescribeLogGroups", "xray:GetSamplingRules", "xray:GetSamplingTargets"),
    },
}
KEYS_OF = {"workflow": "ak"}
"""The access key of the emulator's interpreter; the functions have the names of their roles."""


def test_roles_allow_what_is_asked_for_and_nothing_else(
    site: Site, silence: Path, jfk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What all tests ask for until now, and here all else that there is to ask for."""
    headers, data = {"Authorization": f"Bearer {site.token}"}, jfk.read_bytes()
    crc32 = base64.b64encode(zlib.crc32(data).to_bytes(4)).decode()
    files = [{"path": "parts.wav", "size": len(data)}, {"path": "other.wav", "size": 1}]
    new = {"files": files, "labels": {"course": "biology"}, "webhook": "https://nobody.invalid/"}
    with httpx.Client(base_url=site.url, headers=headers, timeout=60) as http:
        answer = http.post("/jobs", json=new, headers={"Idempotency-Key": "once"}).raise_for_status()
        made = answer.json()
        assert http.get(answer.url.join(answer.headers["Location"])).raise_for_status().json()["id"] == made["id"]
        job, parts = site.client.job(made["id"]), f"/jobs/{made['id']}/files/0/parts"
        assert http.post(parts, json={}).raise_for_status().json()["stored"] == []
        assert http.delete(parts).status_code == 204
        (part,) = http.post(parts, json={"parts": [{"number": 1, "crc32": crc32}]}).json()["uploads"]
        etag = httpx.put(part["url"], content=data).raise_for_status().headers["ETag"]
        completed = http.post(f"/jobs/{job.id}/files/0/complete", json={"parts": [{"number": 1, "etag": etag}]})
        assert completed.raise_for_status().json()["state"] == "uploaded"
        httpx.put(made["files"][1]["upload"]["url"], content=silence.read_bytes()).raise_for_status()
        job = site.finished(job)
        assert [(file.state, file.error_code) for file in job.files] == [
            ("succeeded", None),
            ("failed", "size_mismatch"),
        ]
        # The name of nobody's webhook is looked for as long as a resolver takes, and only while there is the job.
        deadline = time.monotonic() + PATIENCE
        while "sqs:ChangeMessageVisibility" not in {call.action for call in site.calls.copy()}:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        correction = {"replaces": "original", "segments": [{"id": 0, "text": "Ask not."}]}
        assert len(http.put(f"/jobs/{job.id}/files/0/transcript", json=correction).json()["versions"]) == 2
        for what in ("versions/original", "media", "transcript?format=txt"):
            (url,) = http.get(f"/jobs/{job.id}/files/0/{what}", headers={"Accept": "application/json"}).json().values()
            assert httpx.get(url).status_code == 200
        (found,) = http.get("/jobs", params={"label": "course:biology"}).raise_for_status().json()["jobs"]
        assert found["id"] == job.id
        assert len(http.get(f"/jobs/{job.id}/files", params={"state": "failed"}).json()["files"]) == 1
        assert http.post(f"/jobs/{job.id}/retry").raise_for_status().json()["state"] == "awaiting_upload"
        with monkeypatch.context() as patched:
            patched.setattr(notifications, "send_event", lambda *_: None)
            again = http.post(f"/jobs/{job.id}/files/1/upload").raise_for_status().json()
            httpx.put(again["url"], content=b"x").raise_for_status()
        five_minutes_later(site, job)
        site.finished(job)
        assert http.post(f"/jobs/{job.id}/retry").raise_for_status().json()["state"] == "queued"
        http.post(f"/jobs/{job.id}/cancel").raise_for_status()
        assert http.delete(f"/jobs/{job.id}").status_code == 204
        begun = http.post("/jobs", json={"files": [{"path": "begun.wav", "size": 1}]}).raise_for_status().json()["id"]
        http.post(f"/jobs/{begun}/files/0/parts").raise_for_status()
        assert http.delete(f"/jobs/{begun}").status_code == 204
    scheduled(site, "sweep")
    s3, media = boto3.client("s3"), site.outputs["MediaBucket"]
    s3.upload_file(str(silence), media, "inbox/course/a.wav")
    s3.put_object(Bucket=media, Key="inbox/course/done.txt", Body=b"")
    s3.upload_file(str(jfk), media, "week1/jfk.wav")
    items = site.functions["transcribe-dev-transcriber"]({"Items": [{"Key": "week1/jfk.wav", "Size": len(data)}]})
    assert items["Items"][0]["Result"] == "transcribed"

    refused, unused, calls = list[Call](), dict[str, set[str]](), site.calls.copy()
    for role in UNSEEN_OF:
        policy = policy_of(role)
        asked = [call for call in calls if call.who == KEYS_OF.get(role, role)]
        refused += [call for call in asked if not allows(policy, call)]
        allowed = {action for statement in policy["Statement"] for action in permissions.listed(statement["Action"])}
        unused[role] = allowed - UNSEEN - {call.action for call in asked}
    assert refused == []
    assert unused == UNSEEN_OF


def policy_of(role: str) -> Any:
    """What the stack allows, with all its names put in. The emulator gives Python's form of it."""
    name = f"transcribe-dev-{aws.REGION}-{role}"
    return ast.literal_eval(boto3.client("iam").get_role_policy(RoleName=name, PolicyName=role)["PolicyDocument"])


def test_the_deployers_policy_allows_what_is_asked_for(site: Site) -> None:
    policy = json.loads(Path("deploy/deployer-policy.json").read_text())
    operator("logs")
    operator("reindex")
    asked = [call for call in site.calls.copy() if call.who == "deployer"]
    assert [call for call in asked if not allows(policy, call)] == []
    assert {"lambda:CreateFunction", "cloudformation:ExecuteChangeSet"} <= {call.action for call in asked}


def test_destroyed_it_leaves_nothing(site: Site) -> None:
    """The last test of the site, which it takes away."""
    # The emulator takes "false" for true, and the table away with the stack.
    boto3.client("dynamodb").update_table(TableName=site.outputs["Table"], DeletionProtectionEnabled=False)
    operator("destroy", "--data", "--yes")
    functions, s3 = boto3.client("lambda"), boto3.client("s3")
    assert functions.list_functions()["Functions"] == []
    assert boto3.client("apigateway").get_rest_apis()["items"] == []
    assert boto3.client("events").list_rules()["Rules"] == []
    assert boto3.client("stepfunctions").list_state_machines()["stateMachines"] == []
    assert boto3.client("iam").list_roles()["Roles"] == []
    assert boto3.client("logs").describe_log_groups()["logGroups"] == []
    assert boto3.client("cloudformation").list_stacks(StackStatusFilter=["CREATE_COMPLETE"])["StackSummaries"] == []
    of_the_emulation = {aws.MEDIA, aws.TRANSCRIPTS}
    assert {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]} == of_the_emulation
    assert boto3.client("dynamodb").list_tables()["TableNames"] == [aws.TABLE]
