"""The part of the API that clients of OpenAI's use, asked by the official client."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import webvtt

from chalicelib.jobs import JobState
from container import catalogue
from local import gateway
from tests.finishing import Bench, bench
from tests.live import Live, live
from tests.serving import assert_problem, client, eventually
from tests.test_service import SENTENCE, words


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("service")
    # Other tests install more models in the folder that they share.
    models = folder / "models"
    models.mkdir()
    for name in (catalogue.VAD, "tiny.en"):
        source = catalogue.path(name, models_dir)
        (models / source.name).symlink_to(source.resolve())
    with live(folder / "data", models) as service:
        yield service


@pytest.fixture(scope="module")
def official(service: Live) -> openai.OpenAI:
    environment = service.environment
    return openai.OpenAI(base_url=f"{environment['TRANSCRIBE_SERVER']}/v1", api_key=environment["TRANSCRIBE_TOKEN"])


def jobs(service: Live) -> list[dict[str, Any]]:
    with service.http as http:
        listed: list[dict[str, Any]] = http.get("/jobs").json()["jobs"]
    return listed


def test_all_formats_of_one_recording_come_from_one_job(service: Live, official: openai.OpenAI, jfk: Path) -> None:
    create = official.audio.transcriptions.create
    with jfk.open("rb") as file:
        assert words(create(model="whisper-1", file=file).text) == SENTENCE
    assert words(create(model="whisper-1", file=jfk, response_format="text")) == SENTENCE
    srt = create(model="tiny.en", file=jfk, response_format="srt", language="en", temperature=0)
    assert srt.startswith("1\n00:00:00,")
    vtt = create(model="whisper-1", file=jfk, response_format="vtt")
    assert words(" ".join(caption.text for caption in webvtt.from_string(vtt).captions)).replace("\n", " ") == SENTENCE
    verbose = create(model="whisper-1", file=jfk, response_format="verbose_json")
    assert (verbose.language, verbose.words) == ("en", None)
    assert float(verbose.duration) == pytest.approx(11, abs=0.1)
    assert verbose.segments is not None
    assert words(" ".join(segment.text for segment in verbose.segments)) == SENTENCE
    assert all(-2 < segment.avg_logprob <= 0 < segment.compression_ratio for segment in verbose.segments)
    timed = create(
        model="whisper-1", file=jfk, response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert timed.segments == verbose.segments
    assert timed.words is not None
    assert words(" ".join(word.word for word in timed.words)) == SENTENCE
    assert [word.start for word in timed.words] == sorted(word.start for word in timed.words)
    only_words = create(model="whisper-1", file=jfk, response_format="verbose_json", timestamp_granularities=["word"])
    assert (only_words.words, only_words.segments) == (timed.words, None)
    # The language was told once, which makes another job.
    assert [(job["title"], job["state"]) for job in jobs(service)] == [("jfk.wav", "succeeded")] * 2
    assert all(job["delete_at"] is not None for job in jobs(service))


def test_the_models_are_listed(official: openai.OpenAI) -> None:
    assert [model.id for model in official.models.list()] == ["whisper-1", "tiny.en"]


def test_what_is_wrong_is_said_by_the_official_client(official: openai.OpenAI, jfk: Path) -> None:
    create = official.audio.transcriptions.create
    refusals: list[tuple[dict[str, Any], str, str]] = [
        ({"model": "huge"}, "model", "model must be one of those installed: tiny.en"),
        ({"language": "fr"}, "language", "language must be 'en' or 'auto', since the model tiny.en knows English only"),
        ({"language": "klingon"}, "language", "language must be 'auto' or the code of a language"),
        ({"response_format": "docx"}, "response_format", "response_format must be 'json', 'text', 'srt', 'vtt' or"),
        ({"temperature": 2}, "temperature", "temperature must be 1.0 or less"),
        ({"stream": True}, "stream", "stream must be false: transcripts come whole"),
        ({"prompt": "x" * 901}, "prompt", "prompt must have no more than 900 characters"),
        ({"extra_body": {"beam": "5"}}, "beam", "beam must be left out: there is no such field"),
    ]
    for wrong, param, message in refusals:
        with pytest.raises(openai.UnprocessableEntityError) as refused:
            create(**{"model": "whisper-1", "file": jfk, **wrong})
        assert message in refused.value.message
        assert (refused.value.param, refused.value.type) == (param, "invalid_request_error")
    with pytest.raises(openai.UnprocessableEntityError, match=r"could not be transcribed: This is not .* read\.(?!\.)"):
        create(model="whisper-1", file=("notes.mp3", b"Shopping list: milk, bread, eggs.\n" * 100))
    with pytest.raises(openai.UnprocessableEntityError, match=r"since the model tiny\.en knows English only"):
        official.audio.translations.create(model="whisper-1", file=jfk)
    with pytest.raises(openai.AuthenticationError, match="The token is missing, unknown or expired") as unknown:
        official.with_options(api_key="wrong").models.list()
    assert unknown.value.type == "invalid_request_error"
    with pytest.raises(openai.APIStatusError, match="must not be larger than 27262976 bytes") as large:
        create(model="whisper-1", file=("large.wav", bytes(27 * 2**20)))
    assert large.value.status_code == 413


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, wait_seconds=0.5) as started:
        yield started


def asking(site: Bench, **settings: Any) -> httpx.Client:
    return client(site.url, site.site.token("ann", **settings))


def ask(http: httpx.Client, path: str = "transcriptions", content: bytes = b"abc", **fields: str) -> httpx.Response:
    form = {"model": "whisper-1", "response_format": "text", **fields}
    return http.post(f"/v1/audio/{path}", data=form, files={"file": ("week1/talk.mp3", content)})


def insist(http: httpx.Client, content: bytes = b"abc") -> str:
    """Asks again as long as that is the answer, which it may be several times on a busy machine."""
    for _ in range(20):
        answer = ask(http, content=content)
        if answer.status_code != 504:
            break
    return answer.text


def test_a_transcript_that_takes_long_is_waited_for_again(site: Bench) -> None:
    site.finisher.hold.set()
    with asking(site) as http:
        late = ask(http)
        assert late.status_code == 504
        assert late.headers["retry-after"] == "2"
        (job,) = http.get("/jobs").json()["jobs"]
        assert late.json()["error"] == {
            "message": "The transcript is not ready yet. Send the same request again to go on waiting, or fetch the "
            f"result of the job: GET /jobs/{job['id']}.",
            "type": "server_error",
            "param": None,
            "code": None,
        }
        threading.Timer(0.1, site.finisher.release).start()
        assert insist(http) == "txt of talk.mp3\n"
        assert insist(http) == "txt of talk.mp3\n"
        assert len(http.get("/jobs").json()["jobs"]) == 1
        assert insist(http, b"other") == "txt of talk.mp3\n"
        assert len(http.get("/jobs").json()["jobs"]) == 2


def test_the_official_client_goes_on_waiting(site: Bench) -> None:
    site.finisher.hold.set()
    official = openai.OpenAI(base_url=f"{site.url}/v1", api_key=site.token)
    create = official.audio.transcriptions.create

    def release() -> None:
        assert eventually(lambda: "POST /v1/audio/transcriptions" in site.paths)
        time.sleep(0.8)  # longer than the first request waits, shorter than the client does before the second
        site.finisher.release()

    threading.Thread(target=release).start()
    assert create(model="whisper-1", file=("a.mp3", b"abc"), response_format="srt") == "srt of a.mp3\n"
    assert site.paths.count("POST /v1/audio/transcriptions") == 2


def test_after_a_cancelled_or_deleted_job_there_is_another_go(site: Bench) -> None:
    site.finisher.hold.set()
    with asking(site) as http:
        assert ask(http).status_code == 504
        (job,) = http.get("/jobs").json()["jobs"]
        http.post(f"/jobs/{job['id']}/cancel").raise_for_status()
        site.finisher.hold.clear()
        assert ask(http).text == "txt of talk.mp3\n"
        (again,) = http.get("/jobs").json()["jobs"]
        assert (again["id"], again["state"]) == (job["id"], JobState.SUCCEEDED)
        http.delete(f"/jobs/{job['id']}").raise_for_status()
        assert ask(http).text == "txt of talk.mp3\n"
        (new,) = http.get("/jobs").json()["jobs"]
        assert new["id"] != job["id"]


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path / "patient", wait_seconds=30) as started:
        yield started


def test_what_was_cancelled_meanwhile_is_not_begun_anew_by_itself(patient: Bench) -> None:
    site = patient
    site.finisher.hold.set()
    official = openai.OpenAI(base_url=f"{site.url}/v1", api_key=site.token)

    def cancel() -> None:
        assert eventually(lambda: site.finisher.held != [])
        with asking(site) as http:
            http.post(f"/jobs/{site.finisher.held[0]}/cancel").raise_for_status()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(openai.ConflictError, match="was cancelled"):
        official.audio.transcriptions.create(model="whisper-1", file=("a.mp3", b"abc"))
    thread.join()
    assert site.paths.count("POST /v1/audio/transcriptions") == 1


def test_a_server_that_is_stopped_keeps_nobody_waiting(patient: Bench) -> None:
    patient.finisher.hold.set()
    with asking(patient) as http:
        thread = threading.Thread(
            target=lambda: patient.stop() if eventually(lambda: patient.finisher.held != []) else None
        )
        thread.start()
        started = time.monotonic()
        assert ask(http).status_code == 504
        assert time.monotonic() - started < 15
        thread.join()
    patient.start()


def test_a_fault_of_ours_is_no_fault_of_the_file(site: Bench) -> None:
    with asking(site) as http:
        for _ in range(2):
            form = {"file": ("fail.mp3", b"abc")}
            failed = http.post("/v1/audio/transcriptions", data={"model": "whisper-1"}, files=form)
            assert_refused(failed, 500, "There is no sound in it. Send the request again for another go.")
        assert len(http.get("/jobs").json()["jobs"]) == 1


def test_translations_and_names_of_any_kind(site: Bench) -> None:
    with asking(site) as http:
        assert ask(http, "translations", model="base").text == "txt of talk.mp3\n"
        (job,) = http.get("/jobs").json()["jobs"]
        assert (job["options"]["task"], job["options"]["model"]) == ("translate", "base")
        for sent, name in {"..": "audio", "C:\\a\\b.mp3": "b.mp3", "ü🎬.mp3": "ü🎬.mp3", "x" * 300: "audio"}.items():
            form = {"model": "whisper-1", "response_format": "text"}
            answer = http.post("/v1/audio/transcriptions", data=form, files={"file": (sent, sent.encode())})
            assert answer.text == f"txt of {name}\n"


def test_limits_and_scopes_hold_here_as_well(site: Bench) -> None:
    with asking(site, limits={"largest_file": 5}) as http:
        refused = ask(http, content=b"123456")
        assert_refused(refused, 422, "file must not be more than 5 bytes, which is this token's limit")
        assert refused.json()["error"]["param"] == "file"
    with asking(site, scopes=["read"]) as http:
        assert_refused(ask(http), 403, "The token has not the scope 'write'")
        assert http.get("/v1/models").status_code == 200
    site.finisher.hold.set()
    with asking(site) as ann, client(site.url, site.site.token("bob")) as bob:
        assert ask(ann).status_code == ask(bob).status_code == 504
        (anns,), (bobs,) = (http.get("/jobs").json()["jobs"] for http in (ann, bob))
        assert anns["id"] != bobs["id"], "nobody learns what others have sent"


@pytest.mark.parametrize(
    ("type", "body", "status", "said"),
    [
        ("application/json", b"{}", 415, "Send"),
        ("multipart/form-data", b"--x--", 400, "The body is not valid multipart/form-data."),
        ("multipart/form-data; boundary=x", b"nonsense", 400, "The body is not valid multipart/form-data."),
        ("multipart/form-data; boundary=x", b"--x--\r\n", 422, "file must be given; model must be given"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nabc\r\n--x--\r\n',
            422,
            "file must be a file, with a name",
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n\xff\r\n--x--\r\n',
            400,
            "The body is not valid multipart/form-data.",
        ),
    ],
)
def test_bodies_that_are_no_form(site: Bench, type: str, body: bytes, status: int, said: str) -> None:
    with asking(site) as http:
        answer = http.post("/v1/audio/transcriptions", content=body, headers={"Content-Type": type})
        assert_refused(answer, status, said)


def test_a_slow_line_has_more_time_for_a_file(site: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "BODY_SECONDS", 0.2)

    def slowly(body: bytes) -> Iterator[bytes]:
        yield body[:9]
        time.sleep(0.5)
        yield body[9:]

    form = httpx.Request("POST", "http://x", data={"model": "whisper-1"}, files={"file": ("a.mp3", b"abc")})
    with asking(site) as http:
        answer = http.post(
            "/v1/audio/transcriptions",
            content=slowly(form.read()),
            headers={"Content-Type": form.headers["Content-Type"]},
        )
        assert answer.json() == {"text": "json of a.mp3\n"}
        late = http.post("/jobs", content=slowly(b'{"files": []}'), headers={"Content-Type": "application/json"})
        assert_problem(late, 408, "The body did not arrive in time. Send it again.")


def test_others_are_answered_while_many_wait(site: Bench) -> None:
    site.finisher.hold.set()
    with asking(site) as http:
        waiting = [threading.Thread(target=ask, args=(http,), kwargs={"content": bytes([n])}) for n in range(60)]
        for thread in waiting:
            thread.start()
        assert http.get("/jobs", timeout=10).status_code == 200
        for thread in waiting:
            thread.join()


def assert_refused(answer: httpx.Response, status: int, said: str) -> None:
    """That the problem is one as everywhere, and says the same to clients of OpenAI's."""
    problem = answer.json()
    assert said in problem["error"]["message"]
    assert problem["error"]["message"] == problem["detail"]
    assert answer.status_code == problem["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
