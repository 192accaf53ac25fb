"""Corrected transcripts: versions, times of changed words, formats written anew."""

import itertools
import json
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from chalicelib import editing, formats, ids, indexing, keys, retiming, versions
from chalicelib.errors import Problem
from chalicelib.jobs import FileState, Format
from chalicelib.service import Service
from chalicelib.settings import Settings
from chalicelib.transcript import Segment, Transcript, Word
from chalicelib.wording import tidied
from local.objects import DiskObjects
from local.records import SQLiteRecords
from local.search import SQLiteIndex
from local.signing import base_url
from tests.live import live
from tests.spoken import spoken

WORDS = [
    Word(start=index, end=index + 0.5, text=text, probability=0.4)
    for index, text in enumerate(["Ask", "not", "what", "your", "county", "can", "do."])
]


def told(words: list[Word]) -> list[tuple[str, float, float, float]]:
    return [(word.text, round(word.start, 3), round(word.end, 3), word.probability) for word in words]


def test_words_that_stay_keep_their_times() -> None:
    made = retiming.aligned(WORDS, "Ask not, what your own country can do!", 6.5)
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
    made = retiming.aligned(WORDS, "Nothing alike", 8)
    assert (made[0].start, made[0].end, made[-1].end) == (0, made[1].start, 8)
    assert retiming.aligned(WORDS, "国が何をしてくれるか", 8) == []


@pytest.mark.parametrize(
    ("old", "new", "pairs"),
    [
        ("", "", []),
        ("", "a b", []),
        ("a b", "a b", [(0, 0), (1, 1)]),
        ("a b c", "a c", [(0, 0), (2, 1)]),
        ("a a a", "a a", [(0, 0), (1, 1)]),
        ("x the cat sat on the mat", "y the dog sat on the rug", [(3, 3), (4, 4), (5, 5)]),
        ("x a b c y", "z c a b w", [(1, 2), (2, 3)]),
    ],
)
def test_which_words_stay(old: str, new: str, pairs: list[tuple[int, int]]) -> None:
    assert retiming.kept(old.split(), new.split()) == pairs


def test_words_that_stay_are_so_in_order_whatever_the_texts() -> None:
    chance = random.Random(1)  # noqa: S311
    for _ in range(500):
        old, new = (chance.choices("abcdefgh", k=chance.randrange(12)) for _ in range(2))
        pairs = retiming.kept(old, new)
        assert all(old[before] == new[after] for before, after in pairs)
        assert all(one[0] < two[0] and one[1] < two[1] for one, two in itertools.pairwise(pairs))


def test_texts_of_few_words_take_no_longer() -> None:
    """With `difflib`, whose time grows with the cube of their length, some twenty minutes."""
    started = time.process_time()
    words = [Word(start=n, end=n + 1, text="a", probability=1) for n in range(5000)]
    assert len(retiming.aligned(words, "b a " * 2500, 5000)) == 5000
    assert time.process_time() - started < 5


def edited(base: list[Segment], *asked: dict[str, Any]) -> list[Segment]:
    return tidied(editing._edited(base, [editing.EditedSegment.model_validate(one) for one in asked]))


def segment(first: int, last: int) -> Segment:
    """Some of the words as a segment."""
    words = WORDS[first:last]
    return Segment(start=words[0].start, end=words[-1].end, text=" ".join(word.text for word in words), words=words)


def test_a_segment_that_is_divided_keeps_its_words_and_their_times() -> None:
    whole = segment(0, 7)
    first = {"id": 0, "text": "Ask not", "start": 0, "end": 2}
    made = edited([whole], first, {"id": 0, "text": "what your country can do.", "start": 2, "end": 6.5})
    assert [(one.text, one.start, one.end) for one in made] == [
        ("Ask not", 0, 1.5),
        ("what your country can do.", 2, 6.5),
    ]
    assert told(made[0].words) == told(WORDS[:2])
    assert told(made[1].words) == [*told(WORDS[2:4]), ("country", 3.5, 5, 1), *told(WORDS[5:])]
    with pytest.raises(Problem, match="segments\\[1\\] must have text, start and end, since another takes the same"):
        edited([whole], first, {"id": 0, "text": "what your"})


def test_segments_that_are_joined_keep_their_words_and_their_times() -> None:
    parts = [segment(0, 2), segment(2, 5), segment(5, 7)]
    (made,) = edited(parts, {"id": 0, "through": 2})
    assert (made.text, made.start, made.end) == ("Ask not what your county can do.", 0, 6.5)
    assert told(made.words) == told(WORDS)
    made, rest = edited(parts, {"id": 0, "through": 1, "text": "Ask not what your country"}, {"id": 2})
    assert told(made.words) == [*told(WORDS[:4]), ("country", 3.5, 4.5, 1)]
    assert rest == parts[2]


def test_joined_segments_can_be_moved_and_must_not_be_endless() -> None:
    parts = [segment(0, 2), segment(2, 7)]
    (made,) = edited(parts, {"id": 0, "through": 1, "start": 1, "end": 7.5})
    assert (made.start, made.end) == (1, 7.5)
    assert [word.start for word in made.words] == [word.start + 1 for word in WORDS]
    long = [Segment(start=at, end=at + 1, text="x" * 5000, words=[]) for at in range(3)]
    assert len(edited(long, {"id": 0, "through": 1, "text": "x"}, {"id": 2})) == 2
    with pytest.raises(Problem, match=r"segments\[0\].through must not make a text of more than 10000 characters"):
        edited(long, {"id": 0, "through": 1})


def test_a_part_of_one_segment_is_joined_with_the_next() -> None:
    parts = [segment(0, 4), segment(4, 7)]
    made = edited(
        parts,
        {"id": 0, "text": "Ask not", "start": 0, "end": 2},
        {"id": 0, "through": 1, "text": "what your county can do.", "start": 2, "end": 6.5},
    )
    assert [told(one.words) for one in made] == [told(WORDS[:2]), told(WORDS[2:])]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"id": 1, "through": 0}, "through"),
        ({"id": 0, "through": 2}, "through"),
        ({"through": 1, "text": "x", "start": 0, "end": 1}, "through"),
        ({"id": 2}, "id"),
    ],
)
def test_numbers_of_no_segments(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(Problem) as problem:
        edited([segment(0, 2), segment(2, 7)], wrong)
    assert [error["field"] for error in problem.value.errors] == [f"segments[0].{field}"]


def test_a_segment_is_not_divided_endlessly() -> None:
    part = {"id": 0, "text": "Ask", "start": 0, "end": 1}
    assert len(edited([segment(0, 7)], *[part] * 100)) == 100
    with pytest.raises(Problem, match="segments must not take segment 0 more than 100 times"):
        edited([segment(0, 7)], *[part] * 101)


def test_the_time_of_a_version_is_in_its_id() -> None:
    assert ids.time_of(ids.job_id(1_700_000_000.123)) == 1_700_000_000.123


class Nothing:
    """A workflow that nobody starts."""

    def start(self, execution: str) -> None: ...

    def stop(self, execution: str) -> None: ...


@dataclass(frozen=True)
class Interview:
    """A transcribed file with two speakers."""

    service: Service
    job: str

    @classmethod
    def at(cls, folder: Path) -> "Interview":
        service = Service(
            objects=DiskObjects(folder / "objects", b"secret"),
            records=SQLiteRecords(folder / "records.sqlite"),
            workflow=Nothing(),
            index=SQLiteIndex(folder / "search.sqlite"),
            settings=Settings(models={"tiny.en": False}, default_model="tiny.en", largest_file=1000),
        )
        base_url.set("http://test")
        job = service.create_job("ann", b'{"files": [{"path": "a.mp4", "size": 1}]}')["id"]
        (file,) = service.records.files(job, 10)
        service.records.move_file(file, FileState.SUCCEEDED)
        segments = [
            spoken("Who are you?", 0.0, speaker="Speaker 1"),
            spoken("I am the king.", 1.0, speaker="Speaker 2"),
            spoken("Really?", 3.0, speaker="Speaker 1"),
            spoken("Applause.", 4.0),
        ]
        transcript = Transcript(language="en", model="tiny.en", task="transcribe", duration=5, segments=segments)
        service.objects.put(keys.version(job, 0, keys.ORIGINAL), transcript.model_dump_json().encode())
        return cls(service, job)

    def put(self, **body: Any) -> str:
        """The id of the new version."""
        made = editing.edit(self.service, "ann", self.job, "0", json.dumps(body))
        return str(made["versions"][-1]["id"])

    def refused(self, **body: Any) -> list[dict[str, str]]:
        with pytest.raises(Problem) as problem:
            self.put(replaces="original", **body)
        assert problem.value.status == 422
        return problem.value.errors

    def later(self, seconds: float) -> "Interview":
        now = self.service.clock()
        return replace(self, service=replace(self.service, clock=lambda: now + seconds))

    def found(self, word: str) -> list[str]:
        """The passages with a word."""
        return [passage.text for passage in self.service.index.find("ann", [(word,)], 9).passages]

    def text(self, format: str) -> str:
        return self.service.objects.get(keys.transcript(self.job, "a", format)).decode()

    def speakers(self, version: str) -> list[str | None]:
        stored = self.service.objects.get(keys.version(self.job, 0, version))
        return [segment.speaker for segment in Transcript.model_validate_json(stored).segments]


def test_speakers_are_renamed_in_all_formats(tmp_path: Path) -> None:
    interview = Interview.at(tmp_path)
    named = interview.put(replaces="original", speakers={"Speaker 1": "Ann", "Speaker 2": "Bo <i>"})
    assert interview.speakers(named) == ["Ann", "Bo <i>", "Ann", None]
    assert interview.text("txt") == "Ann: Who are you?\n\nBo <i>: I am the king.\n\nAnn: Really?\n\nApplause.\n"
    assert "\nBo <i>: I am the king.\n" in interview.text("srt")
    assert "\n<v Bo &lt;i&gt;>I am the king.\n" in interview.text("vtt")
    assert interview.text("tsv").splitlines()[2] == "1000\t2200\tI am the king.\tBo <i>"
    assert json.loads(interview.text("json"))["segments"][1]["speaker"] == "Bo <i>"

    swapped = interview.put(replaces=named, speakers={"Ann": "Bo <i>", "Bo <i>": "Ann"})
    assert interview.speakers(swapped) == ["Bo <i>", "Ann", "Bo <i>", None]
    one = interview.put(replaces=swapped, base="original", speakers={"Speaker 1": "Speaker 2"})
    assert interview.speakers(one) == ["Speaker 2", "Speaker 2", "Speaker 2", None]


def test_a_segment_gets_another_speaker(tmp_path: Path) -> None:
    interview = Interview.at(tmp_path)
    segments = [
        {"id": 0},
        {"id": 1, "text": "I am king.", "start": 1.1},
        {"id": 2, "speaker": "Bo"},
        {"id": 3, "speaker": "All"},
        {"text": "Bravo!", "start": 4.5, "end": 5, "speaker": "Ann"},
    ]
    made = interview.put(replaces="original", segments=segments, speakers={"Speaker 1": "Ann"})
    assert interview.speakers(made) == ["Ann", "Speaker 2", "Bo", "All", "Ann"]


def full(*_: object) -> None:
    raise OSError("the disk is full")


def test_a_correction_that_breaks_off_can_be_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interview = Interview.at(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(SQLiteIndex, "put", full)
        with pytest.raises(OSError, match="full"):
            interview.put(replaces="original", speakers={"Speaker 1": "Ann"})
    assert interview.speakers(interview.put(replaces="original", speakers={"Speaker 1": "Ann"}))[0] == "Ann"


def test_a_correction_that_is_sent_again_is_one_version(tmp_path: Path) -> None:
    interview = Interview.at(tmp_path)
    once, again = (interview.put(replaces="original", speakers={"Speaker 1": "Ann"}) for _ in range(2))
    assert once == again
    assert versions.known(interview.service.objects, interview.job, 0) == ["original", once]


def test_a_correction_that_is_sent_again_much_later_is_one_version(tmp_path: Path) -> None:
    interview = Interview.at(tmp_path)
    once = interview.put(replaces="original", speakers={"Speaker 1": "Ann"})
    later = interview.later(editing.SAVING_SECONDS + 60)
    assert later.put(replaces="original", speakers={"Speaker 1": "Ann"}) == once
    with pytest.raises(Problem, match="Somebody else has saved"):
        later.put(replaces="original", speakers={"Speaker 1": "Bo"})


def test_a_correction_that_breaks_off_while_it_is_indexed_is_completed_when_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interview = Interview.at(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(SQLiteIndex, "put", full)
        with pytest.raises(OSError, match="full"):
            interview.put(replaces="original", segments=[{"id": 0, "text": "Who is he?"}])
    later = interview.later(editing.SAVING_SECONDS + 60)
    later.put(replaces="original", segments=[{"id": 0, "text": "Who is he?"}])
    assert interview.found("who") == ["Who is he?"]
    assert len(versions.known(interview.service.objects, interview.job, 0)) == 2


def test_a_correction_that_breaks_off_while_it_is_rendered_has_written_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interview = Interview.at(tmp_path)
    now = interview.put(replaces="original", speakers={"Speaker 1": "Ann"})
    before = [interview.text(format) for format in Format]
    for format in ("txt", "srt", "vtt", "tsv", "as_json"):
        with monkeypatch.context() as patched:
            patched.setattr(formats, format, full)
            with pytest.raises(OSError, match="full"):
                interview.put(replaces=now, speakers={"Ann": "Bo"})
        assert [interview.text(format) for format in Format] == before


@pytest.mark.parametrize("moment", ["read", "version"])
def test_an_index_that_is_made_again_has_what_is_corrected_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    interview = Interview.at(tmp_path)
    service = interview.service
    begun = threading.Event()

    def rebuild() -> None:
        indexing.rebuild(service.objects, service.records, service.index, "ann")

    def correct() -> None:
        interview.put(replaces="original", segments=[{"id": 0, "text": "Who is he?"}])

    def once(what: Callable[[], None]) -> None:
        if not begun.is_set():
            begun.set()
            what()

    index, put = SQLiteIndex.put, DiskObjects.put

    def index_after_a_correction(self: SQLiteIndex, *said: Any) -> None:
        once(correct)
        index(self, *said)

    def put_after_a_rebuild(self: DiskObjects, key: str, data: bytes) -> None:
        if key.startswith(keys.VERSIONS):
            once(rebuild)
        put(self, key, data)

    if moment == "read":
        monkeypatch.setattr(SQLiteIndex, "put", index_after_a_correction)
        rebuild()
    else:
        monkeypatch.setattr(DiskObjects, "put", put_after_a_rebuild)
        correct()
    assert interview.found("who") == ["Who is he?"]


def test_of_two_who_save_at_once_one_is_told(tmp_path: Path) -> None:
    interview = Interview.at(tmp_path)
    together = threading.Barrier(2)

    def save(name: str) -> str:
        base_url.set("http://test")
        together.wait()
        try:
            interview.put(replaces="original", speakers={"Speaker 1": name})
        except Problem as problem:
            return str(problem.status)
        return name

    with ThreadPoolExecutor(2) as threads:
        refused, saved = sorted(threads.map(save, ["Ann", "Bob"]))
    assert refused == "409"
    assert interview.text("txt").startswith(f"{saved}: ")
    assert f"<v {saved}>" in interview.text("vtt")
    assert versions.known(interview.service.objects, interview.job, 0)[2:] == []


def test_a_correction_of_what_is_deleted_meanwhile_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interview = Interview.at(tmp_path)
    claim = SQLiteRecords.claim

    def deleted(records: SQLiteRecords, *claimed: Any) -> Any:
        interview.service.objects.delete(keys.versions(interview.job, 0))
        return claim(records, *claimed)

    monkeypatch.setattr(SQLiteRecords, "claim", deleted)
    with pytest.raises(Problem, match="There is no such job"):
        interview.put(replaces="original", speakers={"Speaker 1": "Ann"})
    assert versions.known(interview.service.objects, interview.job, 0) == []


def test_a_clock_that_goes_back_makes_no_older_version(tmp_path: Path) -> None:
    interview = Interview.at(tmp_path)
    first = interview.put(replaces="original", speakers={"Speaker 1": "Ann"})
    earlier = replace(interview, service=replace(interview.service, clock=lambda: ids.time_of(first) - 9))
    second = earlier.put(replaces=first, speakers={"Ann": "Bo"})
    assert versions.known(interview.service.objects, interview.job, 0) == ["original", first, second]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "must hold a letter or a digit"),
        ("-->", "must hold a letter or a digit"),
        ("A\nB", "must be on one line, without control characters, and without spaces but single ones inside"),
        ("A\tB", "must be on one line, without control characters, and without spaces but single ones inside"),
        (" A", "must be on one line, without control characters, and without spaces but single ones inside"),
        ("A\u2028B", "must be on one line, without control characters, and without spaces but single ones inside"),
        ("x" * 41, "must have no more than 40 characters (those of Chinese and the like count twice)"),
        ("王" * 21, "must have no more than 40 characters (those of Chinese and the like count twice)"),
        (7, "must be a string"),
    ],
)
def test_names_that_would_break_a_format_are_refused(tmp_path: Path, name: Any, reason: str) -> None:
    interview = Interview.at(tmp_path)
    assert interview.refused(speakers={"Speaker 1": name}) == [{"field": "speakers.Speaker 1", "message": reason}]
    refused = interview.refused(segments=[{"id": 0, "speaker": name}])
    assert refused == [{"field": "segments[0].speaker", "message": reason}]


def test_only_who_is_there_can_be_renamed(tmp_path: Path) -> None:
    assert Interview.at(tmp_path).refused(speakers={"Speaker 3": "Ann"}) == [
        {"field": "speakers", "message": "must name speakers of the base, not 'Speaker 3'"}
    ]


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

            stale = put(replaces="original", segments=edited[:1])
            assert (stale.status_code, "newer version" in stale.json()["detail"]) == (409, True)
            for wrong, field in (
                ([{"id": 999}], "segments[0].id"),
                ([{"text": "x"}], "segments[0]"),
                ([{"id": 0, "start": 5, "end": 1}], "segments[0].end"),
                ([{"id": 0, "start": -1}], "segments[0].start"),
                ([{"id": 0, "end": 1e306}], "segments[0].end"),
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
    from chalicelib.formats import render
    from chalicelib.jobs import Format
    from tests.prepared import long_transcript

    transcript = Transcript.model_validate(long_transcript(words, 3 * 3600.0))
    started = time.monotonic()
    for format in Format:
        render(transcript, format)
    assert time.monotonic() - started < 20  # of the 29 that API Gateway waits
