"""The container function as Lambda runs it, over the emulated S3 and DynamoDB."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from chalicelib import keys
from chalicelib.aws import platform
from chalicelib.jobs import FileState, Job, JobState, MediaFile, Options
from chalicelib.transcript import Audio, Chunk
from container.events import BadEvent, Cause, parse
from tests import aws, lambdas
from tests.cloud import emulated
from tests.conftest import Figure
from tests.lambdas import Function

JOB = "01jd8w5x7n0000000000000000"
SENTENCE = "And so my fellow Americans ask not what your country can do for you ask what you can do for your country."


@pytest.fixture(scope="module")
def cloud(models_dir: Path) -> Iterator[dict[str, str]]:
    """The environment of a function in an emulated account."""
    with emulated() as account:
        yield {**account.environment, "MODELS_DIR": str(models_dir), "DEFAULT_MODEL": "tiny.en", "BATCH_SECONDS": "600"}


@pytest.fixture
def function(cloud: dict[str, str], tmp_path: Path) -> Iterator[Function]:
    with lambdas.function(cloud, tmp_path / "function") as function:
        yield function


def submit(cloud: dict[str, str], files: dict[str, bytes], job: str = JOB, model: str = "tiny.en") -> None:
    """A job whose files have arrived."""
    media = [
        MediaFile(job=job, n=n, path=path, output=path.rpartition(".")[0], size=len(data), state=FileState.UPLOADED)
        for n, (path, data) in enumerate(files.items())
    ]
    platform.records(cloud).add_job(
        Job(
            id=job,
            owner="somebody",
            state=JobState.QUEUED,
            options=Options(model=model),
            created_at=1.0,
            size=sum(map(len, files.values())),
            counts={FileState.UPLOADED: len(files)},
        ),
        media,
    )
    for path, data in files.items():
        platform.objects(cloud).put(keys.upload(job, path), data)


def test_steps_of_a_job(cloud: dict[str, str], function: Function, jfk_video: Path, figure: Figure) -> None:
    submit(cloud, {"week1/speech.mp4": jfk_video.read_bytes(), "bad.mp4": b"no video at all"})
    objects, records = platform.objects(cloud), platform.records(cloud)

    assert function.invoke({"step": "plan", "job": JOB}) == {"job": JOB, "files": 2}
    assert json.loads(objects.get(keys.files(JOB))) == [0, 1]
    for n in (0, 1):
        assert function.invoke({"step": "prepare", "job": JOB, "file": n}) == {"job": JOB, "file": n}
    assert function.invoke({"step": "batch", "job": JOB}) == {"job": JOB, "batches": 1}
    (batch,) = json.loads(objects.get(keys.batches(JOB)))
    transcribe = {"step": "transcribe", "job": JOB, "batch": batch}
    assert function.invoke(transcribe) == {"job": JOB, "batch": 0}
    assert function.invoke(transcribe) == {"job": JOB, "batch": 0}, "done work is not done again"
    for n in (0, 1):
        assert function.invoke({"step": "merge", "job": JOB, "file": n}) == {"job": JOB, "file": n}
    assert function.invoke({"step": "finish", "job": JOB}) == {"job": JOB}

    job = records.job(JOB)
    assert job is not None
    assert job.state == JobState.PARTIAL
    assert words(objects.get(keys.transcript(JOB, "week1/speech", "txt")).decode()) == words(SENTENCE)
    assert list(objects.keys(keys.work(JOB))) == []

    lines = function.lines()
    transcribed = [line for line in lines if line.get("step") == "transcribe" and "level" in line]
    assert {line["job"] for line in transcribed} == {JOB}
    assert {line["batch"] for line in transcribed} == {0}
    assert f"transcribed chunk 0 of file 0 of job {JOB}" in [line["message"] for line in transcribed]
    (measured,) = [line for line in lines if "AudioSeconds" in line]
    assert measured["AudioSeconds"] == [pytest.approx(batch["chunks"][0]["seconds"])]
    assert measured["Cost"][0] > 0
    assert measured["job"] == JOB
    assert sum(line.get("ColdStart", [0.0])[0] for line in lines) == 1
    assert not (function.log.parent / "transcribe").exists(), "temporary files are gone"
    figure(f"realtime factor {measured['RealtimeFactor'][0]:.3f}, ${measured['Cost'][0]:.6f}")


def words(text: str) -> list[str]:
    return [word.strip(".,").lower() for word in text.split()]


def test_stops_before_its_time_is_up_and_goes_on(cloud: dict[str, str], jfk_video: Path, tmp_path: Path) -> None:
    job = "01jd8w5x7n0000000000000001"
    submit(cloud, {"speech.mp4": jfk_video.read_bytes()}, job)
    with lambdas.function(cloud, tmp_path / "light") as light:
        for event in ({"step": "plan"}, {"step": "prepare", "file": 0}, {"step": "batch"}):
            light.invoke({**event, "job": job})
        (batch,) = json.loads(platform.objects(cloud).get(keys.batches(job)))
        transcribe = {"step": "transcribe", "job": job, "batch": batch}
        with lambdas.function(cloud, tmp_path / "hasty", timeout=9) as hasty:
            stopped = hasty.invoke(transcribe)
        assert stopped["errorType"] == "OutOfTime"
        assert stopped["errorMessage"] == "stopped before chunk 0 of file 0"
        assert light.invoke(transcribe) == {"job": job, "batch": 0}


def test_a_large_model_has_smaller_batches(cloud: dict[str, str], tmp_path: Path) -> None:
    """Those that 600 s are enough for: BATCH_SECONDS of it would be interrupted each time. What counts is the memory of
    the functions that transcribe.
    """
    job = "01jd8w5x7n0000000000000007"
    submit(cloud, {"long.mp4": b"long"}, job, "large-v3")
    objects, records = platform.objects(cloud), platform.records(cloud)
    file = records.file(job, 0)
    assert file is not None
    records.move_file(file, FileState.TRANSCRIBING)
    chunks = [Chunk(start=30.0 * number, end=30.0 * number + 29, speech=[]) for number in range(40)]
    audio = Audio(duration=1200, language="en", chunks=chunks)
    objects.put(keys.audio(job, 0), audio.model_dump_json().encode())
    with lambdas.function({**cloud, "TRANSCRIBE_MEMORY": "3008"}, tmp_path / "function", memory=1769) as function:
        assert function.invoke({"step": "plan", "job": job}) == {"job": job, "files": 1}
        assert function.invoke({"step": "batch", "job": job}) == {"job": job, "batches": 4}
    batches = json.loads(objects.get(keys.batches(job)))
    assert [sum(chunk["seconds"] for chunk in batch["chunks"]) for batch in batches] == [290.0] * 4


def test_gives_up_in_words(cloud: dict[str, str], function: Function) -> None:
    job = "01jd8w5x7n0000000000000002"
    submit(cloud, {"a.mp4": b"a", "b.mp4": b"b"}, job)
    timeout = {"Error": "Sandbox.Timedout", "Cause": '{"errorType":"Sandbox.Timedout","errorMessage":"Task timed out"}'}
    event = {"step": "fail_file", "job": job, "file": 1, "code": "unprepared", "cause": timeout}
    assert function.invoke(event) == {"job": job, "file": 1}
    file = platform.records(cloud).file(job, 1)
    assert file is not None
    assert file.error is not None
    assert (file.state, file.error.code) == (FileState.FAILED, "unprepared")
    assert file.error.message == (
        "The file could not be read. It took longer than a function may run. Send the file again."
    )
    reader = {"Error": "States.ItemReaderFailed", "Cause": "NoSuchKey"}
    assert function.invoke({"step": "fail_job", "job": job, "cause": reader}) == {"job": job}
    failed = platform.records(cloud).job(job)
    assert failed is not None
    assert (failed.state, failed.error) == (
        JobState.FAILED,
        "The job could not be finished. The workflow's own files could not be read. Send it again.",
    )
    counted = [line for line in function.lines() if "FilesFailed" in line or "JobsFailed" in line]
    assert [(line["step"], line["job"]) for line in counted] == [("fail_file", job), ("fail_job", job)]


def test_objects_of_the_older_pipeline(function: Function, jfk_video: Path) -> None:
    s3 = boto3.client("s3")
    video = jfk_video.read_bytes()
    for key, body in {
        "week1/lesson1/video 1.mp4": video,
        "week1/lesson1/done.txt": b"",
        "week1/": b"",
        "week1/notes.pdf": b"%PDF-1.7 some notes",
    }.items():
        s3.put_object(Bucket=aws.MEDIA, Key=key, Body=body)
    objects = s3.list_objects_v2(Bucket=aws.MEDIA, Prefix="week1/")["Contents"]
    items = [{"Key": object["Key"], "Size": object["Size"], "Etag": object["ETag"]} for object in objects]
    result = function.invoke({"Items": [*items, {"Key": "week2/gone.mp4", "Size": 1}]})
    assert result["Items"] == [
        {"Key": "week1/", "Result": "skipped", "Reason": "It is a folder."},
        {
            "Key": "week1/lesson1/done.txt",
            "Result": "skipped",
            "Reason": "It only says that a folder is complete.",
        },
        {
            "Key": "week1/lesson1/video 1.mp4",
            "Result": "transcribed",
            "Transcript": "week1/lesson1/video 1.txt",
            "Seconds": pytest.approx(11.0, abs=0.1),
        },
        {
            "Key": "week1/notes.pdf",
            "Result": "skipped",
            "Reason": "This is not an audio or video file that can be read.",
        },
        {
            "Key": "week2/gone.mp4",
            "Result": "failed",
            "Reason": f"There is no such object in the bucket {aws.MEDIA}.",
        },
    ]
    text = s3.get_object(Bucket=aws.TRANSCRIPTS, Key="week1/lesson1/video 1.txt")["Body"].read().decode()
    assert words(text) == words(SENTENCE)
    again = function.invoke({"Items": items[2:3]})
    assert again["Items"] == [
        {
            "Key": "week1/lesson1/video 1.mp4",
            "Result": "transcribed",
            "Transcript": "week1/lesson1/video 1.txt",
        }
    ], "what is there is not made again"

    namesake = "week1/lesson1/video 1.mov"
    s3.put_object(Bucket=aws.MEDIA, Key=namesake, Body=video)
    for _ in range(2):
        other = function.invoke({"Items": [{"Key": namesake}, items[2]]})["Items"]
        assert [one["Transcript"] for one in other] == [f"{namesake}.txt", "week1/lesson1/video 1.txt"]
    assert words(s3.get_object(Bucket=aws.TRANSCRIPTS, Key=f"{namesake}.txt")["Body"].read().decode()) == words(
        SENTENCE
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"TABLE": ""}, "Not set in the environment: TABLE.", id="no-variable"),
        pytest.param(
            {"MEDIA_BUCKET": "gone"},
            "There is no bucket gone, which MEDIA_BUCKET names: deploy the stack again.",
            id="no-bucket",
        ),
    ],
)
def test_names_what_is_missing(cloud: dict[str, str], tmp_path: Path, changes: dict[str, str], message: str) -> None:
    with lambdas.function({**cloud, **changes}, tmp_path) as function:
        answer = function.invoke({"step": "plan", "job": JOB})
    assert answer["errorType"] == "SettingError"
    assert answer["errorMessage"].startswith(message)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        pytest.param({}, "event: Unable to extract tag using discriminator 'step'", id="empty"),
        pytest.param({"step": "prepare", "job": "j"}, "prepare.file: Field required", id="no-file"),
        pytest.param({"Items": [{"Size": 1}]}, "Items.0.Key: Field required", id="no-key"),
    ],
)
def test_refuses_other_events(event: Any, message: str) -> None:
    with pytest.raises(BadEvent) as refused:
        parse(event)
    assert str(refused.value) == f"The event is not valid: {message}."


@pytest.mark.parametrize(
    ("cause", "sentence"),
    [
        pytest.param(Cause(Error="Sandbox.Timedout", Cause="{}"), "It took longer than a function may run.", id="time"),
        pytest.param(
            Cause(Error="Runtime.ExitError", Cause='{"errorType":"Runtime.ExitError"}'),
            "It needed more memory than the function has.",
            id="memory",
        ),
        pytest.param(
            Cause(Error="Lambda.TooManyRequestsException", Cause="Rate Exceeded."),
            "All functions of the account were busy for too long.",
            id="throttled",
        ),
        pytest.param(
            Cause(Error="KeyError", Cause='{"errorType":"KeyError","stackTrace":["secret"]}'),
            "Something went wrong on our side.",
            id="anything-else",
        ),
    ],
)
def test_causes_in_words(cause: Cause, sentence: str) -> None:
    assert cause.sentence == sentence
