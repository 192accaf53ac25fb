"""Jobs that are sent in pages: names that stay right, pages that come twice or at once, files by state."""

import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import jobs as bench
from chalicelib import answers, control, pages, retention
from chalicelib.aws import platform
from chalicelib.errors import Problem
from chalicelib.jobs import FileState, Format, output_paths
from chalicelib.ports import Records
from chalicelib.service import Service
from local.signing import base_url
from tests.conftest import Figure
from tests.serving import Site, Started, assert_problem, serving_site


@pytest.fixture(params=["sqlite", "dynamodb"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Service:
    site = Site.at(tmp_path)
    base_url.set("http://test")
    if request.param == "sqlite":
        return site.service
    records: Records = platform.records(request.getfixturevalue("aws_environment"))
    return replace(site.service, records=records)


def started(service: Service) -> list[str]:
    assert isinstance(service.workflow, Started)
    return service.workflow


def body(*paths: str, sealed: bool | None = None, size: int = 3, **more: Any) -> bytes:
    files = [{"path": path, "size": size} for path in paths]
    return json.dumps({"files": files, **({} if sealed is None else {"sealed": sealed}), **more}).encode()


def begin(service: Service, *paths: str) -> str:
    return str(service.create_job("ann", body(*paths, sealed=False))["id"])


def outputs(service: Service, job: str) -> dict[str, str]:
    return {file.path: file.output for file in service.records.files(job, 10**6)}


def arrive(service: Service, job: str, *paths: str) -> None:
    for path in paths:
        service.object_created(f"uploads/{job}/{path}", 3)


def test_a_job_starts_when_it_is_sealed_and_all_files_are_in(service: Service) -> None:
    job = begin(service, "a.mp4")
    arrive(service, job, "a.mp4")
    assert service.job("ann", job)["state"] == "awaiting_upload"
    answer = pages.add(service, "ann", job, body("b.mp4", "c.mp4"))
    assert [(file["n"], file["path"], file["upload"]["method"]) for file in answer["files"]] == [
        (1, "b.mp4", "PUT"),
        (2, "c.mp4", "PUT"),
    ]
    assert (answer["sealed"], answer["files_total"], answer["size"], answer["next"]) == (False, 3, 9, None)
    arrive(service, job, "b.mp4", "c.mp4")
    assert started(service) == []
    answer = pages.add(service, "ann", job, body("d.mp4", sealed=True))
    assert (answer["sealed"], answer["files_by_state"]) == (True, {"awaiting_upload": 1, "uploaded": 3})
    arrive(service, job, "d.mp4")
    assert started(service) == [job]


def test_a_job_may_be_sealed_without_another_file(service: Service) -> None:
    job = begin(service, "a.mp4")
    arrive(service, job, "a.mp4")
    answer = pages.add(service, "ann", job, body(sealed=True))
    assert (answer["state"], answer["files"], started(service)) == ("queued", [], [job])


def without_urls(answer: answers.JobWithFiles) -> dict[str, Any]:
    return {**answer, "files": [{**file, "upload": None} for file in answer["files"]]}


def test_a_page_that_comes_again_changes_nothing(service: Service) -> None:
    job = begin(service, "a.mp4")
    page = body("b.mp4", "b.mov", "week1/c.mp4")
    first = pages.add(service, "ann", job, page)
    assert without_urls(pages.add(service, "ann", job, page)) == without_urls(first)
    overlapping = pages.add(service, "ann", job, body("d.mp4", "b.mov", sealed=True))
    assert [file["n"] for file in overlapping["files"]] == [4, 2]
    arrive(service, job, *outputs(service, job))
    late = pages.add(service, "ann", job, body("d.mp4", "b.mov", sealed=True))
    assert [(file["n"], file["state"], "upload" in file) for file in late["files"]] == [
        (4, "uploaded", False),
        (2, "uploaded", False),
    ]
    assert set(started(service)) == {job}
    assert service.job("ann", job)["files_total"] == 5


def refused(service: Service, job: str, page: bytes) -> tuple[int, str]:
    with pytest.raises(Problem) as problem:
        pages.add(service, "ann", job, page)
    return problem.value.status, problem.value.errors[0]["message"] if problem.value.errors else problem.value.detail


def test_what_does_not_fit_in_is_refused(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    job = begin(service, "a.mp4", "week1/b.mp4", "talk.mp4", "odd/x")
    before = service.job("ann", job)
    for page, status, said in [
        (body("c.mp4", "a.mp4", size=4), 422, "must be 3, as when 'a.mp4' was added before"),
        (body("week1"), 422, "must not be 'week1', which is the folder of 'week1/b.mp4'"),
        (body("odd/x/y.mp4"), 422, "must not lie in 'odd/x', which is a file of this job"),
        (body("talk.srt/y.mp4"), 422, "must not lie in 'talk.srt': a transcript has this name"),
        (body("c.mp4", "c.mp4"), 422, "must not hold the path 'c.mp4' twice"),
        (body("../c.mp4"), 422, "must not hold empty parts, '.' or '..'"),
        (body(), 422, "must hold at least 1 file, unless 'sealed' is true"),
        (body(*(f"{n}.mp4" for n in range(1001))), 422, "must hold no more than 1000, not 1001"),
        (b"[", 400, "The body is not valid JSON."),
    ]:
        assert refused(service, job, page) == (status, said)
    with monkeypatch.context() as patched:
        patched.setattr(pages, "MAX_FILES", 5)
        too_many = (422, "must leave the job with no more than 5 files")
        assert refused(service, job, body("y.mp4", "z.mp4")) == too_many
    assert service.job("ann", job) == before
    pages.add(service, "ann", job, body(sealed=True))
    assert refused(service, job, body("c.mp4"))[0] == 409
    other = begin(service, "a.mp4")
    service.records.change_job(other, ["awaiting_upload"], {"state": "cancelled"})  # type: ignore[list-item]
    assert refused(service, other, body("c.mp4"))[0] == 409


def check_tree(paths: list[str], named: list[str]) -> None:
    """That no transcript is in the way of another, or of a folder."""
    assert len(set(named)) == len(named) == len(paths)
    written = {f"{output}.{format}" for output in named for format in Format}
    folders = {str(folder) for output in named for folder in Path(output).parents}
    assert not written & folders


def test_names_are_the_same_in_pages_as_at_once(service: Service) -> None:
    paths = ["x.mp4", "x.mov", "x.mp4.wav", "x", "y/z.mp3", "y (2).mp3", "y", "x.mov.wav", "x (2).mp4", "talk.a.mp4"]
    paths.remove("y")
    job = begin(service, paths[0])
    for path in paths[1:]:
        pages.add(service, "ann", job, body(path))
    assert list(outputs(service, job).values()) == output_paths(paths)
    check_tree(paths, list(outputs(service, job).values()))


def test_names_never_clash_whatever_the_paths(tmp_path: Path) -> None:
    service, chance = Site.at(tmp_path).service, random.Random(5)  # noqa: S311
    base_url.set("http://test")
    names = ["a", "a.b", "a.srt", "a (2)", "a (2).txt", "b", "a.mp4", "a.mp4.txt", "a.b.srt"]
    for _ in range(40):
        job, added = begin(service, "first.mp4"), ["first.mp4"]
        for _ in range(12):
            page = {
                "/".join(chance.choices(names, k=chance.randint(1, 2))) + chance.choice(["", ".mp4", ".wav", ".srt"])
                for _ in range(chance.randint(1, 4))
            }
            try:
                pages.add(service, "ann", job, body(*sorted(page)))
            except Problem:
                pass
            else:
                added += sorted(page)
        there = outputs(service, job)
        assert set(there) == set(added)
        check_tree(list(there), list(there.values()))


def test_a_name_that_many_share_is_left_alone(service: Service) -> None:
    paths = [f"a.{n}.mp4" for n in range(pages.MANY + 5)]
    job = begin(service, *paths)
    pages.add(service, "ann", job, body("a.wav", "a.mov", "b.mp4"))
    assert [outputs(service, job)[path] for path in ("a.wav", "a.mov", "b.mp4")] == ["a.wav", "a.mov", "b"]


def test_pages_may_come_at_the_same_time(service: Service) -> None:
    job = begin(service, "first.mp4")
    clashing = [body(*(f"{n}.{suffix}" for n in range(6))) for suffix in ("mp4", "mov", "wav", "mp4")]
    together = threading.Barrier(4)

    def add(page: bytes) -> int:
        token = base_url.set("http://test")
        together.wait()
        try:
            return len(pages.add(service, "ann", job, page)["files"])
        finally:
            base_url.reset(token)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(add, clashing)) == [6] * 4
    files = service.records.files(job, 100)
    assert [file.n for file in files] == list(range(19))
    check_tree([file.path for file in files], [file.output for file in files])
    after = service.job("ann", job)
    assert (after["files_total"], after["files_by_state"]) == (19, {"awaiting_upload": 19})


def test_files_are_told_by_the_state_they_are_shown_in(service: Service) -> None:
    job = begin(service, *(f"{n}.mp4" for n in range(6)))
    for n, state in enumerate([FileState.SUCCEEDED, FileState.FAILED, FileState.UPLOADED, FileState.TRANSCRIBING]):
        file = service.records.file(job, n)
        assert file is not None
        service.records.move_file(file, state)

    def numbers(state: str) -> list[int]:
        return [file["n"] for file in service.files("ann", job, None, state)["files"]]

    assert [numbers(state) for state in ("succeeded", "failed", "uploaded", "cancelled")] == [[0], [1], [2], []]
    service.records.change_job(job, ["awaiting_upload"], {"state": "cancelled"})  # type: ignore[list-item]
    assert [numbers(state) for state in ("succeeded", "failed", "uploaded", "cancelled")] == [
        [0],
        [1],
        [],
        [2, 3, 4, 5],
    ]
    service.records.change_job(job, ["cancelled"], {"state": "partial"})  # type: ignore[list-item]
    assert [numbers(state) for state in ("succeeded", "failed", "uploaded")] == [[0], [1, 2, 3, 4, 5], []]
    assert [file["n"] for file in service.files("ann", job, "3", "failed")["files"]] == [4, 5]
    with pytest.raises(Problem, match="state must be one of awaiting_upload, uploaded"):
        service.files("ann", job, None, "lost")


KEYED = body("a.mp4", labels={"course": "bio:1"}, keep_days=3)


def test_a_key_makes_one_job(service: Service) -> None:
    first = service.create_job("ann", KEYED, "key 1")
    assert without_urls(service.create_job("ann", KEYED, "key 1")) == without_urls(first)
    assert service.create_job("ann", KEYED, "key 2")["id"] != first["id"]
    assert service.create_job("bob", KEYED, "key 1")["id"] != first["id"]
    assert service.create_job("ann", KEYED)["id"] != first["id"]
    arrive(service, first["id"], "a.mp4")
    again = service.create_job("ann", KEYED, "key 1")
    assert (again["id"], again["state"], "upload" in again["files"][0]) == (first["id"], "queued", False)
    for key in ("", "x" * 256, "ü", "a\nb"):
        with pytest.raises(Problem, match="Idempotency-Key must have 1 to 255"):
            service.create_job("ann", KEYED, key)
    with pytest.raises(Problem, match="came with another body") as other:
        service.create_job("ann", body("b.mp4"), "key 1")
    assert other.value.status == 409
    day = 24 * 3600 + 1
    later = replace(service, clock=lambda: service.clock() + day)
    assert later.create_job("ann", body("b.mp4"), "key 1")["id"] != first["id"]


def test_a_key_whose_job_was_not_made_or_is_deleted(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(service.records), "add_job", killed)
        with pytest.raises(KeyboardInterrupt):
            service.create_job("ann", KEYED, "key")
    made = service.create_job("ann", KEYED, "key")
    job = service.records.job(made["id"])
    assert job is not None
    service.records.hide_job(job, 0, 10**11)
    with pytest.raises(Problem, match="has been deleted") as deleted:
        service.create_job("ann", KEYED, "key")
    assert deleted.value.status == 409


def test_a_key_makes_no_job_anew_for_as_long_as_it_is_known(service: Service) -> None:
    """On AWS the execution of a second one would have a name that is taken."""
    made, created = service.create_job("ann", KEYED, "key"), service.clock()

    def after(hours: float) -> Service:
        return replace(service, clock=lambda: created + 3600 * hours)

    control.delete(after(1), "ann", made["id"])
    for hours in (1, 2, 23.9):
        retention.sweep(after(hours))
        with pytest.raises(Problem, match="has been deleted"):
            after(hours).create_job("ann", KEYED, "key")
    retention.sweep(after(24.1))
    assert after(24.1).create_job("ann", KEYED, "key")["id"] != made["id"]


def test_requests_with_one_key_at_the_same_time_make_one_job(service: Service) -> None:
    together = threading.Barrier(6)

    def create(_: int) -> str:
        base_url.set("http://test")
        together.wait()
        return str(service.create_job("ann", KEYED, "key")["id"])

    with ThreadPoolExecutor(6) as threads:
        made = set(threads.map(create, range(6)))
    assert [job["id"] for job in service.jobs("ann", None, None)["jobs"]] == list(made)
    assert len(made) == 1


def test_jobs_by_label(service: Service) -> None:
    labels = [{"course": "bio:1"}, {"course": "bio:1", "year": "2026"}, {"course": "bio"}, {}]
    made = [service.create_job("ann", body("a.mp4", labels=label)) for label in labels]
    service.create_job("bob", body("a.mp4", labels=labels[0]))
    assert made[1]["labels"] == labels[1]

    def found(label: str, cursor: str | None = None, limit: str = "10") -> list[int]:
        jobs = service.jobs("ann", cursor, limit, label)["jobs"]
        return [[job["id"] for job in made].index(job["id"]) for job in jobs]

    assert set(found("course:bio:1")) == {0, 1}
    assert (found("year:2026"), found("course:bio"), found("course:"), found("x:y")) == ([1], [2], [], [])
    (newest,) = service.jobs("ann", None, "1", "course:bio:1")["jobs"]
    assert len(found("course:bio:1", newest["id"])) == 1
    job = service.records.job(made[1]["id"])
    assert job is not None
    service.records.hide_job(job, 0, 0)
    assert (found("course:bio:1"), found("year:2026")) == ([0], [])
    with pytest.raises(Problem, match="label must be the name and the value of a label"):
        service.jobs("ann", None, None, "course")
    long = service.create_job("ann", body("a.mp4", labels={"mood": "🙂" * 200}))["id"]
    assert [job["id"] for job in service.jobs("ann", None, None, "mood:" + "🙂" * 200)["jobs"]] == [long]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("labels", {"a b": "x"}, "must not have the name 'a b': a name is made of up to 64"),
        ("labels", {"a": "x" * 201}, "must give 'a' a value of one line and at most 200 characters"),
        ("labels", {str(n): "" for n in range(21)}, "must hold no more than 20 labels"),
        ("labels", [], "must be an object"),
        ("keep_days", 0, "must be 1 or more"),
        ("keep_days", 9999, "must be 3650 or less"),
        ("keep_days", 1.5, "must be a whole number"),
        ("sealed", "perhaps", "must be true or false"),
    ],
)
def test_bad_fields(tmp_path: Path, field: str, value: Any, message: str) -> None:
    with pytest.raises(Problem) as problem:
        Site.at(tmp_path).service.create_job("ann", body("a.mp4", **{field: value}))
    (error,) = problem.value.errors
    assert error["field"] == field
    assert error["message"].startswith(message)


def test_a_job_is_kept_for_as_long_as_it_says(service: Service) -> None:
    kept = service.create_job("ann", body("a.mp4"))["id"]
    brief = service.create_job("ann", KEYED)
    assert brief["delete_at"] is not None
    retention.sweep(service)
    assert service.job("ann", brief["id"])["id"] == brief["id"]
    retention.sweep(replace(service, clock=lambda: service.clock() + 3 * 24 * 3600 + 2))
    with pytest.raises(Problem, match="no such job"):
        service.job("ann", brief["id"])
    assert [job["id"] for job in service.jobs("ann", None, None)["jobs"]] == [kept]
    assert started(service) == [f"stop {brief['id']}"]


def test_large_jobs_are_quick(tmp_path: Path, figure: Figure) -> None:
    """`make bench-jobs` in small."""
    figures = bench.measure(tmp_path, 4000)
    figure(str(figures))
    assert figures.missed == []


def test_all_of_it_over_http(tmp_path: Path) -> None:
    with serving_site(tmp_path) as served:
        key = {"Idempotency-Key": "one", "Content-Type": "application/json"}
        new = body("a.mp4", sealed=False, labels={"course": "bio"}, keep_days=1)
        first, again = (served.ann.post("/jobs", content=new, headers=key).raise_for_status() for _ in range(2))
        job = first.json()["id"]
        assert (again.status_code, again.json()["id"], again.headers["location"]) == (201, job, f"/jobs/{job}")
        assert_problem(served.ann.post("/jobs", content=body("b.mp4"), headers=key), 409, "another body")
        added = served.ann.post(f"/jobs/{job}/files", json={"files": [{"path": "b.mp4", "size": 3}], "sealed": True})
        assert (added.status_code, added.json()["files_total"]) == (201, 2)
        served.ann.put(added.json()["files"][0]["upload"]["url"], content=b"abc").raise_for_status()
        listed = served.ann.get(f"/jobs/{job}/files", params={"state": "uploaded"}).json()
        assert [file["path"] for file in listed["files"]] == ["b.mp4"]
        assert_problem(served.ann.get(f"/jobs/{job}/files?state=lost"), 422, "state must be one of awaiting_upload")
        found = served.ann.get("/jobs", params={"label": "course:bio"}).json()["jobs"]
        assert [(one["id"], one["labels"], one["sealed"]) for one in found] == [(job, {"course": "bio"}, True)]
        assert served.ann.get("/jobs", params={"label": "course:art"}).json()["jobs"] == []
