"""What the service says to requests, good and bad: exact fields and words."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chalicelib import ids, tokens
from chalicelib.access import NewToken
from chalicelib.aws import platform as aws_platform
from chalicelib.capabilities import NO_VOICES
from chalicelib.errors import Problem
from chalicelib.jobs import FileState, Job, JobState, MediaFile, Options, output_paths
from chalicelib.requests import MAX_PAGE
from chalicelib.service import Service
from chalicelib.settings import Settings
from local.objects import DiskObjects
from local.records import SQLiteRecords
from local.search import SQLiteIndex
from local.signing import base_url

ONE = [{"path": "a.mp4", "size": 1}]


class Starts:
    """A workflow that only counts."""

    def __init__(self) -> None:
        self.jobs: list[str] = []

    def start(self, execution: str) -> None:
        self.jobs.append(execution)

    def stop(self, execution: str) -> None:
        self.jobs.remove(execution)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    base_url.set("http://test")
    return Service(
        objects=DiskObjects(tmp_path / "objects", b"secret"),
        records=SQLiteRecords(tmp_path / "records.sqlite"),
        workflow=Starts(),
        index=SQLiteIndex(tmp_path / "search.sqlite"),
        settings=Settings(models={"tiny.en": False, "base": True}, default_model="tiny.en", largest_file=1000),
    )


def errors(service: Service, body: Any) -> dict[str, str]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Problem) as problem:
        service.create_job("me", raw)
    assert problem.value.status == 422
    return {error["field"]: error["message"] for error in problem.value.errors}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "must not be empty"),
        ("/etc/passwd", "must be a relative path with '/' between its parts, such as 'week1/video1.mp4'"),
        ("C:/video.mp4", "must be a relative path with '/' between its parts, such as 'week1/video1.mp4'"),
        ("week1\\video.mp4", "must not hold '\\': part folders by '/', and rename a file that has it in its name"),
        ("../a.mp4", "must not hold empty parts, '.' or '..'"),
        ("a/../../b.mp4", "must not hold empty parts, '.' or '..'"),
        ("a//b.mp4", "must not hold empty parts, '.' or '..'"),
        ("./a.mp4", "must not hold empty parts, '.' or '..'"),
        ("a/", "must not hold empty parts, '.' or '..'"),
        ("a\x00.mp4", "must not hold control characters: rename it"),
        ("a\n.mp4", "must not hold control characters: rename it"),
        ("a\uffff.mp4", "must not hold U+FFFE or U+FFFF, which are no characters"),
        ("a/" * 450 + "b", "must not be longer than 900 bytes"),
        ("é" * 121, "must not hold a name longer than 240 bytes: shorten it"),
        (None, "must be a string"),
    ],
)
def test_bad_paths(service: Service, path: Any, message: str) -> None:
    assert errors(service, {"files": [*ONE, {"path": path, "size": 1}]}) == {"files[1].path": message}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"files": "must be given"}),
        (b"", {"files": "must be given"}),
        ([], {"the body": "must be an object"}),
        ({"files": []}, {"files": "must hold at least 1"}),
        ({"files": "a.mp4"}, {"files": "must be a list"}),
        ({"files": ONE * 2}, {"files": "must not hold the path 'a.mp4' twice"}),
        (
            {"files": [*ONE, {"path": "a.mp4/b.mp4", "size": 1}]},
            {"files": "must not use 'a.mp4' both as a file and as the folder of 'a.mp4/b.mp4'"},
        ),
        (
            {"files": [{"path": f"{n}.mp4", "size": 1} for n in range(MAX_PAGE + 1)]},
            {"files": "must hold no more than 1000, not 1001"},
        ),
        ({"files": [{"path": "a.mp4"}]}, {"files[0].size": "must be given"}),
        ({"files": [{"path": "a.mp4", "size": -1}]}, {"files[0].size": "must be 0 or more"}),
        ({"files": [{"path": "a.mp4", "size": "1"}]}, {"files[0].size": "must be a whole number"}),
        ({"files": [{"path": "a.mp4", "size": 1001}]}, {"files[0].size": "must not be more than 1000 bytes"}),
        ({"files": ONE, "colour": 1}, {"colour": "must be left out: there is no such field"}),
        ({"files": ONE, "title": " "}, {"title": "must be one line with something in it"}),
        ({"files": ONE, "title": "two\nlines"}, {"title": "must be one line with something in it"}),
        ({"files": ONE, "title": "x" * 257}, {"title": "must have no more than 256 characters"}),
        ({"files": ONE, "title": 5}, {"title": "must be a string"}),
    ],
    ids=str,
)
def test_bad_bodies(service: Service, body: Any, expected: dict[str, str]) -> None:
    assert errors(service, body) == expected


ENGLISH_ONLY = "since the model tiny.en knows English only: choose another model (base)"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("language", "klingon", "must be 'auto' or the code of a language that Whisper knows, such as 'en'"),
        ("language", "fr", f"must be 'en' or 'auto', {ENGLISH_ONLY}"),
        ("task", "summarize", "must be 'transcribe' or 'translate'"),
        ("task", "translate", f"must be 'transcribe', {ENGLISH_ONLY}"),
        ("model", "huge", "must be one of those installed: base, tiny.en"),
        ("formats", [], "must hold at least 1"),
        ("formats", ["srt", "srt"], "must name each once"),
        ("prompt", "x" * 901, "must have no more than 900 characters"),
        ("word_timestamps", "maybe", "must be true or false"),
        ("guards", ["loops", "loops"], "must name each once"),
        ("diarize", True, NO_VOICES),
        ("diarize", "perhaps", "must be true or false"),
        ("channels", "left", "must be 'mix' or 'split'"),
        ("beam", 5, "must be left out: there is no such field"),
    ],
)
def test_bad_options(service: Service, option: str, value: Any, message: str) -> None:
    assert errors(service, {"files": ONE, "options": {option: value}}) == {f"options.{option}": message}


def test_other_languages_have_to_be_installed(service: Service) -> None:
    alone = replace(service, settings=replace(service.settings, models={"tiny.en": False}))
    found = errors(alone, {"files": ONE, "options": {"language": "fr"}})
    assert "'transcriber models install base'" in found["options.language"]


def test_speakers_are_told_apart_in_one_way(service: Service) -> None:
    assert errors(service, {"files": ONE, "options": {"diarize": True, "channels": "split"}}) == {
        "options": "must not have both 'diarize' and 'channels': \"split\", which has a speaker a channel"
    }


def test_a_body_that_is_not_json(service: Service) -> None:
    with pytest.raises(Problem, match="The body is not valid JSON") as problem:
        service.create_job("me", b"{files")
    assert problem.value.status == 400


def test_all_wrong_fields_are_named(service: Service) -> None:
    body = {"files": [{"path": "..", "size": -1}], "options": {"language": "xx", "task": "sing"}}
    assert set(errors(service, body)) == {"files[0].path", "files[0].size", "options.language", "options.task"}


def test_options_have_defaults_and_the_model_is_filled_in(service: Service) -> None:
    created = service.create_job("me", json.dumps({"files": ONE}).encode())
    assert created["options"] == {
        "language": "auto",
        "task": "transcribe",
        "model": "tiny.en",
        "formats": ["txt", "srt", "vtt", "json", "tsv"],
        "prompt": "",
        "word_timestamps": True,
        "diarize": False,
        "channels": "mix",
        "guards": ["speech", "outside", "attempts", "loops", "sounds", "phantoms"],
    }
    assert created["files"][0]["upload"]["method"] == "PUT"


@pytest.mark.parametrize(
    ("given", "paths", "title"),
    [
        ({"title": "Cells, spring term"}, ["a.mp4", "b.mp4"], "Cells, spring term"),
        ({"title": "x" * 255 + "/"}, ["w/a.mp4"], "x" * 255 + "/"),
        ({"title": None}, ["a.mp4", "b.mp4"], "a.mp4"),
        ({}, ["week1/a.mp4", "week1/b.mp4"], "week1/"),
    ],
)
def test_what_a_job_is_called(service: Service, given: dict[str, Any], paths: list[str], title: str) -> None:
    body = json.dumps({"files": [{"path": path, "size": 1} for path in paths], **given})
    job = service.create_job("me", body, "key")
    assert job["title"] == service.jobs("me", None, None)["jobs"][0]["title"] == title
    assert service.create_job("me", body, "key")["id"] == job["id"]


def test_odd_names_are_kept(service: Service) -> None:
    names = ["a b.mp4", "a+b%20#c?.mp4", "'\"`$(x).mp4", "🎬.mp4", "演讲/第一课.mp4", "-rf.mp4", "...", "a" * 240]
    created = service.create_job("me", json.dumps({"files": [{"path": name, "size": 1} for name in names]}).encode())
    assert [file["path"] for file in created["files"]] == names
    assert [file["path"] for file in service.job("me", created["id"])["files"]] == names


def test_the_last_file_starts_the_workflow_once(service: Service) -> None:
    files = [{"path": name, "size": 3} for name in ("a.mp4", "b.mp4")]
    id = service.create_job("me", json.dumps({"files": files}).encode())["id"]
    starts = service.workflow
    assert isinstance(starts, Starts)
    for key in ("elsewhere/a.mp4", "uploads/", f"uploads/{id}/c.mp4", "uploads/nojob/a.mp4"):
        service.object_created(key, 3)
    service.object_created(f"uploads/{id}/b.mp4", 3)
    service.object_created(f"uploads/{id}/b.mp4", 3)
    assert starts.jobs == []
    assert service.job("me", id)["state"] == "awaiting_upload"
    service.object_created(f"uploads/{id}/a.mp4", 3)
    assert starts.jobs == [id]
    assert service.job("me", id)["state"] == "queued"


def test_another_size_than_declared_fails_the_file(service: Service) -> None:
    id = service.create_job("me", json.dumps({"files": ONE}).encode())["id"]
    service.object_created(f"uploads/{id}/a.mp4", 2)
    (file,) = service.job("me", id)["files"]
    assert file["state"] == "failed"
    assert file["error"] == {
        "code": "size_mismatch",
        "message": "2 bytes arrived where 1 were declared. Retry the job, and upload the file again.",
    }


def test_tokens(service: Service) -> None:
    token = tokens.create(service.records, NewToken(owner="me", days=1), now=100).secret
    end = 100 + 86400

    def owner(authorization: str | None, now: float) -> str | None:
        found = tokens.authenticate(service.records, authorization, now)
        return found.owner if found else None

    assert owner(f"Bearer {token}", now=end - 1) == "me"
    assert owner(f"bearer {token}", now=end - 1) == "me"
    assert owner(f"Bearer {token}", now=end) is None
    id, _, secret = token.partition(".")
    stored = service.records.token(id)
    assert stored is not None
    assert secret not in stored.model_dump_json()
    wrong = [
        None,
        "",
        "Bearer",
        f"Bearer {id}",
        f"Bearer {id}.",
        f"Bearer {token}x",
        f"Basic {token}",
        f"Bearer x.{secret}",
    ]
    assert [owner(header, now=105) for header in wrong] == [None] * len(wrong)


def test_output_paths_never_clash() -> None:
    paths = ["x.mp4", "x.mov", "x.mp4.wav", "x", "y/z.mp3", "y.srt/a.mp4", "y.mp4"]
    outputs = output_paths(paths)
    assert outputs == ["x", "x.mov", "x.mp4", "x (2)", "y/z", "y.srt/a", "y.mp4"]
    assert len(set(outputs)) == len(outputs)


def test_job_ids_sort_by_time_and_differ() -> None:
    made = [ids.job_id(now) for now in (0, 1, 1.001, 1_795_000_000, 4_000_000_000)]
    assert made == sorted(made)
    assert len({ids.job_id(5) for _ in range(1000)}) == 1000
    assert all(ids.is_job_id(id) for id in made)
    assert not any(ids.is_job_id(text) for text in ("", "x" * 26 + "\n", "U" * 26, "../" * 9))


@pytest.mark.parametrize(
    ("succeeded", "failed", "outcome"),
    [(2, 0, JobState.SUCCEEDED), (1, 1, JobState.PARTIAL), (0, 2, JobState.FAILED)],
)
def test_outcome(succeeded: int, failed: int, outcome: JobState) -> None:
    counts = {FileState.SUCCEEDED: succeeded, FileState.FAILED: failed, FileState.UPLOADED: 0}
    job = Job(id="j", owner="o", options=Options(), created_at=0, size=0, counts=counts)
    assert job.outcome == outcome


def as_lambda_answers(answer: Any) -> int:
    """The bytes of it, of which Lambda takes 6 MiB."""
    return len(json.dumps({"statusCode": 201, "body": json.dumps(answer)}))


def test_uploads_are_told_as_far_as_lambda_can_answer(aws_environment: dict[str, str]) -> None:
    service = aws_platform.service(aws_environment)
    folder = "/".join(["д" * 105] * 3)
    files = [{"path": f"{folder}/{n}.mp4", "size": 1} for n in range(MAX_PAGE)]
    created = service.create_job("me", json.dumps({"files": files}))
    assert 5.5 * 2**20 < as_lambda_answers(created) < 6 * 2**20
    assert [file["path"] for file in created["files"]] == [file["path"] for file in files]
    told = ["upload" in file for file in created["files"]]
    assert told == sorted(told, reverse=True)
    assert 100 < sum(told) < MAX_PAGE
    assert service.upload("me", created["id"], str(MAX_PAGE - 1))["method"] == "PUT"


def test_files_are_listed_as_far_as_lambda_can_answer(service: Service) -> None:
    folder = "/".join(["д" * 120] * 3)
    paths = [f"{folder}/{n:03}{'д' * 80}.mp4" for n in range(MAX_PAGE)]
    job = Job(id=ids.job_id(0), owner="me", options=Options(model="base"), created_at=0, size=0, counts={})
    outputs = output_paths(paths)
    service.records.add_job(
        job,
        [
            MediaFile(job=job.id, n=n, path=path, output=outputs[n], size=1, state=FileState.SUCCEEDED)
            for n, path in enumerate(paths)
        ],
    )
    first = service.files("me", job.id, None)
    assert 5.5 * 2**20 < as_lambda_answers(first) < 6 * 2**20
    rest = service.files("me", job.id, first["next"])
    assert [file["path"] for file in (*first["files"], *rest["files"])] == paths
    assert rest["next"] is None
