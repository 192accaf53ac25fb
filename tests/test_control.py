"""Cancelling, retrying and deleting jobs, over HTTP; the workflow's side of it: `test_executor`, `test_steps`."""

from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import pytest

from chalicelib import control, idempotency, keys, retention
from chalicelib.jobs import FileError, FileState, Job, JobState, Webhook
from chalicelib.service import Service
from tests.serving import MISSING, Served, assert_problem, serving_site


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving_site(tmp_path_factory.mktemp("site")) as served:
        yield served


def uploaded(served: Served, *names: str) -> str:
    """The id of a job of Ann's whose files have arrived, 3 bytes each."""
    job = served.job(*[3] * len(names), paths=list(names))
    for file in job["files"]:
        served.ann.put(file["upload"]["url"], content=b"abc").raise_for_status()
    return str(job["id"])


def move(served: Served, job: str, n: int, to: FileState, code: str | None = None, **changes: Any) -> None:
    file = served.site.records.file(job, n)
    assert file is not None
    error = {"error": FileError(code=code, message="It failed.")} if code else {}
    assert served.site.records.move_file(file, to, {**error, **changes})


def end(served: Served, job: str) -> None:
    """As the workflow's last step does."""
    recorded = served.site.records.job(job)
    assert recorded is not None
    served.site.records.change_job(job, list(JobState), {"state": recorded.outcome, "finished_at": 5.0})


def shown(served: Served, job: str, path: str = "") -> Any:
    response = served.ann.get(f"/jobs/{job}{path}")
    response.raise_for_status()
    return response.json()


def test_the_end_of_another_go_has_not_been_told_yet(served: Served) -> None:
    job = uploaded(served, "a.mp4")
    move(served, job, 0, FileState.FAILED, "timeout")
    end(served, job)
    told = Webhook(url="https://example.com/", secret="a" * 32, attempts=2, delivered_at=6.0)
    served.site.records.change_job(job, list(JobState), {"webhook": told})
    assert shown(served, job)["webhook"]["attempts"] == 2
    again = served.ann.post(f"/jobs/{job}/retry").json()
    assert again["webhook"] == {"url": told.url, "attempts": 0, "delivered_at": None, "error": None}
    recorded = served.site.records.job(job)
    assert recorded is not None
    assert recorded.webhook is not None
    assert recorded.webhook.secret == told.secret


def test_a_cancelled_job_keeps_what_is_finished(served: Served) -> None:
    job = uploaded(served, "a.mp4", "b.mp4", "c.mp4")
    move(served, job, 0, FileState.SUCCEEDED)
    move(served, job, 1, FileState.TRANSCRIBING)
    served.site.objects.put(keys.transcript(job, "a", "srt"), b"text")
    served.site.started.clear()
    for _ in range(2):
        response = served.ann.post(f"/jobs/{job}/cancel")
        assert response.status_code == HTTPStatus.OK
        assert response.json()["state"] == "cancelled"
        assert response.json()["files_by_state"] == {"succeeded": 1, "cancelled": 2}
    assert served.site.started == [f"stop {job}"] * 2
    after = shown(served, job)
    assert after["finished_at"] is not None
    assert [(file["state"], (file["error"] or {}).get("code")) for file in after["files"]] == [
        ("succeeded", None),
        ("cancelled", "cancelled"),
        ("cancelled", "cancelled"),
    ]
    assert served.ann.get(f"/jobs/{job}/files/0/transcript?format=srt", follow_redirects=True).text == "text"
    told = served.ann.get(f"/jobs/{job}/files/1/transcript?format=srt")
    assert_problem(told, 409, "The job was cancelled before this file was finished.")


def test_an_upload_after_the_cancellation_is_harmless_and_saves_one_later(served: Served) -> None:
    created = served.job(3, 3)
    job = created["id"]
    served.ann.put(created["files"][0]["upload"]["url"], content=b"abc").raise_for_status()
    served.site.started.clear()
    served.ann.post(f"/jobs/{job}/cancel").raise_for_status()
    assert served.ann.put(created["files"][1]["upload"]["url"], content=b"abc").status_code == HTTPStatus.OK
    assert shown(served, job)["state"] == "cancelled"
    assert_problem(served.ann.post(f"/jobs/{job}/files/1/upload"), 409, f"POST /jobs/{job}/retry")
    retried = served.ann.post(f"/jobs/{job}/retry").json()
    assert (retried["state"], retried["files_by_state"]) == ("queued", {"uploaded": 2})
    assert served.site.started == [f"stop {job}", f"{job}-2"]


def test_a_job_that_has_ended_is_not_cancelled(served: Served) -> None:
    job = uploaded(served, "a.mp4")
    move(served, job, 0, FileState.SUCCEEDED)
    end(served, job)
    assert_problem(served.ann.post(f"/jobs/{job}/cancel"), 409, "This job has ended already.")
    assert_problem(served.ann.post(f"/jobs/{job}/retry"), 409, "There is nothing to retry")
    assert shown(served, job)["state"] == "succeeded"


def test_a_job_that_goes_on_is_not_retried(served: Served) -> None:
    job = uploaded(served, "a.mp4")
    assert_problem(served.ann.post(f"/jobs/{job}/retry"), 409, "This job has not ended yet")


def test_only_what_failed_is_retried_and_needs_no_upload(served: Served) -> None:
    job = uploaded(served, "a.mp4", "b.mp4", "c.mp4")
    move(served, job, 0, FileState.SUCCEEDED, audio_seconds=10.0)
    found = {"audio_seconds": 5.5, "speech_seconds": 4.0, "speech_seconds_done": 1.0, "warnings": ["odd"]}
    move(served, job, 1, FileState.FAILED, "untranscribed", **found)
    move(served, job, 2, FileState.TRANSCRIBING, audio_seconds=2.0, speech_seconds=2.0)
    end(served, job)
    assert shown(served, job)["files_by_state"] == {"succeeded": 1, "failed": 2}
    served.site.started.clear()
    answer = served.ann.post(f"/jobs/{job}/retry").json()
    assert (answer["state"], answer["error"], answer["finished_at"]) == ("queued", None, None)
    assert answer["files_by_state"] == {"succeeded": 1, "uploaded": 2}
    assert answer["audio_seconds"] == 10.0
    assert served.site.started == [f"{job}-2"]
    again = shown(served, job)["files"][1]
    assert (again["state"], again["error"], again["warnings"], again["audio_seconds"]) == ("uploaded", None, [], 0)
    # The end of the first run, told late, is not that of the second.
    served.site.service.execution_ended(job, "ABORTED")
    assert shown(served, job)["state"] == "queued"
    served.site.service.execution_ended(f"{job}-2", "TIMED_OUT")
    ended = shown(served, job)
    assert (ended["state"], ended["files_by_state"]) == ("partial", {"succeeded": 1, "failed": 2})
    assert ended["files"][2]["error"] == {"code": "unfinished", "message": ended["error"]}
    served.ann.post(f"/jobs/{job}/retry").raise_for_status()
    assert served.site.started[-1] == f"{job}-3"


def test_another_retry_at_the_same_time_does_no_harm(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by a second click: the first one's workflow is at the files by the time that the second comes to them."""
    job = uploaded(served, "a.mp4", "b.mp4")
    move(served, job, 0, FileState.SUCCEEDED)
    move(served, job, 1, FileState.FAILED, "untranscribed")
    end(served, job)
    renew = control._renew_files

    def later(service: Service, found: Job) -> None:
        monkeypatch.undo()
        assert control.retry(service, "ann", job)["state"] == "queued"
        served.site.records.change_job(job, [JobState.QUEUED], {"state": JobState.RUNNING})
        move(served, job, 1, FileState.PREPARING)
        renew(service, found)

    served.site.started.clear()
    monkeypatch.setattr(control, "_renew_files", later)
    answer = served.ann.post(f"/jobs/{job}/retry").raise_for_status().json()
    assert (answer["state"], answer["files_by_state"]) == ("running", {"succeeded": 1, "preparing": 1})
    recorded = served.site.records.job(job)
    assert recorded is not None
    assert recorded.attempt == 2
    assert served.site.started == [f"{job}-2"]


@pytest.mark.parametrize("code", ["size_mismatch", "missing", "gone"])
def test_a_file_whose_upload_failed_is_sent_again(served: Served, code: str) -> None:
    job = uploaded(served, "a.mp4", "b.mp4")
    move(served, job, 0, FileState.FAILED, code)
    move(served, job, 1, FileState.FAILED, "damaged")
    end(served, job)
    assert shown(served, job)["state"] == "failed"
    served.site.started.clear()
    answer = served.ann.post(f"/jobs/{job}/retry").json()
    assert (answer["state"], answer["files_by_state"]) == ("awaiting_upload", {"awaiting_upload": 1, "uploaded": 1})
    assert served.site.started == []
    upload = served.ann.post(f"/jobs/{job}/files/0/upload").json()
    assert served.ann.put(upload["url"], content=b"xyz").status_code == HTTPStatus.OK
    assert served.site.started == [f"{job}-2"]
    assert served.site.objects.get(keys.upload(job, "a.mp4")) == b"xyz"


@pytest.mark.parametrize("code", ["bad_path", "empty", "no_audio"])
def test_what_can_only_fail_again_is_not_retried(served: Served, code: str) -> None:
    job = uploaded(served, "a.mp4")
    move(served, job, 0, FileState.FAILED, code)
    end(served, job)
    assert_problem(served.ann.post(f"/jobs/{job}/retry"), 409, "There is nothing to retry")
    assert shown(served, job)["state"] == "failed"


def objects(served: Served, job: str) -> list[str]:
    return sorted(key for prefix in keys.of_job(job) for key in served.site.objects.keys(prefix))


def swept(served: Served, seconds: float = 0) -> None:
    """As the sweep does, so many seconds from now."""
    service = served.site.service
    retention.sweep(replace(service, clock=lambda: service.clock() + seconds))


def test_a_deleted_job_is_gone_at_once_and_nothing_is_left_in_the_end(served: Served) -> None:
    created = served.job(3, 3, 3)
    job = created["id"]
    for file in created["files"][:2]:
        served.ann.put(file["upload"]["url"], content=b"abc").raise_for_status()
    served.site.objects.put(keys.transcript(job, "week1/0", "srt"), b"text")
    served.site.objects.put(keys.audio(job, 0), b"{}")
    other = uploaded(served, "a.mp4")
    assert len(objects(served, job)) == 4
    served.site.started.clear()
    response = served.ann.delete(f"/jobs/{job}")
    assert (response.status_code, response.content) == (HTTPStatus.NO_CONTENT, b"")
    assert served.site.started == [f"stop {job}"]
    for path in ("", "/files", "/files/0/transcript?format=srt"):
        assert_problem(served.ann.get(f"/jobs/{job}{path}"), 404, "There is no such job.")
    assert_problem(served.ann.delete(f"/jobs/{job}"), 404)
    assert job not in [listed["id"] for listed in served.ann.get("/jobs").json()["jobs"]]

    swept(served)
    assert objects(served, job) == []
    assert served.site.records.files(job, 10) == []
    # What comes late, by a URL that is still good, is taken away when no more can come.
    assert served.ann.put(created["files"][2]["upload"]["url"], content=b"abc").status_code == HTTPStatus.OK
    swept(served)
    assert objects(served, job) != []
    swept(served, served.site.service.settings.url_seconds + 10)
    assert objects(served, job) == []
    swept(served, idempotency.KEPT_SECONDS + 10)
    assert served.site.records.deletions(10**10, 10) == []
    assert shown(served, other)["state"] == "queued"
    assert len(objects(served, other)) == 1


def test_a_deletion_goes_on_after_a_crash(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    job = uploaded(served, "a.mp4")
    served.ann.delete(f"/jobs/{job}").raise_for_status()

    def killed(_: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(served.site.records), "delete_files", lambda *_: killed(job))
        with pytest.raises(KeyboardInterrupt):
            swept(served)
    assert len(served.site.records.files(job, 10)) == 1
    swept(served)
    assert len(served.site.records.files(job, 10)) == 1, "it is in the hands of the one who was killed"
    swept(served, retention.LEASE_SECONDS + 10)
    assert served.site.records.files(job, 10) == []


def test_what_is_not_there_is_told_so(served: Served) -> None:
    for method, path in [("POST", "cancel"), ("POST", "retry"), ("DELETE", "")]:
        assert_problem(served.ann.request(method, f"/jobs/{MISSING}/{path}".rstrip("/")), 404, "There is no such job.")
