"""The benchmark's own arithmetic: what it calls right, wrong and in time."""

from pathlib import Path

import numpy as np
import pytest

from bench import chunking, differing, guards, publishing, report, scoring, tracks
from bench.heard import Heard, Timed
from bench.programs import cli_words
from bench.report import Score
from bench.results import Result, Store
from bench.tracks import Track, Utterance
from chalicelib.jobs import Guard
from container.cutting import cut, speech_spans
from container.vad import Activity


def timed(*words: tuple[float, float, str]) -> list[Timed]:
    return [Timed(start=start, end=end, text=text) for start, end, text in words]


class TestTimes:
    SAID = (Utterance(1.0, 2.0, "Please press one."), Utterance(4.0, 5.0, "Thank you, goodbye."))

    def test_starts_and_ends_are_compared_with_the_truth(self) -> None:
        heard = timed(
            *((1.1, 1.3, " please"), (1.3, 1.6, " press"), (1.6, 2.2, " one.")),
            *((4.3, 4.5, " Thank"), (4.5, 4.6, " you"), (4.6, 5.4, " goodbye")),
        )
        found = scoring.times(self.SAID, heard)
        assert found is not None
        assert [found.start, found.end] == pytest.approx([0.2, 0.3])
        assert (found.starts, found.ends) == (2, 2)

    def test_a_word_that_was_not_heard_has_no_time(self) -> None:
        heard = timed((1.0, 1.2, "please"), (1.6, 2.0, "one"), (4.5, 4.6, "you"), (4.6, 5.1, "goodbye"))
        found = scoring.times(self.SAID, heard)
        assert found is not None
        assert (found.starts, found.ends) == (1, 2)

    def test_nothing_heard(self) -> None:
        assert scoring.times(self.SAID, []) is None


def test_errors_are_counted_by_kind() -> None:
    errors = scoring.errors("one two three four", "one too three four five", str.lower)
    assert errors == scoring.Errors(4, 1, 0, 1)
    assert errors.rate == 0.5


def test_differences_are_told_apart() -> None:
    found = differing.compared(
        "a b c d e f g h i j k l", "a x c d e f g h i z k l", "a b c d e f g h i y k", "b", str.lower
    )
    assert found.splitlines() == [
        "only ours: 1",
        "  said:  a [ b ] c d e f",
        "  heard: a [ x ] c d e f",
        "only b: 1",
        "  said:  h i j k [ l ]",
        "  heard: h i y k [ ]",
        "both (as ours heard it): 1",
        "  said:  f g h i [ j ] k l",
        "  heard: f g h i [ z ] k l",
    ]


def test_tokens_of_whisper_cli_become_words() -> None:
    tokens: list[dict[str, object]] = [
        {"text": "[_BEG_]", "offsets": {"from": 0, "to": 0}},
        {"text": " Good", "offsets": {"from": 100, "to": 300}},
        {"text": "bye", "offsets": {"from": 300, "to": 500}},
        {"text": ".", "offsets": {"from": 500, "to": 600}},
        {"text": " Now", "offsets": {"from": 900, "to": 1200}},
        {"text": "[_TT_60]", "offsets": {"from": 1200, "to": 1200}},
    ]
    assert cli_words(tokens) == timed((0.1, 0.6, " Goodbye."), (0.9, 1.2, " Now"))


class TestTracks:
    def test_utterances_begin_and_end_where_they_are_heard(self) -> None:
        word = np.concatenate([np.zeros(8000), np.full(16000, 0.5), np.zeros(800)]).astype(np.float32)
        cut = tracks.trimmed(word)
        assert len(cut) == 400 + 16000 - 1 + 1600
        pause = np.zeros(8000, np.float32)
        sound, utterances = tracks.joined([(cut, "one", pause), (cut, "two", pause)])
        assert [utterance.text for utterance in utterances] == ["one", "two"]
        for utterance in utterances:
            first, last = round(utterance.start * 16000), round(utterance.end * 16000)
            assert sound[first - 1] == sound[last + 1] == 0
            assert sound[first] == sound[last] == 0.5

    def test_noise_is_as_faint_as_told(self) -> None:
        sound = np.full(160_000, 0.1, np.float32)
        noise = tracks.noised(sound, 10, 1) - sound
        assert 20 * np.log10(np.sqrt(np.mean(noise**2)) / 0.1) == pytest.approx(-10, abs=0.1)

    def test_every_prompt_has_a_text(self) -> None:
        lines = [line for line in tracks.TEXTS.read_text().splitlines() if not line.startswith("#")]
        assert len(lines) == 145
        assert all(len(line.split("\t")) == 2 for line in lines)

    def test_sound_without_text_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a.wav").write_bytes(b"")
        with pytest.raises(ValueError, match=r"with a \.txt of the same name"):
            tracks.own(tmp_path, tmp_path)


def scored(program: str, track: str, **figures: object) -> Score:
    told = {"words": 100, "audio_seconds": 600.0, "speech_seconds": 450.0, **figures}
    return Score.model_validate(
        {"program": program, "version": "1", "setting": "", "model": "tiny.en", "track": track, **told}
    )


class TestBounds:
    def test_a_rate_is_over_all_words(self) -> None:
        assert (
            report.rate([scored("ours", "clean-1", deleted=1), scored("ours", "clean-2", inserted=8, words=200)]) == 3
        )

    def test_each_is_kept_or_missed(self) -> None:
        found = [
            scored("ours", "clean-1", substituted=2, recognising=8, peak_bytes=2**20, start_error=0.1, end_error=0.3),
            scored("faster-whisper batched", "clean-1", substituted=2, recognising=10, peak_bytes=2**20),
            scored("faster-whisper vad", "clean-1", substituted=1),
            scored("whisper-cli", "clean-1", substituted=2, recognising=16),
        ]
        assert [(bound.text, bound.kept) for bound in report.bounds(found)] == [
            ("tiny.en, clean: WER in % below whisper-cli's", False),
            ("tiny.en, clean: WER in % of faster-whisper's best mode", False),
            ("tiny.en, clean: median start error in s", True),
            ("tiny.en, clean: median end error in s", False),
            ("tiny.en, clean: time as a share of faster-whisper batched's", False),
            ("tiny.en, clean: time as a share of whisper-cli's", True),
            ("tiny.en, clean: peak memory in MB, of faster-whisper's", True),
        ]

    def test_nothing_is_below_no_error_at_all(self) -> None:
        found = [scored("ours", "jfk"), scored("whisper-cli", "jfk")]
        assert [bound.kept for bound in report.bounds(found)] == [True]
        assert [bound.kept for bound in report.bounds([scored("ours", "jfk", deleted=1), found[1]])] == [False]

    def test_words_are_compared_on_tracks_that_both_heard(self) -> None:
        found = [
            scored("ours", "clean-1", substituted=2),
            scored("ours", "clean-2", substituted=6),
            scored("faster-whisper batched", "clean-1", substituted=3),
            scored("faster-whisper batched", "clean-2", substituted=7),
            scored("faster-whisper vad", "clean-2", substituted=5),
            scored("faster-whisper sequential", "clean-3"),
        ]
        (bound,) = report.bounds(found)
        assert (bound.ours, bound.limit, bound.kept) == (6, 5, False)
        (bound,) = report.bounds(found[:4])
        assert (bound.ours, bound.limit, bound.kept) == (4, 5, True)

    def test_what_was_not_run_now_is_completed_with_earlier_words(self) -> None:
        now = scored("ours", "clean-1", deleted=1, recognising=8, runs=1)
        earlier = [
            scored("ours", "clean-1", deleted=2),
            scored("ours", "clean-2", deleted=3, recognising=9, runs=1),
            scored("ours cut every minute", "clean-2", figures={"preparing": 1}),
        ]
        assert report.completed([now], earlier) == [now, scored("ours", "clean-2", deleted=3)]

    @pytest.mark.parametrize("words", [0, 1])
    def test_no_word_where_nobody_speaks(self, words: int) -> None:
        (bound,) = report.bounds([scored("ours", "songs", words=0, invented=words)])
        assert (bound.text, bound.ours, bound.kept) == ("tiny.en, songs: words", words, words == 0)

    def test_times_are_medians_of_the_runs_for_speed(self) -> None:
        def result(seconds: float, quiet: bool) -> Result:
            heard = Heard(text="yes", loading=1, recognising=seconds)
            return Result(
                program="ours",
                version="1",
                setting="",
                model="base",
                track="t",
                quiet=quiet,
                heard=heard,
                seconds=seconds + 1,
                cpu_seconds=2 * seconds,
                peak_bytes=100,
            )

        track = Track("t", Path("t.wav"), "yes no", 600)
        runs = [result(9, False), result(3, True), result(1, True), result(2, True)]
        found = report.score(runs, track, str.lower)
        assert (found.runs, found.recognising, found.wall, found.cpu, found.deleted) == (3, 2, 3, 4, 1)
        assert report.score(runs[:1], track, str.lower).recognising is None


class TestCutEveryMinute:
    # Speech all the time but for a pause of 0.64 s before every multiple of 6.4 s.
    ACTIVITY = Activity(np.tile(np.repeat([1, 0], [180, 20]).astype(np.float32), 25), np.zeros(5000, np.float32), 160.0)

    def test_at_the_nearest_pauses(self) -> None:
        cuts = chunking.at_pauses(speech_spans(self.ACTIVITY), self.ACTIVITY.duration)
        assert cuts == pytest.approx([9 * 6.4 - 0.32, 19 * 6.4 - 0.32])

    def test_at_the_second(self) -> None:
        assert chunking.minutes(160.0) == [60.0, 120.0]
        assert chunking.minutes(60.0) == []

    def test_no_chunk_reaches_over_a_cut_and_no_speech_is_lost(self) -> None:
        chunks = chunking.divided(self.ACTIVITY, chunking.minutes(160.0))
        assert all(int(chunk.start / 60) == int((chunk.end - 0.05) / 60) for chunk in chunks)
        heard = sum(span.end - span.start for chunk in chunks for span in chunk.speech)
        assert heard == pytest.approx(25 * 180 * 0.032)

    def test_a_whole_is_what_it_was(self) -> None:
        assert chunking.divided(self.ACTIVITY, []) == cut(self.ACTIVITY)


def test_results_are_found_again_until_something_changes(tmp_path: Path) -> None:
    sound, store = tmp_path / "a.wav", Store(tmp_path / "results")
    sound.write_bytes(b"sound")

    def file(version: str, setting: str, run: int) -> Path:
        return store.file("ours", version, setting, "base", sound, run)

    assert file("1", "q8_0", 0) == file("1", "q8_0", 0)
    assert len({file("1", "q8_0", 0), file("2", "q8_0", 0), file("1", "int8", 0), file("1", "q8_0", 1)}) == 4
    assert store.get(file("1", "q8_0", 0)) is None


def test_a_section_of_a_document_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    file.write_text("# A\n<!-- made by make bench -->\nold\n<!-- end of make bench -->\nrest\n")
    publishing.replace_section(file, "bench", "new")
    assert file.read_text() == "# A\n<!-- made by make bench -->\nnew\n<!-- end of make bench -->\nrest\n"
    with pytest.raises(ValueError, match="has no"):
        publishing.replace_section(file, "other", "new")


def test_each_guard_is_left_out_once() -> None:
    (_, every), *single, (_, none) = guards.settings()
    assert (set(every), set(none)) == (set(Guard), set())
    assert [set(Guard) - set(left) for _, left in single] == [{guard} for guard in Guard]
    assert [name for name, _ in single] == [f"without `{guard}`" for guard in Guard]
