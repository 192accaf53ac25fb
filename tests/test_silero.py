"""Silero's network as products of matrices against the network of its package."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from container import catalogue, silero
from container.binary import MalformedFile
from container.catalogue import ModelError
from container.onnx import Graph, constants
from container.silero import BANDS, CONTEXT, FRAME, STATE, WINDOW, Floats
from container.vad import SpeechDetector
from tests.test_speech import samples_of


@pytest.fixture(scope="module")
def original(models_dir: Path) -> bytes:
    return catalogue.path(catalogue.VAD, models_dir).read_bytes()


def test_it_hears_what_the_original_hears(original: bytes, jfk: Path) -> None:
    samples = samples_of(jfk).astype(np.float32) / 32768
    frames = np.lib.stride_tricks.sliding_window_view(samples, CONTEXT + FRAME)[::FRAME]
    state = np.random.default_rng(1).normal(0, 0.3, (2, 1, 1, STATE)).astype(np.float32)
    expected, found = (
        onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"]).run(
            None, {"input": frames, "h": state[0], "c": state[1]}
        )
        for network in (original, silero.onnx(original))
    )
    assert 0.3 < np.mean(expected[0] > 0.5) < 0.95
    assert found[0].shape == (len(frames), 1)
    assert np.allclose(found[0][:, 0], expected[0], atol=1e-5)
    for got, wanted in zip(found[1:], expected[1:], strict=True):
        assert np.allclose(got, wanted, atol=1e-3)


def test_constants_are_read_as_they_were_written() -> None:
    graph = Graph(17)
    whole, floats = np.arange(3), np.arange(600, dtype=np.float32).reshape(2, 300)
    names = graph.constant(whole), graph.constant(floats)
    result = graph.add("Gelu", "x", names[1], alpha=0.5, axes=[-1, 300])
    found = constants(graph.model({"x": ["n", 2]}, {result: ["n", 2]}))
    assert list(found) == [names[1]]
    assert np.array_equal(found[names[1]], floats)


@pytest.mark.parametrize("size", [0, 1, 100, 5_000, 600_000, 1_240_000])
def test_a_file_cut_off(original: bytes, size: int) -> None:
    with pytest.raises(MalformedFile, match=r"no ONNX file of weights|has no|not what they should be"):
        silero.onnx(original[:size])


def test_a_file_of_something_else() -> None:
    for file in (b"<html>no model</html>", bytes(1000), np.random.default_rng(1).bytes(1000)):
        with pytest.raises(MalformedFile, match="This is no ONNX file of weights"):
            constants(file)
    graph = Graph(17)
    graph.constant(np.ones(3, np.float32))
    with pytest.raises(MalformedFile, match=r"The voice activity model has no 'stft.forward_basis_buffer'\."):
        silero.onnx(graph.model({}, {}))


@pytest.mark.parametrize(
    "changed",
    [
        lambda basis: np.roll(basis, 1, axis=2),
        lambda basis: np.concatenate([basis[BANDS:], basis[:BANDS]]),
        lambda basis: np.concatenate([basis[:BANDS], np.abs(basis[BANDS:])]),
        lambda basis: np.concatenate([basis[:BANDS] * np.arange(WINDOW), basis[BANDS:]]),
        lambda basis: np.where(np.arange(WINDOW) == 0, 1, basis),
    ],
)
def test_a_file_with_another_transform(original: bytes, changed: Callable[[Floats], Floats]) -> None:
    """Another window, sines for cosines, one of both of another form, and a first sample that counts."""
    basis = constants(original)["stft.forward_basis_buffer"]
    with pytest.raises(MalformedFile, match="not what they should be"):
        silero.onnx(original.replace(basis.tobytes(), changed(basis).astype(np.float32).tobytes()))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / catalogue.VAD_FILE
    file.write_bytes(b"not a model")
    with pytest.raises(ModelError, match=rf"The model 'silero-vad' is damaged\. .* Delete {file} and install it again"):
        SpeechDetector(file)
