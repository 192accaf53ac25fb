import json
import subprocess
from html import unescape
from io import StringIO
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path

import imageio_ffmpeg
import pytest
import webvtt
from hypothesis import given

from chalicelib.formats import clock, render
from chalicelib.jobs import Format
from chalicelib.transcript import Segment, Transcript
from chalicelib.wording import tidied
from container.stitching import stitch
from tests.spoken import ANYTHING, CHINESE, CONVERSATION, SPEECH, spoken

SPOKEN = [
    spoken("Ask not what your country can do for you.", 0.5),
    spoken("R&D costs <5%.", 3.4),
    spoken("Next paragraph.", 8.0),
]


def transcript(segments: list[Segment]) -> Transcript:
    return Transcript(
        language="en",
        language_probability=0.98765,
        model="tiny.en",
        task="transcribe",
        duration=11.00049,
        segments=tidied(segments),
    )


def rendered(segments: list[Segment], format: Format) -> str:
    return render(transcript(segments), format).decode()


def test_txt() -> None:
    expected = "Ask not what your country can do for you. R&D costs <5%.\n\nNext paragraph.\n"
    assert rendered(SPOKEN, Format.TXT) == expected


def test_a_long_paragraph_ends_with_a_sentence() -> None:
    sentence = "We shall fight on the seas and oceans, we shall fight with growing confidence in the air."
    segments = [spoken(sentence, 6.0 * n) for n in range(12)]
    assert [len(line) for line in rendered(segments, Format.TXT).splitlines()] == [9 * 90 - 1, 0, 3 * 90 - 1]


def test_chinese_sentences_have_no_spaces_between_them() -> None:
    segments = [spoken("你好。", space=""), spoken("今天好。", 1.0, space="")]
    assert rendered(segments, Format.TXT) == "你好。今天好。\n"


def test_srt() -> None:
    assert rendered(SPOKEN, Format.SRT) == (
        "1\n00:00:00,500 --> 00:00:03,200\nAsk not what your country can do for you.\n\n"
        "2\n00:00:03,400 --> 00:00:04,300\nR&D costs <5%.\n\n"
        "3\n00:00:08,000 --> 00:00:08,833\nNext paragraph.\n"
    )


def test_vtt() -> None:
    assert rendered(SPOKEN, Format.VTT) == (
        "WEBVTT\n\n"
        "00:00:00.500 --> 00:00:03.200\nAsk not what your country can do for you.\n\n"
        "00:00:03.400 --> 00:00:04.300\nR&amp;D costs &lt;5%.\n\n"
        "00:00:08.000 --> 00:00:08.833\nNext paragraph.\n"
    )


def test_tsv() -> None:
    assert rendered(SPOKEN, Format.TSV) == (
        "start\tend\ttext\n"
        "500\t3200\tAsk not what your country can do for you.\n"
        "3400\t4300\tR&D costs <5%.\n"
        "8000\t8600\tNext paragraph.\n"
    )


def test_json() -> None:
    assert json.loads(rendered(SPOKEN[2:], Format.JSON)) == {
        "language": "en",
        "language_probability": 0.988,
        "model": "tiny.en",
        "task": "transcribe",
        "duration": 11.0,
        "text": "Next paragraph.",
        "segments": [
            {
                "id": 0,
                "start": 8.0,
                "end": 8.6,
                "text": "Next paragraph.",
                "words": [
                    {"start": 8.0, "end": 8.3, "text": "Next", "probability": 0.9},
                    {"start": 8.3, "end": 8.6, "text": "paragraph.", "probability": 0.9},
                ],
            }
        ],
    }


def test_json_without_word_timestamps() -> None:
    document = json.loads(render(transcript(SPOKEN[2:]), Format.JSON, word_timestamps=False))
    assert document["segments"] == [{"id": 0, "start": 8.0, "end": 8.6, "text": "Next paragraph."}]


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        (Format.TXT, ""),
        (Format.SRT, ""),
        (Format.VTT, "WEBVTT\n"),
        (Format.TSV, "start\tend\ttext\n"),
    ],
)
def test_nothing_said(format: Format, expected: str) -> None:
    assert rendered([], format) == expected
    assert json.loads(rendered([], Format.JSON))["segments"] == []


INTERVIEW = [
    spoken("Who are you?", 0.0, speaker="Ann"),
    spoken("I am the king.", 1.0, speaker="R&D > <b>"),
    spoken("Of all the pots and pans.", 5.0, speaker="R&D > <b>"),
    spoken("Applause.", 7.0),
    spoken("Thank you.", 8.0, speaker="Ann"),
]


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        (
            Format.TXT,
            "Ann: Who are you?\n\nR&D > <b>: I am the king.\n\nR&D > <b>: Of all the pots and pans.\n\n"
            "Applause.\n\nAnn: Thank you.\n",
        ),
        (
            Format.SRT,
            "1\n00:00:00,000 --> 00:00:00,900\nAnn: Who are you?\n\n"
            "2\n00:00:01,000 --> 00:00:02,250\nR&D > <b>: I am the king.\n\n"
            "3\n00:00:05,000 --> 00:00:06,800\nOf all the pots and pans.\n\n"
            "4\n00:00:07,000 --> 00:00:07,833\nApplause.\n\n"
            "5\n00:00:08,000 --> 00:00:08,833\nAnn: Thank you.\n",
        ),
        (
            Format.VTT,
            "WEBVTT\n\n"
            "00:00:00.000 --> 00:00:00.900\n<v Ann>Who are you?\n\n"
            "00:00:01.000 --> 00:00:02.200\n<v R&amp;D &gt; &lt;b&gt;>I am the king.\n\n"
            "00:00:05.000 --> 00:00:06.800\n<v R&amp;D &gt; &lt;b&gt;>Of all the pots and pans.\n\n"
            "00:00:07.000 --> 00:00:07.833\nApplause.\n\n"
            "00:00:08.000 --> 00:00:08.833\n<v Ann>Thank you.\n",
        ),
        (
            Format.TSV,
            "start\tend\ttext\tspeaker\n"
            "0\t900\tWho are you?\tAnn\n"
            "1000\t2200\tI am the king.\tR&D > <b>\n"
            "5000\t6800\tOf all the pots and pans.\tR&D > <b>\n"
            "7000\t7300\tApplause.\t\n"
            "8000\t8600\tThank you.\tAnn\n",
        ),
    ],
)
def test_speakers_are_named(format: Format, expected: str) -> None:
    assert rendered(INTERVIEW, format) == expected


def test_speakers_in_json() -> None:
    segments = json.loads(rendered(INTERVIEW, Format.JSON))["segments"]
    assert [segment["speaker"] for segment in segments] == ["Ann", "R&D > <b>", "R&D > <b>", None, "Ann"]


HOSTILE = "a --> b\r\n\r\n2\u2028c\td\x00\u0085e\ud800 👩\u200d👩\u200d👧 \u202bשלם\u202c"


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        (Format.TXT, "a --> b 2 c d e 👩\u200d👩\u200d👧 \u202bשלם\u202c\n"),
        (Format.SRT, "1\n00:00:00,000 --> 00:00:02,000\na → b 2 c d e 👩\u200d👩\u200d👧 \u202bשלם\u202c\n"),
        (
            Format.VTT,
            "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\na --&gt; b 2 c d e 👩\u200d👩\u200d👧 \u202bשלם\u202c\n",
        ),
        (Format.TSV, "start\tend\ttext\n0\t2000\ta --> b 2 c d e 👩\u200d👩\u200d👧 \u202bשלם\u202c\n"),
    ],
)
def test_text_cannot_break_out_of_its_place(format: Format, expected: str) -> None:
    assert rendered([Segment(start=0, end=2, text=HOSTILE, words=[])], format) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(0, "00:00:00,000", id="zero"),
        pytest.param(59.9996, "00:01:00,000", id="rounded-up"),
        pytest.param(3723.0455, "01:02:03,046", id="all-parts"),
        pytest.param(360_000.5, "100:00:00,500", id="hundred-hours"),
    ],
)
def test_clock(seconds: float, expected: str) -> None:
    assert clock(seconds, ",") == expected


def read(text: str, format: str) -> list[tuple[int, int, list[str]]]:
    """Start, end (milliseconds) and lines of each caption, as webvtt-py reads them, which refuses an empty SRT file."""
    if text == "":
        return []
    cues = webvtt.from_buffer(StringIO(text), format=format, strict=format == "vtt").captions
    return [(cue.start_time.in_milliseconds(), cue.end_time.in_milliseconds(), cue.lines) for cue in cues]


def assert_readable(segments: list[Segment]) -> None:
    srt, vtt = read(rendered(segments, Format.SRT), "srt"), read(rendered(segments, Format.VTT), "vtt")
    if all(segment.speaker is None for segment in segments):
        assert [(start, end) for start, end, _ in srt] == [(start, end) for start, end, _ in vtt]
    for cues in (srt, vtt):
        assert all(start < end for start, end, _ in cues)
        assert all(before_end <= start for (_, before_end, _), (start, _, _) in pairwise(cues))
        assert all(1 <= len(lines) <= 2 for _, _, lines in cues)


@given(SPEECH | CHINESE)
def test_an_independent_reader_takes_every_caption(segments: list[Segment]) -> None:
    stitched = stitch([segments])
    assert_readable(stitched)
    texts = [word.text for segment in segments for word in segment.words]
    for format in (Format.SRT, Format.VTT):
        lines = [line for _, _, lines in read(rendered(stitched, format), format) for line in lines]
        assert "".join(lines).replace(" ", "") == "".join(texts)


@given(CONVERSATION)
def test_an_independent_reader_knows_who_speaks(segments: list[Segment]) -> None:
    """Of each cue of WebVTT, and in SubRip from the name before what follows another speaker's cue."""
    stitched = stitch([segments])
    assert_readable(stitched)
    spoken_by = [
        (segment.speaker, character)
        for segment in stitched
        for character in "".join(word.text for word in segment.words)
        if segment.words
    ]
    cues = webvtt.from_buffer(StringIO(rendered(stitched, Format.VTT)), format="vtt", strict=True).captions
    voices = [(unescape(cue.voice) if cue.voice else None, unescape(cue.text)) for cue in cues]
    assert [(voice, c) for voice, text in voices for c in "".join(text.split())] == spoken_by
    lines = [" ".join(lines) for _, _, lines in read(rendered(stitched, Format.SRT), "srt")]
    turns = [speaker for speaker, _ in groupby(spoken_by, key=itemgetter(0))]
    names = [f"{speaker}: ".replace("-->", "→") for speaker in turns if speaker]
    labels = [line for line in lines if any(line.startswith(name) for name in names)]
    assert [label.startswith(name) for label, name in zip(labels, names, strict=True)] == [True] * len(names)


@given(ANYTHING)
def test_anything_can_be_written_and_read(segments: list[Segment]) -> None:
    assert_readable(segments)
    texts = [segment["text"] for segment in json.loads(rendered(segments, Format.JSON))["segments"]]
    rows = [row.split("\t") for row in rendered(segments, Format.TSV).split("\n")[1:-1]]
    assert [text for _, _, text, *_ in rows] == texts
    assert all(0 <= int(start) <= int(end) for start, end, *_ in rows)
    nameless = [segment.model_copy(update={"speaker": None}) for segment in segments]
    paragraphs = rendered(nameless, Format.TXT).split("\n")
    texts = [segment["text"] for segment in json.loads(rendered(nameless, Format.JSON))["segments"]]
    assert "".join("".join(paragraphs).split()) == "".join("".join(texts).split())


@pytest.mark.parametrize("format", [Format.SRT, Format.VTT])
def test_ffmpeg_reads_the_captions(format: Format, tmp_path: Path) -> None:
    source = tmp_path / f"captions.{format}"
    source.write_bytes(render(transcript(SPOKEN), format))
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", source, "-f", "srt", "-"]
    written = subprocess.run(command, capture_output=True, check=True).stdout.decode().replace("\r", "")
    assert written.strip() == rendered(SPOKEN, Format.SRT).strip()
