"""The whole service, from outside: real processes, real HTTP, real ffmpeg, real model."""

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.live import Live, live
from tests.media_files import ffmpeg

SENTENCE = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"
GOOD = "week1/lesson 1/good +%#&'\"ü🎬演讲.mp4"


def words(text: str) -> str:
    return re.sub(r"[^\w\s]", "", text.lower()).strip()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("service") / "data", models_dir) as service:
        yield service


def test_a_video_comes_back_in_all_formats(service: Live, jfk_video: Path) -> None:
    job = service.wait(service.submit({"talks/inaugural.mp4": jfk_video}))
    assert job["state"] == "succeeded"
    assert job["percent"] == 100.0
    assert job["audio_seconds"] == pytest.approx(11, abs=0.1)
    assert 0.1 < job["processor_seconds"] < 60
    assert 0.01 < job["gigabyte_seconds"] < 60
    assert job["dollars"] == 0
    (file,) = job["files"]
    assert file["state"] == "succeeded"
    assert file["language"] == "en"
    assert set(file["transcripts"]) == {"txt", "srt", "vtt", "json", "tsv"}
    for format, start in {"srt": "1\n00:00:00,", "vtt": "WEBVTT\n", "tsv": "start\tend\ttext\n", "json": "{"}.items():
        assert service.transcript(job["id"], 0, format).startswith(start)
    assert words(service.transcript(job["id"], 0, "txt")) == SENTENCE


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory: pytest.TempPathFactory, jfk_video: Path, samples_dir: Path) -> dict[str, Path]:
    """Files that cannot be transcribed, by the code of the error that each should get."""
    folder = tmp_path_factory.mktemp("bad")
    ffmpeg("-f", "lavfi", "-i", "testsrc=d=1", folder / "silent.mp4")
    ffmpeg("-f", "lavfi", "-i", "testsrc", "-frames:v", "1", folder / "picture.png")
    (folder / "picture.png").rename(folder / "picture.mp4")
    (folder / "empty.mp4").touch()
    (folder / "notes.mp4").write_text("Shopping list: milk, bread, eggs.\n" * 100)
    moov_last = folder / "moov-last.mp4"
    ffmpeg("-i", jfk_video, "-c", "copy", moov_last)
    (folder / "truncated.mp4").write_bytes(moov_last.read_bytes()[:1_000_000])
    moov_last.unlink()
    secret = folder / "secret.wav"
    shutil.copy(samples_dir / "jfk.wav", secret)
    (folder / "playlist.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:11\n#EXTINF:11,\n{secret}\n#EXT-X-ENDLIST\n")
    (folder / "concat.mp4").write_text(f"ffconcat version 1.0\nfile '{secret}'\n")
    secret.rename(folder.parent / "secret.wav")
    return {file.name: file for file in sorted(folder.iterdir())}


def test_bad_files_get_a_clear_error_and_the_others_their_transcripts(
    service: Live, jfk_video: Path, bad_files: dict[str, Path]
) -> None:
    job = service.wait(service.submit({GOOD: jfk_video, **bad_files}))
    assert job["state"] == "partial"
    by_path = {file["path"]: file for file in job["files"]}
    good = by_path.pop(GOOD)
    assert good["state"] == "succeeded"
    assert words(service.transcript(job["id"], good["n"], "txt")) == SENTENCE
    assert {path: (file["state"], file["error"]["code"]) for path, file in by_path.items()} == {
        "concat.mp4": ("failed", "not_media"),
        "empty.mp4": ("failed", "empty"),
        "notes.mp4": ("failed", "not_media"),
        "picture.mp4": ("failed", "not_media"),
        "playlist.mp4": ("failed", "not_media"),
        "silent.mp4": ("failed", "no_audio"),
        "truncated.mp4": ("failed", "incomplete"),
    }
    for file in by_path.values():
        assert len(file["error"]["message"]) > 20
        assert "/" not in file["error"]["message"]
        with service.http as http:
            answer = http.get(f"/jobs/{job['id']}/files/{file['n']}/transcript?format=srt")
        assert answer.status_code == 409
        assert file["error"]["message"] in answer.json()["detail"]


def test_a_job_of_bad_files_only_has_failed(service: Live, bad_files: dict[str, Path]) -> None:
    job = service.wait(service.submit({"a/notes.mp4": bad_files["notes.mp4"]}))
    assert job["state"] == "failed"
    assert job["error"] is None
    assert job["files_by_state"] == {"failed": 1}


def test_a_file_without_speech_succeeds_with_an_empty_transcript(service: Live, tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono", "-t", "3", tmp_path / "silence.wav")
    job = service.wait(service.submit({"silence.wav": tmp_path / "silence.wav"}))
    assert job["state"] == "succeeded"
    assert service.transcript(job["id"], 0, "txt") == ""
    assert service.transcript(job["id"], 0, "vtt") == "WEBVTT\n"


def test_two_files_that_differ_in_their_suffix_only_keep_their_transcripts(
    service: Live, jfk: Path, jfk_video: Path
) -> None:
    job = service.wait(service.submit({"talk.mp4": jfk_video, "talk.wav": jfk}, formats=["txt"], word_timestamps=False))
    assert [file["output"] for file in job["files"]] == ["talk", "talk.wav"]
    assert [words(service.transcript(job["id"], n, "txt")) for n in (0, 1)] == [SENTENCE, SENTENCE]


def test_a_thousand_files_in_one_job(service: Live, tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", "0.5", tmp_path / "short.wav")
    paths = {f"day {n // 100}/{n:04}.wav": tmp_path / "short.wav" for n in range(1000)}
    job = service.wait(service.submit(paths, formats=["txt"]), seconds=240, interval=0.5)
    assert job["state"] == "succeeded"
    assert job["files_by_state"] == {"succeeded": 1000}
    with service.http as http:
        files = http.get(f"/jobs/{job['id']}/files").json()
    assert [file["path"] for file in files["files"]] == list(paths)
    assert files["next"] is None


def test_kill_at_three_moments_loses_nothing_and_repeats_nothing(tmp_path: Path, models_dir: Path, jfk: Path) -> None:
    service = Live(tmp_path / "data", models_dir)
    count = 40
    service.start()
    try:
        id = service.submit({f"{n}.wav": jfk for n in range(count)}, formats=["json", "txt"])
        service.kill()
        service.start()
        service.wait(id, lambda job: 20 < job["percent"] < 80)
        service.kill()
        service.start()
        service.wait(id, lambda job: 0 < job["files_by_state"].get("succeeded", 0) < count)
        service.kill()
        service.start()
        job = service.wait(id)
        assert job["state"] == "succeeded"
        assert {words(service.transcript(id, n, "txt")) for n in range(count)} == {SENTENCE}
    finally:
        service.stop()
    transcribed = Counter(re.findall(r"transcribed chunk (\d+) of file (\d+)", service.log.read_text()))
    assert set(transcribed.values()) == {1}
    assert len(transcribed) >= count - 2  # a worker may die between storing a result and saying so


def test_workers_end_when_the_service_is_killed(tmp_path: Path, models_dir: Path, jfk: Path) -> None:
    service = Live(tmp_path / "data", models_dir)
    service.start()
    service.wait(service.submit({"jfk.wav": jfk}))
    assert service.process is not None
    children = psutil.Process(service.process.pid).children(recursive=True)
    assert children
    service.process.kill()
    service.process.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_one_folder_serves_one_service(service: Live, models_dir: Path) -> None:
    second = Live(service.data, models_dir)
    with pytest.raises(AssertionError, match=f"Another service is using the folder {service.data}"):
        second.start()


def test_the_token_and_finished_transcripts_outlive_a_restart(tmp_path: Path, models_dir: Path, jfk: Path) -> None:
    with live(tmp_path / "data", models_dir) as service:
        id = service.submit({"jfk.wav": jfk})
        service.wait(id)
        token = service.environment["TRANSCRIBE_TOKEN"]
    with live(tmp_path / "data", models_dir) as service:
        assert service.environment["TRANSCRIBE_TOKEN"] == token
        assert words(service.transcript(id, 0, "txt")) == SENTENCE


def test_health_needs_no_token_and_tells_no_secret(service: Live) -> None:
    answer = httpx.get(f"{service.environment['TRANSCRIBE_SERVER']}/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert "tiny.en" in answer.json()["models"]
