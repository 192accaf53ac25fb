"""Searching what was said: terms, what every adapter of the Index port keeps to, and the route."""

import contextlib
import itertools
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from chalicelib import indexing, keys
from chalicelib.aws import platform
from chalicelib.aws import search as dynamo
from chalicelib.jobs import FileState, Job
from chalicelib.ports import Index, Pieces, UnknownCursor
from chalicelib.search import search
from chalicelib.terms import marks, phrases, terms
from chalicelib.transcript import Segment, Transcript, Word
from deploy.index import rebuilt
from local.search import SQLiteIndex
from local.service import StartError, _fill, _index
from local.worker import Workplace
from tests.aws import MEDIA, TABLE, TRANSCRIPTS
from tests.conftest import Figure
from tests.serving import Served, assert_problem, serving_site
from tests.test_records import job_id, media_files, new_job, seconds

THAI = "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e04\u0e23\u0e31\u0e1a"
CHINESE = "\u4eba\u5de5\u667a\u80fd"


@pytest.fixture(params=["sqlite", "dynamodb"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Index:
    if request.param == "sqlite":
        return SQLiteIndex(tmp_path / "search.sqlite")
    return platform.index(request.getfixturevalue("aws_environment"))


def said(*texts: str, pause: float = 60) -> list[Pieces]:
    """Passages with a pause in between, each word said a second after the one before."""
    second = itertools.count()
    return [
        [(next(second) + n * pause, piece) for piece in text.replace(" ", " \n").split("\n")]
        for n, text in enumerate(texts)
    ]


def found(index: Index, query: str, owner: str = "ann", limit: int = 50) -> list[str]:
    """`<last digit of the job>/<file>: <text>` of all that is found, in so many steps."""
    hits: list[str] = []
    after = None
    while True:
        page = index.find(owner, phrases(query), limit, after)
        assert len(page.passages) <= limit
        hits += [f"{passage.job[-1]}/{passage.n}: {passage.text}" for passage in page.passages]
        after = page.next
        if after is None:
            return hits


def owned(n: int, owner: str = "ann") -> Job:
    return new_job(job_id(n), owner=owner)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's D\xe9j\xe0-vu, 2nd!", ["its", "deja", "vu", "2nd"]),
        ("De\u0301ja\u0300", ["deja"]),
        ("\N{LATIN CAPITAL LETTER S}TRA\xdfE", ["strasse"]),
        (f"AI {CHINESE}2", ["ai", *CHINESE, "2"]),
        ("\N{HIRAGANA LETTER GA}", ["\N{HIRAGANA LETTER GA}"]),
        (
            "\u0939\u093f\u0928\u094d\u0926\u0940 \u092e\u0947\u0902",
            ["\u0939\u093f\u0928\u094d\u0926\u0940", "\u092e\u0947\u0902"],
        ),
        ("\u0e17\u0e35\u0e48\u0e19\u0e35\u0e482", ["\u0e17\u0e35\u0e48", "\u0e19\u0e35\u0e48", "2"]),
        (f"{CHINESE[0]}'s", [CHINESE[0], "s"]),
        ("\N{HIRAGANA LETTER KA}\N{COMBINING KATAKANA-HIRAGANA VOICED SOUND MARK}", ["\N{HIRAGANA LETTER GA}"]),
        ("'quoted' ... -- '", ["quoted"]),
        ("", []),
    ],
)
def test_terms(text: str, expected: list[str]) -> None:
    assert [term.text for term in terms(text)] == expected
    for term in terms(text):
        assert terms(text[term.start : term.end])[0].text == term.text


def test_what_is_asked_for_and_where_it_stands() -> None:
    assert phrases('fellow "My country" well-known  fellow ""') == [("fellow",), ("my", "country"), ("well", "known")]
    text = "My fellow Americans: ask your country, my COUNTRY!"
    assert [text[start:end] for start, end in marks(text, phrases('"my country" ask'))] == ["ask", "my COUNTRY"]
    assert marks(text, phrases("fellow citizens")) == []


def test_passages_with_all_words_are_found_newest_first(index: Index) -> None:
    index.put(owned(1), 0, said("And so my fellow Americans", "ask not what your country", "your country, my fellow"))
    index.put(owned(1), 1, said("Fellow country"))
    index.put(owned(2), 0, said("no Fellows here", "the FELLOW's country"))
    index.put(owned(3, "bob"), 0, said("Bob's fellow country"))
    assert found(index, "fellow") == [
        *("1/1: Fellow country", "1/0: And so my fellow Americans", "1/0: your country, my fellow"),
    ]
    assert found(index, "country fellow") == ["1/1: Fellow country", "1/0: your country, my fellow"]
    assert found(index, "Country") == [
        *("2/0: the FELLOW's country", "1/1: Fellow country", "1/0: ask not what your country"),
        "1/0: your country, my fellow",
    ]
    assert found(index, '"fellow country"') == ["1/1: Fellow country"]
    assert found(index, "fellows") == ["2/0: no Fellows here", "2/0: the FELLOW's country"]
    assert found(index, "fellow country nowhere") == []
    assert found(index, "fellow", "bob") == ["3/0: Bob's fellow country"]
    assert found(index, "fellow", "an") == found(index, "fellow", "ann#") == found(index, "fellow", "") == []
    for limit in (1, 2):
        assert found(index, "country", limit=limit) == found(index, "country")


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_what_is_said_across_two_passages_is_found_once(index: Index, limit: int) -> None:
    speech = ["And so my fellow Americans,", "ask not what your country can do", "my fellow citizens ask", "for you"]
    index.put(owned(1), 0, said(*speech, pause=1))
    index.put(owned(1), 1, said("my fellow", "Americans", pause=1))

    def both(first: int) -> str:
        return f"1/0: {speech[first]} {speech[first + 1]}"

    assert found(index, "fellow americans ask", limit=limit) == [both(0)]
    assert found(index, '"americans ask not"', limit=limit) == found(index, '"so my" not', limit=limit) == [both(0)]
    assert found(index, '"fellow americans"', limit=limit) == ["1/1: my fellow Americans", f"1/0: {speech[0]}"]
    assert found(index, "do my", limit=limit) == [both(1)]
    assert found(index, "ask fellow", limit=limit) == [both(0), f"1/0: {speech[2]}"]
    assert found(index, "ask", limit=limit) == [f"1/0: {speech[1]}", f"1/0: {speech[2]}"]
    assert found(index, "americans can", limit=limit) == [], "that is said more than five seconds later"
    assert found(index, "americans citizens", limit=limit) == []
    assert found(index, '"ask americans"', limit=limit) == found(index, "you americans", limit=limit) == []


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_what_is_said_across_short_passages_is_found_once(index: Index, limit: int) -> None:
    captions = ["ask not", "what your", "country can", "do", "for you", "ask", "what you", "can do"]
    index.put(owned(1), 0, said(*captions, pause=0))

    def together(first: int, last: int) -> str:
        return f"1/0: {' '.join(captions[first : last + 1])}"

    assert found(index, '"not what your country"', limit=limit) == [together(0, 2)]
    assert found(index, "not do", limit=limit) == [together(0, 3)]
    assert found(index, '"can do for you"', limit=limit) == [together(2, 4)]
    assert found(index, '"for you ask what you"', limit=limit) == [together(4, 6)]
    assert found(index, "not for", limit=limit) == [], "that is said six seconds later"
    assert found(index, "ask what", limit=limit) == [together(0, 1), together(5, 6)]
    assert found(index, "do ask", limit=limit) == [together(0, 3), together(3, 5), together(5, 7)]
    index.put(owned(1), 0, [[(0.9 * n, word)] for n, word in enumerate("abcdefg")])
    assert found(index, '"a b c d e f"', limit=limit) == ["1/0: a b c d e f"]


def test_nothing_is_found_across_a_pause_or_files(index: Index) -> None:
    index.put(owned(1), 0, said("my fellow", "Americans"))
    index.put(owned(1), 1, said("ask", "not", pause=1))
    for query in ("fellow americans", "americans ask", "fellow not"):
        assert found(index, query) == []
    assert found(index, "ask not") == ["1/1: ask not"]


def test_across_passages_scripts_without_spaces_stay_so(index: Index) -> None:
    index.put(owned(1), 0, said(CHINESE[:2], CHINESE[2:], pause=1))
    assert found(index, CHINESE) == [f"1/0: {CHINESE}"]


def test_a_term_that_is_half_said_in_time_is_not_found(index: Index) -> None:
    """Of the pieces of a word the first begins within five seconds of the passage before, its vowel sign later."""
    consonant, sign = THAI[1], THAI[2]
    index.put(owned(1), 0, [[(0, THAI[0])], [(4.9, consonant), (5.1, f"{sign}{THAI[3]}")]])
    assert found(index, f"{THAI[0]} {consonant}") == []


def test_scripts_without_spaces(index: Index) -> None:
    index.put(owned(1), 0, said(f"AI {CHINESE}", CHINESE[::-1], f"{CHINESE[0]} {CHINESE[2]}"))
    assert found(index, CHINESE) == [f"1/0: AI {CHINESE}"]
    assert found(index, CHINESE[1:3]) == [f"1/0: AI {CHINESE}"]
    assert len(found(index, CHINESE[0])) == 3
    assert found(index, CHINESE[2:0:-1]) == [f"1/0: {CHINESE[::-1]}"]
    index.put(owned(2), 0, said(THAI))
    assert found(index, THAI[:6]) == found(index, THAI[6:]) == [f"2/0: {THAI}"]
    assert found(index, THAI[6:] + THAI[:6]) == []


def test_a_file_is_put_again_and_taken_out(index: Index) -> None:
    long = [f"passage {n % 9} of many words that fill a page" for n in range(500)]
    for n in (0, 1):
        index.put(owned(1), n, said(*long, "old words"))
    index.put(owned(2), 0, said("old and new"))
    index.put(owned(1), 0, said(*long[:250], "new words"))
    assert found(index, "old") == ["2/0: old and new", "1/1: old words"]
    assert found(index, "new") == ["2/0: old and new", "1/0: new words"]
    assert len(found(index, '"passage 8"')) == 27 + 55
    assert len(found(index, "passage")) == 750
    index.put(owned(2), 0, [])
    assert found(index, "old") == ["1/1: old words"]
    for _ in range(2):
        index.remove(job_id(1))
    assert found(index, "passage") == found(index, "old") == found(index, "new") == []
    index.put(owned(1), 0, said("new again"))
    assert found(index, "new") == ["1/0: new again"]


def test_pieces_come_back_as_they_were(index: Index) -> None:
    pieces = [(0.25, 'He "said" '), (1.5, "\N{SNOWMAN} na\xefve.")]
    index.put(owned(1), 7, [pieces])
    (passage,) = index.find("ann", phrases("naive"), 1).passages
    assert (passage.job, passage.n, passage.pieces) == (job_id(1), 7, pieces)


def test_cursors_that_are_none(index: Index) -> None:
    for cursor in ("", "x", "-1", "1" * 30, "a-00000001-", "../../x-00000001-1", "2\u0663"):
        with pytest.raises(UnknownCursor):
            index.find("ann", phrases("word"), 1, cursor)


def test_words_of_all_kinds_do_no_harm(index: Index) -> None:
    index.put(owned(1), 0, said("NEAR OR NOT", "a" * 3000, "words : owner"))
    assert found(index, "NEAR") == ["1/0: NEAR OR NOT"]
    assert found(index, "OR AND") == []
    assert found(index, 'owner : "words"') == ["1/0: words : owner"]
    assert found(index, "a" * 3000, limit=1) in ([], [f"1/0: {'a' * 3000}"])
    index.remove(job_id(1))


def test_what_the_index_alone_would_take_for_the_same_is_not_found(index: Index) -> None:
    """Half and one in brackets are folded to words with signs in them; so is a ligature, to four words."""
    index.put(owned(1), 0, said("1 2 and 1", "\N{VULGAR FRACTION ONE HALF}"))
    assert found(index, "\N{VULGAR FRACTION ONE HALF}") == ["1/0: \N{VULGAR FRACTION ONE HALF}"]
    assert found(index, "\N{PARENTHESIZED DIGIT ONE}") == []
    assert found(index, "\ufdfa" * 200) == []


def test_packed_numbers() -> None:
    numbers = [0, 1, 127, 128, 129, 400, 100_000, 499_999]
    assert list(dynamo.unpacked(dynamo.packed(numbers))) == numbers
    assert len(dynamo.packed(range(900))) == 1200, "a byte each, in base64"
    assert list(dynamo.unpacked(dynamo.packed([]))) == []


def test_dynamodb_writes_what_has_changed_and_lets_it_expire(aws_environment: dict[str, str]) -> None:
    index = platform.index({**aws_environment, "RETENTION_DAYS": "30"})
    index.put(owned(1), 0, said("one two three", "four"))
    items = index.client.scan(TableName=index.table)["Items"]
    assert {item["expires"]["N"] for item in items} == {str(1235 + 30 * 86400)}
    assert sorted(item["pk"]["S"] for item in items) == [
        f"passages#{job_id(1)}",
        *(f"said#ann#{term}" for term in ("four", "one", "three", "two")),
    ]
    written: list[dict[str, Any]] = []
    index.client.meta.events.register(
        "provide-client-params.dynamodb.BatchWriteItem",
        lambda params, **_: written.extend(params["RequestItems"][index.table]),
    )
    index.put(owned(1), 0, said("one two five", "four"))
    assert len([request for request in written if "PutRequest" in request]) == 2  # the text and "five"
    assert [request["DeleteRequest"]["Key"]["pk"]["S"] for request in written if "DeleteRequest" in request] == [
        "said#ann#three"
    ]
    index.remove(job_id(1))
    assert index.client.scan(TableName=index.table)["Items"] == []


def test_dynamodb_searches_in_bounded_steps(aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that lack a word are skipped, and a search that would take too long says how to go on."""
    index = platform.index(aws_environment)
    for n in range(9):
        index.put(owned(1), n, said("common", *["between"] * 5, "also rare") if n % 3 == 0 else said("common"))
    for n in range(3):
        index.put(owned(2), n, said("rare"))
    asked: list[str] = []
    index.client.meta.events.register("before-call.dynamodb", lambda model, **_: asked.append(model.name))
    assert found(index, "common also") == []
    assert len(asked) == 2
    expected = [f"1/{n}: also rare" for n in (6, 3, 0)]
    assert found(index, "also rare") == expected
    for page, most in ((1, 3), (1, 50), (2, 4)):
        monkeypatch.setattr(dynamo, "PAGE", page)
        monkeypatch.setattr(dynamo, "MOST_REQUESTS", most)
        assert found(index, "also rare") == expected
        assert found(index, "rare common") == []
        assert found(index, "common", limit=7) == [f"1/{n}: common" for n in range(8, -1, -1)]


def test_many_files_are_searched_at_once(tmp_path: Path, figure: Figure) -> None:
    index = SQLiteIndex(tmp_path / "search.sqlite")
    common = said(*(f"the word{n} and the other" for n in range(10)))
    files = 300

    def put() -> None:
        for n in range(files):
            index.put(owned(n), 0, common)

    putting = seconds(put)
    index.put(owned(files), 0, said("the needle"))
    finding = min(seconds(lambda: index.find("ann", phrases("the needle"), 20)) for _ in range(5))
    listing = min(seconds(lambda: index.find("ann", phrases("the"), 20)) for _ in range(5))
    figure(f"file put in {putting / files * 1e3:.1f} ms, found in {finding * 1e3:.1f} and {listing * 1e3:.1f} ms")
    assert max(finding, listing) < 0.5


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving_site(tmp_path) as served:
        yield served


def transcribed(served: Served, *texts: str) -> str:
    """A job of Ann's whose file 0 has a transcript of these passages, each word half a second long."""
    created = served.job(3)
    job, site = str(created["id"]), served.site
    served.ann.put(created["files"][0]["upload"]["url"], content=b"abc").raise_for_status()
    second = itertools.count(step=0.5)
    segments = []
    for text in texts:
        words = [Word(start=(at := next(second)), end=at + 0.4, text=word, probability=1) for word in text.split()]
        segments.append(Segment(start=words[0].start, end=words[-1].end, text=text, words=words))
    transcript = Transcript(language="en", model="tiny.en", task="transcribe", duration=9, segments=segments)
    site.objects.put(keys.version(job, 0, keys.ORIGINAL), transcript.model_dump_json().encode())
    recorded, file = site.records.job(job), site.records.file(job, 0)
    assert recorded is not None
    assert file is not None
    site.index.put(recorded, 0, indexing.passages(segments))
    site.records.move_file(file, FileState.SUCCEEDED)
    return job


def hits(served: Served, **query: Any) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = served.ann.get("/search", params=query).raise_for_status().json()["hits"]
    return answer


def test_hits_tell_where_when_and_what(served: Served) -> None:
    job = transcribed(served, "And so my fellow Americans", "ask not what your country can do")
    assert served.ann.get("/search", params={"q": "country not"}).raise_for_status().json() == {
        "hits": [
            {
                "job": job,
                "title": "week1/0.mp4",
                "file": 0,
                "path": "week1/0.mp4",
                "start": 3.0,
                "snippet": "ask not what your country can do",
                "marks": [[4, 7], [18, 25]],
                "before": False,
                "after": False,
            }
        ],
        "next": None,
    }
    assert served.bob.get("/search", params={"q": "country"}).json() == {"hits": [], "next": None}


def test_hits_across_passages_begin_with_what_is_said_first(served: Served) -> None:
    transcribed(served, "And so my fellow Americans,", "ask not what your country can do")
    (hit,) = hits(served, q="ask fellow")
    assert (hit["start"], hit["snippet"], hit["marks"], hit["after"]) == (
        1.5,
        "And so my fellow Americans, ask not what your country can do",
        [[10, 16], [28, 31]],
        False,
    )


def test_long_passages_are_cut_between_words(served: Served) -> None:
    transcribed(served, " ".join(["before"] * 100 + ["needle"] + ["after"] * 100))
    (hit,) = hits(served, q="needle")
    ((start, end),) = hit["marks"]
    assert hit["snippet"][start:end] == "needle"
    assert (hit["before"], hit["after"], hit["start"]) == (True, True, 50.0)
    assert set(hit["snippet"].split()) == {"before", "needle", "after"}
    assert 150 < len(hit["snippet"]) <= 240


def test_pages_of_hits(served: Served) -> None:
    transcribed(served, *(f"word number{n}" for n in range(25)))
    first = served.ann.get("/search", params={"q": "word"}).json()
    assert [hit["snippet"] for hit in first["hits"]] == [f"word number{n}" for n in range(20)]
    rest = served.ann.get("/search", params={"q": "word", "cursor": first["next"]}).json()
    assert ([hit["snippet"] for hit in rest["hits"]], rest["next"]) == (
        [f"word number{n}" for n in range(20, 25)],
        None,
    )


def test_corrections_are_found_at_once_and_what_they_replace_is_not(served: Served) -> None:
    job = transcribed(served, "ask not what your county can do", "the end")
    edit = {"replaces": "original", "segments": [{"id": 0, "text": "ask not what your country can do"}, {"id": 1}]}
    served.ann.put(f"/jobs/{job}/files/0/transcript", json=edit).raise_for_status()
    assert hits(served, q="county") == []
    (hit,) = hits(served, q="country")
    assert hit["start"] == 1.9  # where the word before it ends
    versions = served.ann.get(f"/jobs/{job}/files/0/versions").json()["versions"]
    back = {"replaces": versions[-1]["id"], "base": "original"}
    served.ann.put(f"/jobs/{job}/files/0/transcript", json=back).raise_for_status()
    assert (len(hits(served, q="county")), hits(served, q="country")) == (1, [])


def test_what_is_deleted_is_not_found_from_then_on(served: Served) -> None:
    from chalicelib import retention

    job = transcribed(served, "going gone")
    served.ann.delete(f"/jobs/{job}").raise_for_status()
    assert hits(served, q="gone") == []
    assert len(served.site.index.find("ann", phrases("gone"), 9).passages) == 1
    retention.sweep(served.site.service)
    assert served.site.index.find("ann", phrases("gone"), 9).passages == []


def test_an_index_that_was_lost_is_made_again(served: Served, tmp_path: Path) -> None:
    for text in ("found again", "and again", "again and again"):
        transcribed(served, text)
    site = served.site
    anew = SQLiteIndex(tmp_path / "anew.sqlite")
    assert not anew.filled
    _fill(site.objects, site.records, anew)
    assert SQLiteIndex(tmp_path / "anew.sqlite").filled
    assert found(anew, "again") == found(site.index, "again")
    assert [passage.text for passage in anew.find("ann", phrases("again"), 9).passages] == [
        *("again and again", "and again", "found again"),
    ]
    assert indexing.rebuild(site.objects, site.records, anew, "ann") == 3
    assert indexing.rebuild(site.objects, site.records, anew, "bob") == 0


def test_who_has_no_token_for_the_moment_is_not_forgotten(served: Served, tmp_path: Path) -> None:
    transcribed(served, "found again")
    site = served.site
    for token in site.records.tokens():
        site.records.remove_token(token.id)
    anew = SQLiteIndex(tmp_path / "anew.sqlite")
    _fill(site.objects, site.records, anew)
    assert len(found(anew, "again")) == 1


def test_an_index_of_an_older_form_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "search.sqlite"
    SQLiteIndex(path).set_filled()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 2")
    assert not SQLiteIndex(path).filled
    assert SQLiteIndex(path).find("ann", phrases("word"), 1).passages == []


def test_an_index_that_is_none_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "search.sqlite").write_bytes(b"This is no database. " * 100)
    with pytest.raises(StartError, match=r"search\.sqlite in .* cannot be opened .* Delete it: it is made again"):
        _index(Workplace(tmp_path, tmp_path, b"secret", 1, 1))


def test_the_index_of_a_stage_is_made_anew(aws_environment: dict[str, str]) -> None:
    service = platform.service(aws_environment)
    job = new_job(job_id(1))
    service.records.add_job(job, media_files(job.id, 1))
    service.records.move_file(media_files(job.id, 1)[0], FileState.SUCCEEDED)
    segment = Segment(start=1, end=2, text="said before there was a search", words=[])
    transcript = Transcript(language="en", model="base", task="transcribe", duration=9, segments=[segment])
    service.objects.put(keys.version(job.id, 0, keys.ORIGINAL), transcript.model_dump_json().encode())
    outputs = {"MediaBucket": MEDIA, "TranscriptsBucket": TRANSCRIPTS, "Table": TABLE, "TranscriptDays": "0"}
    assert list(rebuilt(boto3.Session(), outputs)) == [("ann", 1)]
    (hit,) = search(service, "ann", "said search", None, None)["hits"]
    assert (hit["job"], hit["path"], hit["start"]) == (job.id, "week1/0.mp4", 1.0)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "q"),
        ({"q": ""}, "q"),
        ({"q": "... !"}, "q"),
        ({"q": "x" * 201}, "q"),
        ({"q": " ".join(f"w{n}" for n in range(21))}, "q"),
        ({"q": "x", "limit": "0"}, "limit"),
        ({"q": "x", "limit": "51"}, "limit"),
        ({"q": "x", "limit": "many"}, "limit"),
        ({"q": "x", "cursor": "nowhere"}, "cursor"),
    ],
)
def test_bad_questions(served: Served, query: dict[str, str], field: str) -> None:
    answer = served.ann.get("/search", params=query)
    assert_problem(answer, 422, f"{field} must")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
