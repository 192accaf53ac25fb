"""Corrected transcripts: versions, times of changed words, formats written anew."""

from pathlib import Path
from typing import Any

import pytest

from chalicelib import editing, ids
from chalicelib.transcript import Transcript, Word
from tests.live import live

WORDS = [
    Word(start=index, end=index + 0.5, text=text, probability=0.4)
    for index, text in enumerate(["Ask", "not", "what", "your", "county", "can", "do."])
]


def told(words: list[Word]) -> list[tuple[str, float, float, float]]:
    return [(word.text, round(word.start, 3), round(word.end, 3), word.probability) for word in words]


def test_words_that_stay_keep_their_times() -> None:
    made = editing.aligned(WORDS, "Ask not, what your own country can do!", 6.5)
    assert told(made) == [
        ("Ask", 0, 0.5, 0.4),
        ("not,", 1, 1.5, 0.4),
        ("what", 2, 2.5, 0.4),
        ("your", 3, 3.5, 0.4),
        ("own", 3.5, 3.95, 1),
        ("country", 3.95, 5, 1),
        ("can", 5, 5.5, 0.4),
        ("do!", 6, 6.5, 0.4),
    ]


def test_text_of_its_own_shares_the_time() -> None:
    made = editing.aligned(WORDS, "Nothing alike", 8)
    assert (made[0].start, made[0].end, made[-1].end) == (0, made[1].start, 8)
    assert editing.aligned(WORDS, "国が何をしてくれるか", 8) == []


def test_the_time_of_a_version_is_in_its_id() -> None:
    assert ids.time_of(ids.job_id(1_700_000_000.123)) == 1_700_000_000.123


def test_a_correction_is_a_version_in_all_formats_and_can_be_reverted(
    tmp_path: Path, models_dir: Path, jfk: Path
) -> None:
    with live(tmp_path / "data", models_dir) as service:
        job = service.submit({"week1/talk.wav": jfk})
        service.wait(job)
        before = {format: service.transcript(job, 0, format) for format in ("txt", "srt", "vtt", "json", "tsv")}
        here = f"/jobs/{job}/files/0"
        with service.http as http:

            def put(**body: Any) -> Any:
                return http.put(f"{here}/transcript", json=body)

            (original,) = http.get(f"{here}/versions").raise_for_status().json()["versions"]
            assert original == {"id": "original", "created_at": None}
            url = http.get(f"{here}/versions/original", headers={"Accept": "application/json"}).json()["url"]
            first = Transcript.model_validate(http.get(url).json()).segments[0]
            kept = [{"id": n} for n in range(1, before["tsv"].count("\n") - 1)]
            text = first.text.replace("Americans", "Martians")
            edited = [{"id": 0, "text": text, "start": 0.1}, *kept]

            answer = put(replaces="original", segments=edited).raise_for_status().json()["versions"]
            assert [version["id"] for version in answer][:1] == ["original"]
            latest = answer[-1]["id"]
            assert all("Martians" in service.transcript(job, 0, format) for format in before)
            assert service.transcript(job, 0, "tsv").splitlines()[1].startswith("100\t")

            stale = put(replaces="original", segments=edited)
            assert (stale.status_code, "newer version" in stale.json()["detail"]) == (409, True)
            for wrong, field in (
                ([{"id": 999}], "segments[0].id"),
                ([{"text": "x"}], "segments[0]"),
                ([{"id": 0, "start": 5, "end": 1}], "segments[0].end"),
                ([{"id": 0, "start": -1}], "segments[0].start"),
            ):
                refused = put(replaces=latest, segments=wrong)
                assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)
            assert put(replaces=latest, base="none").status_code == 422
            assert http.get(f"{here}/versions/..%2f..%2foriginal").status_code == 404

            put(replaces=latest, base="original").raise_for_status()
            assert {format: service.transcript(job, 0, format) for format in before} == before
            assert len(http.get(f"{here}/versions").json()["versions"]) == 3


@pytest.mark.parametrize("words", [30_000])
def test_long_transcripts_are_rendered_within_a_request(words: int) -> None:
    import time

    from chalicelib.formats import render
    from chalicelib.jobs import Format
    from tests.test_page import long_transcript

    transcript = Transcript.model_validate(long_transcript(words, 3 * 3600.0))
    started = time.monotonic()
    for format in Format:
        render(transcript, format)
    assert time.monotonic() - started < 20  # of the 29 that API Gateway waits
