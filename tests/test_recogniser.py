"""The real model on real speech, and what is heard in which pass."""

import re
import wave
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import _pywhispercpp as whisper
import numpy as np
import pytest

from chalicelib.jobs import Guard
from chalicelib.languages import CODES
from chalicelib.transcript import Chunk, Segment, Span
from container import catalogue, weights, whispercpp
from container import recogniser as module
from container import whisper as own
from container.alignment import Token
from container.binary import MalformedFile
from container.catalogue import ModelError
from container.cutting import cut
from container.engine import Request, Samples
from container.guards import ALL
from container.media import decode
from container.recogniser import PLAIN, Recogniser, head
from container.vad import SpeechDetector
from container.whispercpp import WhisperCpp
from tests.media_files import ffmpeg

RATE = 16_000
SENTENCE = "And so my fellow Americans ask not what your country can do for you ask what you can do for your country."


@pytest.fixture(scope="module", params=["whisper", "whisper.cpp"])
def recogniser(request: pytest.FixtureRequest, models_dir: Path) -> Recogniser:
    """By networks of our own, as small models are heard, and by whisper.cpp, as large ones are."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "whisper.cpp":
            patch.setattr(module, "LARGEST", 0)
        return Recogniser(catalogue.path("tiny.en", models_dir))


def heard(
    recogniser: Recogniser,
    audio: Samples,
    chunk: Chunk | None = None,
    request: Request = PLAIN,
    guards: Collection[Guard] = ALL,
) -> list[Segment]:
    """What is said in a chunk, or else in all of an audio."""
    (found,) = recogniser.transcribe([(audio, chunk or whole(audio))], request, guards)
    return found


@pytest.fixture(scope="module")
def kennedy(jfk: Path) -> Samples:
    with wave.open(str(jfk)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / np.float32(32768)


def whole(audio: Samples) -> Chunk:
    seconds = len(audio) / RATE
    return Chunk(start=0, end=seconds, speech=[Span(start=0, end=seconds)])


def text(found: list[Segment]) -> str:
    return " ".join(segment.text for segment in found)


def plain(found: list[Segment]) -> str:
    """Without commas, of which nobody is sure."""
    return text(found).replace(",", "")


class TestRecogniser:
    def test_a_sentence_word_for_word(self, recogniser: Recogniser, kennedy: Samples) -> None:
        found = heard(recogniser, kennedy)
        assert plain(found) == SENTENCE
        words = [word for segment in found for word in segment.words]
        assert "".join(word.text for word in words).strip() == text(found)
        assert min(word.probability for word in words) > 0.3

    @pytest.mark.parametrize("decibels", [-20, -40])
    def test_a_faint_sentence(self, recogniser: Recogniser, kennedy: Samples, decibels: int) -> None:
        faint = (kennedy * 32768 * 10 ** (decibels / 20)).astype(np.int16).astype(np.float32) / np.float32(32768)
        assert plain(heard(recogniser, faint)) == SENTENCE

    def test_looped_speech(self, recogniser: Recogniser, kennedy: Samples, models_dir: Path) -> None:
        """Four rounds with silences between, of which little is heard: every sentence once, its times those of the
        sound, shifted by rounds.
        """
        silence = np.zeros(5 * RATE, np.float32)
        audio = np.concatenate([part for _ in range(4) for part in (silence, kennedy)])
        detector = SpeechDetector(catalogue.path(catalogue.VAD, models_dir))
        detector.feed((audio * 32767).astype(np.int16))
        chunks = cut(detector.finish())
        assert len(chunks) == 2
        segments = []
        for chunk in chunks:
            samples = audio[round(chunk.start * RATE) : round(chunk.end * RATE)]
            segments += heard(recogniser, samples, chunk)
        assert plain(segments) == " ".join([SENTENCE] * 4)
        row = [word for segment in segments for word in segment.words]
        for index in range(4):
            words = {word.text.strip(): word for word in row[22 * index : 22 * index + 22]}
            start = 16 * index + 5
            assert words["And"].start == pytest.approx(start + 0.32, abs=0.1)
            assert words["Americans"].end == pytest.approx(start + 2.27, abs=0.2)
            assert words["ask"].start == pytest.approx(start + 8.2, abs=0.3)
            assert words["country."].end == pytest.approx(start + 10.5, abs=0.25)

    @pytest.mark.parametrize("suffix", ["wav", "mp3", "m4a"])
    def test_the_last_word_before_a_pause_stays_there(
        self, recogniser: Recogniser, jfk: Path, tmp_path: Path, models_dir: Path, suffix: str
    ) -> None:
        """The pause between "for you" and "ask" is from 7.60 to 8.15 s."""
        path = tmp_path / f"jfk.{suffix}"
        ffmpeg("-i", jfk, path)
        samples = np.concatenate(list(decode(str(path))))
        detector = SpeechDetector(catalogue.path(catalogue.VAD, models_dir))
        detector.feed(samples)
        (chunk,) = cut(detector.finish())
        audio = samples[round(chunk.start * RATE) : round(chunk.end * RATE)].astype(np.float32) / np.float32(32768)
        words = [word for segment in heard(recogniser, audio, chunk) for word in segment.words]
        assert [word.text.rstrip(",") for word in words[12:15]] == [" for", " you", " ask"]
        times = [time for word in words[12:15] for time in (word.start, word.end)]
        assert times == pytest.approx([6.95, 7.2, 7.2, 7.63, 8.19, 8.6], abs=0.12)
        assert min(word.end - word.start for word in words) > 0.1

    def test_words_are_in_order_and_inside_speech(self, recogniser: Recogniser, kennedy: Samples) -> None:
        spans = [(100.3, 102.3), (103.3, 104.4), (105.4, 107.7), (108.1, 110.6)]
        chunk = Chunk(start=100.0, end=111.0, speech=[Span(start=start, end=end) for start, end in spans])
        words = [word for segment in heard(recogniser, kennedy, chunk) for word in segment.words]
        assert all(a.end <= b.start and a.start <= a.end for a, b in pairwise(words))
        assert all(any(s.start <= w.start <= w.end <= s.end for s in chunk.speech) for w in words)
        assert {chunk.speech[0].start, chunk.speech[2].start, chunk.speech[3].start} <= {word.start for word in words}

    def test_nothing_sticks_from_call_to_call(self, recogniser: Recogniser, kennedy: Samples) -> None:
        before = heard(recogniser, kennedy)
        short = kennedy[: 2 * RATE]
        heard(recogniser, short, request=Request(translate=True, prompt="Zanzibar, Ouagadougou."))
        assert heard(recogniser, kennedy) == before

    def test_what_was_said_before_leads(self, recogniser: Recogniser, kennedy: Samples) -> None:
        """Where that is made use of: of whisper.cpp's models none was measured."""
        said = "my fellow AMERICANS. Your COUNTRY. My fellow AMERICANS."
        before = [[Segment(start=0, end=2, text=said, words=[])], []]
        led, bare = recogniser.transcribe([(kennedy, whole(kennedy))] * 2, before=before)
        assert text(led) == text(bare), "as long as the shortest"
        assert plain(bare) == SENTENCE
        (led,) = recogniser.transcribe([(kennedy, whole(kennedy))], before=before[:1])
        assert ("you. Ask" in text(led)) == isinstance(recogniser._engine, own.Whisper)

    def test_only_the_end_of_what_was_said_before_leads(self, models_dir: Path) -> None:
        """After what was asked for, and not at all if there is no more room."""
        engine = own.Whisper(catalogue.path("tiny.en", models_dir), 1)
        asked, said = "Zanzibar", " ".join(str(number) for number in range(1000, 1300))
        words = engine._words
        (prompt,) = engine._prompts(asked, [said])
        assert prompt == [*words.tokens(asked), *words.tokens(f" {said}")[-own.BEFORE :]]
        (prompt,) = engine._prompts(said, ["Two."])
        assert prompt == words.tokens(said)[-engine._network.longest_prompt :]

    def test_nothing_is_left_out_of_what_is_said_again_and_again(
        self, recogniser: Recogniser, kennedy: Samples, models_dir: Path
    ) -> None:
        """A model that is led by what it has just heard may take it for said."""
        audio = np.concatenate([kennedy, np.zeros(RATE, np.float32)] * 12)
        detector = SpeechDetector(catalogue.path(catalogue.VAD, models_dir))
        detector.feed((audio * 32767).astype(np.int16))
        chunks = cut(detector.finish())
        found: list[list[Segment]] = []
        for chunk in chunks:
            sound = audio[round(chunk.start * RATE) : round(chunk.end * RATE)]
            found += recogniser.transcribe([(sound, chunk)], before=found[-1:])
        said = plain([segment for segments in found for segment in segments]).lower()
        assert [said.count(part) for part in ("and so my", "ask not what", "ask what you")] == [12] * 3

    def test_the_prompt_teaches_spelling(self, recogniser: Recogniser, kennedy: Samples) -> None:
        found = heard(recogniser, kennedy, request=Request(prompt="my fellow AMERICANS, your COUNTRY"))
        assert plain(found) != SENTENCE
        assert plain(found).casefold().rstrip(".") == SENTENCE.casefold().rstrip(".")

    def test_every_pass_is_told_the_language_and_the_prompt(self) -> None:
        """Of the sound that was not heard to its end there are two, of the other, which is heard with it, one; if they
        are led, which both must be by something punctuated, what leaves something out counts for nothing.
        """
        told: list[tuple[list[float], Request, list[str]]] = []

        class Tired:
            led = True

            def hear(self, sounds: Sequence[Samples], request: Request, before: list[str]) -> list[list[Token]]:
                told.append(([len(sound) / RATE for sound in sounds], request, before))
                return [[Token(b" one", 1.0, 2.0), Token(b" more", 1.0, 3.5), Token(b" time", 1.0, 5.0)]] * len(sounds)

        recogniser = object.__new__(Recogniser)
        recogniser._engine = Tired()  # type: ignore[assignment]
        long, short = np.zeros(11 * RATE, np.float32), np.zeros(5 * RATE, np.float32)
        request = Request("de", translate=True, prompt="Kiesgrube")
        expected = replace(request, attempts=False)
        said = [Segment(start=0, end=2, text=text, words=[]) for text in ("One.", "Two.", "three")]
        pieces = [(long, whole(long)), (short, whole(short))]
        for before, led in (
            ([said[:2], said[2:]], False),
            ([said[:2], said[:1]], True),
            ([[], []], False),
            ([], False),
        ):
            found = recogniser.transcribe(pieces, request, guards=(), before=before)
            assert [text(each) for each in found] == ["one more time one more time", "one more time"]
            if led:
                assert told.pop(0) == ([11.0, 5.0], expected, ["One. Two.", "One."])
            rest = [([6.0], expected, [""])]
            assert told == ([([11.0], expected, [""]), *rest] if led else [([11.0, 5.0], expected, ["", ""]), *rest])
            told.clear()

    @pytest.mark.parametrize(
        ("led", "unled", "expected"),
        [
            (b"", b" Yes.", "Yes."),
            (b" Yes.", b" No.", "Yes."),
            (b" Yes, and more.", b"", "Yes, and more."),
            (b" Yes, and more.", b" No.", "No."),
        ],
    )
    def test_what_is_led_and_leaves_something_out_is_heard_anew(self, led: bytes, unled: bytes, expected: str) -> None:
        """Also a word that is too short to be missed; of "more" the seconds after it are missed."""

        class Led:
            led = True

            def hear(self, sounds: Sequence[Samples], *_: object) -> list[list[Token]]:
                said = answers.pop(0) if answers else b""
                return [[Token(said, 1.0, 1.0)] if said else []] * len(sounds)

        answers = [led, unled]
        recogniser = object.__new__(Recogniser)
        recogniser._engine = Led()  # type: ignore[assignment]
        sound = np.zeros((4 if b"more" in led else 1) * RATE, np.float32)
        said = [Segment(start=0, end=2, text="Yes.", words=[])]
        (found,) = recogniser.transcribe([(sound, whole(sound))], before=[said])
        assert text(found) == expected

    @pytest.mark.parametrize(
        ("last", "expected"),
        [
            *(
                (word, ["one two.", "left out.", word.strip()])
                for word in (" three", " I'm", " well-known", " “three”")
            ),
            *((word, ["one two.", word.strip()]) for word in (" 333", " w.b", " M-I")),
        ],
    )
    def test_what_was_left_out_between_words_is_heard_in_another_pass(self, last: str, expected: list[str]) -> None:
        lengths: list[float] = []

        class Skips:
            def hear(self, sounds: Sequence[Samples], *_: Any) -> list[list[Token]]:
                (length,) = (len(sound) / RATE for sound in sounds)
                lengths.append(length)
                if length == 11:
                    ends = zip((" one", " two", ".", last), (1.0, 2.0, 2.0, 9.9), strict=True)
                else:
                    ends = zip((" left", " out", "."), (1.5, 2.5, 2.6), strict=True)
                return [[Token(text.encode(), 1.0, end) for text, end in ends]]

        recogniser = object.__new__(Recogniser)
        recogniser._engine = Skips()  # type: ignore[assignment]
        spans = [Span(start=50 + start, end=50 + end) for start, end in ((0.5, 2.0), (4.0, 6.5), (9.0, 10.0))]
        chunk = Chunk(start=50, end=61, speech=spans)
        (found,) = recogniser.transcribe([(np.zeros(11 * RATE, np.float32), chunk)])
        assert [segment.text for segment in found] == expected
        assert lengths == [11.0, pytest.approx(2.9)][: len(expected) - 1]
        assert all(a.end <= b.start for a, b in pairwise(found))

    def test_only_the_ends_of_long_pauses_are_heard(self) -> None:
        """In the first pass, and in that of what was left out; the words' times are the sound's all the same."""
        sounds: list[Samples] = []
        passes = [[(" one.", 1.8), (" six.", 8.5)], [(" Two.", 2.1), (" Three.", 3.75)]]

        class Counts:
            def hear(self, given: Sequence[Samples], *_: Any) -> list[list[Token]]:
                sounds.extend(given)
                return [[Token(text.encode(), 1.0, end) for text, end in passes[len(sounds) - 1]]]

        recogniser = object.__new__(Recogniser)
        recogniser._engine = Counts()  # type: ignore[assignment]
        spans = [(10.5, 12.0), (42.0, 44.0), (60.0, 61.0), (80.0, 81.0)]
        chunk = Chunk(start=10, end=82, speech=[Span(start=start, end=end) for start, end in spans], pause=0.5)
        loudness = np.repeat(np.linspace(0.5, 0.6, 72 * 4, dtype=np.float32), RATE // 4)
        (found,) = recogniser.transcribe([(loudness, chunk)], guards=())
        heard = [(0, 2.25), (31.75, 34.25), (49.75, 51.25), (69.75, 72)], [(31.8, 34.25), (49.75, 51.2)]
        assert len(sounds) == len(heard)
        for sound, stretches in zip(sounds, heard, strict=True):
            parts = [loudness[round(start * RATE) : round(end * RATE)] for start, end in stretches]
            assert np.array_equal(sound, np.concatenate(parts))
        assert [(segment.text, segment.start, segment.end) for segment in found] == [
            ("one.", 10.5, 12.0),
            ("Two.", 42.0, 44.0),
            ("Three.", 60.0, 61.0),
            ("six.", 80.0, 81.0),
        ]

    def test_what_is_not_heard_keeps_nothing_faint(self) -> None:
        """A door slams in a pause: what is said softly is raised all the same, also to tell the language."""
        heard: list[Samples] = []

        class Listens:
            def hear(self, given: Sequence[Samples], *_: Any) -> list[list[Token]]:
                heard.extend(given)
                return [[] for _ in given]

            def detect_language(self, sound: Samples) -> tuple[str, float]:
                heard.append(sound)
                return "fr", 0.8

        recogniser = object.__new__(Recogniser)
        recogniser._engine, recogniser.multilingual = Listens(), True  # type: ignore[assignment]
        audio = np.full(60 * RATE, 0.001, np.float32)
        audio[30 * RATE : 31 * RATE] = 0.5
        chunk = Chunk(start=5, end=65, speech=[Span(start=5, end=6), Span(start=60, end=64)], pause=1)
        assert recogniser.detect_language(audio, chunk) == ("fr", 0.8)
        recogniser.transcribe([(audio, chunk)])
        for sound in heard:
            assert len(sound) == 7 * RATE
            assert sound == pytest.approx(10 ** (-25 / 20), rel=0.01)

    def test_what_is_heard_again_is_not_searched_for_gaps(self) -> None:
        """However often the same word is heard at the end of what nobody understands."""
        lengths: list[float] = []

        class Sighs:
            def hear(self, sounds: Sequence[Samples], *_: Any) -> list[list[Token]]:
                lengths.extend(len(sound) / RATE for sound in sounds)
                return [[Token(b" Oh", 1.0, len(sound) / RATE - 0.2)] for sound in sounds]

        recogniser = object.__new__(Recogniser)
        recogniser._engine = Sighs()  # type: ignore[assignment]
        spans = [Span(start=start, end=start + 0.9) for start in range(29)]
        for speech in ([Span(start=0, end=29)], spans):
            lengths.clear()
            recogniser.transcribe([(np.zeros(29 * RATE, np.float32), Chunk(start=0, end=29, speech=speech))])
            assert len(lengths) == 2
            assert sum(lengths) < 2 * 29

    def test_passes_are_bounded_where_only_the_middle_is_understood(self) -> None:
        lengths: list[float] = []

        class Halves:
            def hear(self, sounds: Sequence[Samples], *_: Any) -> list[list[Token]]:
                lengths.extend(len(sound) / RATE for sound in sounds)
                return [[Token(b" Oh", 1.0, len(sound) / RATE / 2)] for sound in sounds]

        recogniser = object.__new__(Recogniser)
        recogniser._engine = Halves()  # type: ignore[assignment]
        recogniser.transcribe([(np.zeros(29 * RATE, np.float32), whole(np.zeros(29 * RATE, np.float32)))])
        assert 29 < sum(lengths) < 4 * 29

    def test_pieces_that_need_more_passes_go_on_without_the_others(self) -> None:
        """With two gaps, one of them before all words, and a rest."""
        heard: list[int] = []

        class Skips:
            def hear(self, sounds: Sequence[Samples], *_: Any) -> list[list[Token]]:
                heard.append(len(sounds))
                ends = {20: (4.9, 9.9, 14.9), 10: (9.9,)}
                return [
                    [
                        Token(b" word", 1.0, end)
                        for end in ends.get(round(len(sound) / RATE), (len(sound) / RATE - 0.1,))
                    ]
                    for sound in sounds
                ]

        recogniser = object.__new__(Recogniser)
        recogniser._engine = Skips()  # type: ignore[assignment]
        spans = [Span(start=start, end=start + 2.0) for start in (0.0, 3.0, 6.0, 8.0, 13.0, 17.0)]
        long = np.zeros(20 * RATE, np.float32), Chunk(start=0, end=20, speech=spans)
        short = np.zeros(10 * RATE, np.float32), Chunk(start=0, end=10, speech=[Span(start=8.0, end=10.0)])
        first, second = recogniser.transcribe([long, short])
        words = [word for segment in first for word in segment.words]
        assert len(words) == 6
        assert [word.start for word in words] == sorted(word.start for word in words)
        assert all(any(span.start <= word.start and word.end <= span.end for span in spans) for word in words)
        assert [segment.text for segment in second] == ["word"]
        assert heard == [2, 1, 1, 1]

    def test_what_finds_no_room_is_heard_in_another_pass(
        self, recogniser: Recogniser, kennedy: Samples, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(own, "most_tokens", lambda _seconds: 14)
        monkeypatch.setattr(whispercpp, "most_tokens", lambda _seconds: 8)
        chunk = Chunk(start=0, end=11, speech=[Span(start=0.3, end=10.6)])
        assert plain(heard(recogniser, kennedy, chunk)).casefold().rstrip(".") == SENTENCE.casefold().rstrip(".")

    def test_sounds_heard_together_are_kept_apart(self, recogniser: Recogniser, kennedy: Samples) -> None:
        silence = np.zeros(4 * RATE, np.float32)
        pieces = [kennedy[: 8 * RATE], kennedy, np.concatenate([kennedy, silence])]
        found = recogniser.transcribe([(audio, whole(audio)) for audio in pieces])
        assert [plain(each) for each in found[1:]] == [SENTENCE] * 2
        assert SENTENCE.startswith(plain(found[0]).rstrip(".") + " ask")
        for one, other in zip(found[1], found[2], strict=True):
            assert other.start == pytest.approx(one.start, abs=0.5)

    @pytest.mark.parametrize(("start", "end"), [(0.0, 2.5), (0.0, 2.9), (0.0, 3.2), (0.1, 2.5)])
    def test_a_few_words(
        self, recogniser: Recogniser, kennedy: Samples, models_dir: Path, start: float, end: float
    ) -> None:
        audio = kennedy[round(start * RATE) : round(end * RATE)]
        detector = SpeechDetector(catalogue.path(catalogue.VAD, models_dir))
        detector.feed((audio * 32768).astype(np.int16))
        (chunk,) = cut(detector.finish())
        found = heard(recogniser, audio[round(chunk.start * RATE) : round(chunk.end * RATE)], chunk)
        # With silence up to 30 s after it, as Whisper was trained, tiny.en hears "am I" each time.
        assert re.fullmatch("and so (my|am i) fellow americans", text(found).strip(".").casefold())

    def test_a_moment_of_sound(self, recogniser: Recogniser, kennedy: Samples) -> None:
        for samples in (160, 800, 4_000):
            audio = kennedy[6_000 : 6_000 + samples]
            found = heard(recogniser, audio)
            assert all(0 <= s.start <= s.end <= samples / RATE for s in found)

    def test_no_speech_no_text(self, recogniser: Recogniser) -> None:
        audio = np.zeros(10 * RATE, np.float32)
        assert heard(recogniser, audio, Chunk(start=0, end=10, speech=[])) == []

    def test_an_english_model(self, recogniser: Recogniser, kennedy: Samples) -> None:
        assert not recogniser.multilingual
        assert recogniser.detect_language(kennedy, Chunk(start=0, end=11, speech=[])) == ("en", 1.0)

    def test_languages_are_those_of_whisper(self) -> None:
        known = [whisper.whisper_lang_str(index) for index in range(whisper.whisper_lang_max_id() + 1)]
        assert (len(known), set(known)) == (100, set(CODES))

    def test_a_file_that_is_no_model(self, tmp_path: Path) -> None:
        path = tmp_path / "ggml-odd.bin"
        with pytest.raises(ModelError, match=r"The model ggml-odd\.bin is not installed\."):
            Recogniser(path)
        path.write_bytes(b"GGUF" + bytes(100))
        with pytest.raises(ModelError, match=r"The model ggml-odd\.bin is damaged\."):
            Recogniser(path)

    @pytest.mark.parametrize("kept", [0.5, -1000])
    def test_a_larger_model_that_ends_early(self, models_dir: Path, tmp_path: Path, kept: float) -> None:
        """whisper.cpp would end Python, or take it for whole."""
        path, whole = tmp_path / "ggml-odd.bin", catalogue.path("tiny.en", models_dir).read_bytes()
        path.write_bytes(whole[: int(kept * len(whole)) if kept > 0 else int(kept)])
        model, filters = head(path)
        with pytest.raises(MalformedFile, match="it ends in the middle"):
            WhisperCpp(path, model, filters, 1)

    def test_a_model_with_other_mel_filters(self, models_dir: Path, tmp_path: Path) -> None:
        """whisper.cpp would write them beyond its memory."""
        model = bytearray(catalogue.path("tiny.en", models_dir).read_bytes())
        model[48:52] = (79).to_bytes(4, "little")
        (tmp_path / "ggml-odd.bin").write_bytes(model)
        with pytest.raises(ModelError, match="mel filters have the wrong size"):
            Recogniser(tmp_path / "ggml-odd.bin")


@pytest.mark.parametrize("model", ["tiny.en", "base"])
def test_networks_of_our_own_hear_what_whisper_cpp_hears(
    model: str, models_dir: Path, kennedy: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = weights.install(model, models_dir, lambda *_: None)
    ours_alone = Recogniser(path)
    monkeypatch.setattr(module, "LARGEST", 0)
    theirs = Recogniser(path)
    assert type(ours_alone._engine) is not type(theirs._engine)
    spans = [(0.35, 2.24), (3.3, 3.84), (3.97, 4.42), (5.41, 7.65), (8.19, 10.59)]
    chunk = Chunk(start=0, end=11, speech=[Span(start=start, end=end) for start, end in spans])
    ours, expected = (heard(each, kennedy, chunk) for each in (ours_alone, theirs))
    assert plain(ours) == plain(expected)
    words, expected_words = ([word for segment in found for word in segment.words] for found in (ours, expected))
    # Theirs are of what the decoder attends to when it reads all words again, ours of when it finds them.
    far = [
        max(abs(word.start - other.start), abs(word.end - other.end))
        for word, other in zip(words, expected_words, strict=True)
    ]
    assert sum(far) / len(far) <= 0.08
    assert max(far) <= 0.3
    if model == "base":
        told = (each.detect_language(kennedy, chunk) for each in (ours_alone, theirs))
        languages, probabilities = zip(*told, strict=True)
        assert languages == ("en", "en")
        assert probabilities[0] == pytest.approx(probabilities[1], abs=0.02)
