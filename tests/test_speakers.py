"""Speakers told apart by their voices: the clustering, and the model where it is installed."""

import json
import math
import pickle
import wave
import zipfile
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.jobs import Options
from chalicelib.transcript import Segment, Span, Voice
from container import campplus, catalogue, checkpoint, weights
from container.binary import MalformedFile
from container.campplus import FRAMES, MELS, SIZE
from container.diarization import MOST_COMPARED, cluster, label
from container.media import RATE, decode
from container.onnx import Graph
from container.packages import extract, fetch_package
from container.voices import STEP, WINDOW, Voices, features, windows
from tests.spoken import SPEECH, spoken
from tests.stepped import transcribed

OTHER_SHA256 = "8b97369347232d43180dd9860189c547ccc8dedb42b7c21d511ddc5a05ef7ecc"


def voices(speakers: list[int], noise: float = 0.7, seed: int = 0) -> list[Voice]:
    """A voice a second: speakers have orthogonal vectors, to which `noise` of other directions is added."""
    random = np.random.default_rng(seed)
    found = []
    for second, speaker in enumerate(speakers):
        vector = np.eye(SIZE)[speaker] + noise * random.standard_normal(SIZE) / math.sqrt(SIZE)
        found.append(Voice(start=second, end=second + 1, vector=(vector / np.linalg.norm(vector)).tolist()))
    return found


@pytest.mark.parametrize("speakers", [1, 2, 3, 5])
def test_as_many_speakers_are_found_as_there_are(speakers: int) -> None:
    turns = [(second // 3) % speakers for second in range(60)]
    assert cluster(voices(turns)) == turns


def test_speakers_are_numbered_as_they_appear() -> None:
    assert cluster(voices([4, 4, 4, 1, 1, 1, 4, 0, 0, 0])) == [0, 0, 0, 1, 1, 1, 0, 2, 2, 2]


def test_a_single_odd_voice_makes_no_speaker() -> None:
    assert set(cluster(voices([0] * 20 + [1] + [0] * 20))) == {0}


def test_few_voices_and_none() -> None:
    assert cluster([]) == []
    assert cluster(voices([3])) == [0]
    assert cluster(voices([0, 1])) == [0, 1]


def test_long_files_are_clustered_in_bounded_time() -> None:
    turns = [(second // 5) % 4 for second in range(5 * MOST_COMPARED)]
    assert cluster(voices(turns)) == turns


def test_segments_are_cut_where_the_speaker_changes() -> None:
    segment = spoken("Are you there? Yes, here", word_seconds=1.0)
    labelled = label([segment], voices([1, 1, 1, 0, 0]), [0, 0, 0, 1, 1])
    assert [(s.speaker, s.text, s.start, s.end) for s in labelled] == [
        ("Speaker 1", "Are you there?", 0, 3),
        ("Speaker 2", "Yes, here", 3, 5),
    ]


def test_words_as_they_are_heard_are_cut_apart_too() -> None:
    """With their spaces, which texts do not begin with."""
    heard = spoken("Are you there? Yes, here", word_seconds=1.0)
    spaced = [word.model_copy(update={"text": f" {word.text}"}) for word in heard.words]
    labelled = label([Segment.of(spaced)], voices([1, 1, 1, 0, 0]), [0, 0, 0, 1, 1])
    assert [(s.speaker, s.text) for s in labelled] == [("Speaker 1", "Are you there?"), ("Speaker 2", "Yes, here")]


def test_without_voices_nobody_is_named() -> None:
    assert label([spoken("Yes.")], [], []) == [spoken("Yes.")]


@given(SPEECH, st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_no_word_is_lost_by_naming(segments: list[Segment], speakers: list[int]) -> None:
    labelled = label(segments, voices(speakers), speakers)
    assert [word for segment in labelled for word in segment.words] == [w for s in segments for w in s.words]
    assert all(segment.speaker in {f"Speaker {number + 1}" for number in speakers} for segment in labelled)


@given(st.lists(st.tuples(st.floats(0.05, 3), st.floats(0.1, 9)), max_size=8))
def test_all_speech_that_tells_something_is_heard(pauses_and_lengths: list[tuple[float, float]]) -> None:
    spans, time = [], 0.0
    for pause, length in pauses_and_lengths:
        spans.append(Span(start=time + pause, end=time + pause + length))
        time = spans[-1].end
    heard = list(windows(spans))
    assert all(before.start < after.start for before, after in pairwise(heard))
    assert all(0.29 < span.end - span.start <= WINDOW / RATE + 1e-9 for span in heard)
    for span in spans:
        if span.end - span.start >= STEP:
            middle = (span.start + span.end) / 2
            assert any(window.start <= middle + STEP and window.end >= middle - STEP for window in heard)


def test_mel_bands_tell_the_pitch() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(WINDOW) / RATE).astype(np.float32)
    found = features(tone)
    assert found.shape == (FRAMES, MELS)
    # 1 kHz is 1000 mel; the bands are 34.6 mel apart from 31.7 on.
    assert set(np.argmax(found, axis=1)) <= {26, 27, 28}


def test_a_graph_is_computed_as_written(tmp_path: Path) -> None:
    graph = Graph(13)
    kernel = graph.constant(np.array([[[1.0, -1.0]]], np.float32))
    result = graph.add("Relu", graph.add("Conv", "x", kernel, kernel_shape=[2], pads=[0, 1]))
    (tmp_path / "graph.onnx").write_bytes(graph.model({"x": ["n", 1, 4]}, {result: ["n", 1, 4]}))
    session = onnxruntime.InferenceSession(str(tmp_path / "graph.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": np.array([[[5, 2, 3, 1]]], np.float32)})
    assert found.tolist() == [[[3.0, 0.0, 2.0, 1.0]]]


@pytest.fixture(scope="session")
def another_voice(samples_dir: Path) -> list[Path]:
    """Clips of 7 seconds together, which somebody else than Kennedy says."""
    wheel = fetch_package("pytest-audioeval==0.1.3", OTHER_SHA256, samples_dir)
    clips = [samples_dir / name for name in ("quick_brown_fox.wav", "counting.wav", "hello_world.wav")]
    for clip in clips:
        extract([wheel], [f"pytest_audioeval/samples/audio/en/{clip.name}"], clip)
    return clips


def test_a_dialogue_is_labelled(tmp_path: Path, voices_dir: Path, jfk: Path, another_voice: list[Path]) -> None:
    """Kennedy, somebody else, and Kennedy again."""
    speech = [np.concatenate(list(decode(str(source)))) for source in (jfk, *another_voice, jfk)]
    with wave.open(str(tmp_path / "dialogue.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", "NONE"))
        file.writeframes(np.concatenate(speech).tobytes())
    options = Options(model="tiny.en", diarize=True)
    result = transcribed(tmp_path / "dialogue.wav", tmp_path / "data", voices_dir, options)
    segments = json.loads(result.texts["json"])["segments"]
    turns = [list(turn) for _, turn in groupby(segments, key=itemgetter("speaker"))]
    assert [turn[0]["speaker"] for turn in turns] == ["Speaker 1", "Speaker 2", "Speaker 1"]
    assert [turn[0]["start"] for turn in turns] == pytest.approx([0.3, 11.1, 18.3], abs=0.5)
    assert result.texts["txt"].count("Speaker 2: ") == result.texts["srt"].count("Speaker 2: ") == 1
    assert "<v Speaker 2>" in result.texts["vtt"]


def test_the_installed_model_is_verified(voices_dir: Path) -> None:
    weights.verify(catalogue.VOICES, voices_dir)


@pytest.mark.parametrize("kept", [0, 100_000])
def test_an_installed_model_that_is_damaged_says_so(tmp_path: Path, voices_dir: Path, kept: int) -> None:
    file = tmp_path / catalogue.VOICES_FILE
    file.write_bytes((voices_dir / file.name).read_bytes()[:kept])
    with pytest.raises(catalogue.ModelError, match=rf"The model 'speakers' is damaged\..* Delete {file} and install"):
        Voices(file)


class Malice:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("1 / 0",)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Malice()))
    with pytest.raises(MalformedFile, match=r"evil.pt is not a checkpoint of PyTorch \(builtins.eval has no place"):
        checkpoint.tensors(tmp_path / "evil.pt")
    (tmp_path / "text.pt").write_text("nothing")
    with pytest.raises(MalformedFile, match=r"text.pt is not a checkpoint of PyTorch"):
        checkpoint.tensors(tmp_path / "text.pt")


def test_a_checkpoint_without_its_weights_is_refused() -> None:
    with pytest.raises(MalformedFile, match=r"The checkpoint has no 'head.conv1.weight'"):
        campplus.onnx({})


def test_an_unknown_model_is_told_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(catalogue.ModelError, match=r"There is no model 'speaker'.*large-v3-turbo, speakers\."):
        weights.install("speaker", tmp_path, lambda *_: None)
