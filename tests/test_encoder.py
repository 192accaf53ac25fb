"""The encoder's blocks by onnxruntime, against the same in plain numpy and in whisper.cpp."""

import ctypes
import math
import re
import struct
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from chalicelib.transcript import Chunk, Span
from container import accelerator, encoder, ggml, recogniser, weights
from container.accelerator import Tensor
from container.catalogue import ModelError
from container.media import decode
from container.recogniser import Recogniser

Floats = NDArray[np.float32]

STATE, HEADS, LAYERS = 64, 2, 2
MODEL = ggml.Hyperparameters(100, 1500, STATE, HEADS, LAYERS, 448, STATE, HEADS, 1, 80, ggml.FORMAT_F16)


def block_weights(rng: np.random.Generator) -> dict[str, Floats]:
    return {
        name: (rng.normal(size=shape) / math.sqrt(shape[-1])).astype(np.float32)
        for name, shape in encoder.shapes(MODEL).items()
    }


def plain(x: Floats, weights: dict[str, Floats]) -> Floats:
    """What OpenAI's ResidualAttentionBlock computes, layer by layer."""
    erf = np.vectorize(math.erf)
    for layer in range(LAYERS):
        own = {name.removeprefix(f"{encoder.BLOCKS}{layer}."): array for name, array in weights.items()}

        def linear(x: Floats, name: str, own: dict[str, Floats] = own) -> Floats:
            return x @ own[f"{name}.weight"].T + own.get(f"{name}.bias", np.float32(0))

        def normalised(x: Floats, name: str, own: dict[str, Floats] = own) -> Floats:
            spread = np.sqrt(x.var(-1, keepdims=True) + encoder.EPSILON)
            scaled = (x - x.mean(-1, keepdims=True)) / spread * own[f"{name}.weight"] + own[f"{name}.bias"]
            return np.asarray(scaled, np.float32)

        y = normalised(x, "attn_ln")
        parts = [
            linear(y, f"attn.{part}").reshape(len(x), HEADS, -1).swapaxes(0, 1) for part in ("query", "key", "value")
        ]
        scores = parts[0] @ parts[1].swapaxes(1, 2) / math.sqrt(STATE / HEADS)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ parts[2]
        x = x + linear(mixed.swapaxes(0, 1).reshape(len(x), STATE), "attn.out")
        y = linear(normalised(x, "mlp_ln"), "mlp.0")
        x = x + linear((y * (1 + erf(y / math.sqrt(2))) / 2).astype(np.float32), "mlp.2")
    return np.asarray(x, np.float32)


def test_blocks_are_what_they_should_be() -> None:
    rng = np.random.default_rng(1)
    weights, x = block_weights(rng), rng.normal(size=(700, STATE)).astype(np.float32)
    expected = plain(x, weights)
    found = encoder.Encoder(MODEL, weights, threads=1)(x)
    # Each of the twelve products is wrong by a hundredth.
    assert np.abs(found - expected).mean() < 0.03 * np.abs(expected - x).mean()
    shorter = encoder.Encoder(MODEL, weights, threads=1)(x[:500])
    assert np.abs(shorter - plain(x[:500], weights)).mean() < 0.03 * np.abs(expected - x).mean()


def test_zeros_stay_zeros() -> None:
    weights = block_weights(np.random.default_rng(2))
    for array in weights.values():
        array[:] = 0
    x = np.random.default_rng(3).normal(size=(500, STATE)).astype(np.float32)
    np.testing.assert_array_equal(encoder.Encoder(MODEL, weights, threads=1)(x), x)


def test_a_model_is_parted(models_dir: Path) -> None:
    path = weights.path("tiny.en", models_dir)
    rest, blocks = encoder.parted(path, 1)
    with path.open("rb") as file:
        whole = ggml.check(file, path.name)
    assert struct.unpack_from("<12i", rest) == (ggml.MAGIC, *astuple(replace(whole, audio_layers=0)))
    assert len(rest) < path.stat().st_size - 6_000_000, "whisper.cpp holds no weights of the blocks"
    assert blocks(np.zeros((500, whole.audio_state), np.float32)).shape == (500, whole.audio_state)


@pytest.mark.parametrize("wrong", ["encoder.blocks.2.mlp.9.weight", "encoder.blocks.2.mlp.0.weighs"])
def test_a_model_with_another_tensor_is_damaged(wrong: str, models_dir: Path, tmp_path: Path) -> None:
    whole = weights.path("tiny.en", models_dir).read_bytes()
    name = b"encoder.blocks.2.mlp.0.weight"
    assert whole.count(name) == 1
    (tmp_path / "odd.bin").write_bytes(whole.replace(name, wrong.encode()))
    with pytest.raises(ModelError, match=rf"odd\.bin is damaged.*its encoder has no place for '{re.escape(wrong)}'"):
        Recogniser(tmp_path / "odd.bin")


def test_a_model_with_a_wrong_shape_is_damaged(models_dir: Path, tmp_path: Path) -> None:
    whole = weights.path("tiny.en", models_dir).read_bytes()
    head = ggml.Tensor("encoder.blocks.0.mlp.0.weight", ggml.Q8_0, (1536, 384)).head()
    turned = ggml.Tensor("encoder.blocks.0.mlp.0.weight", ggml.Q8_0, (384, 1536)).head()
    assert whole.count(head) == 1
    (tmp_path / "odd.bin").write_bytes(whole.replace(head, turned))
    with pytest.raises(
        ModelError, match=r"no place for 'encoder\.blocks\.0\.mlp\.0\.weight' of the shape \(384, 1536\)"
    ):
        Recogniser(tmp_path / "odd.bin")


def add(*operations: bytes) -> tuple[Tensor, list[Tensor]]:
    """The tensor of a sum, and those of what is added, which come from these operations."""
    added = [Tensor(op=accelerator.operation(operation)) for operation in operations]
    result = Tensor()
    result.src[0], result.src[1] = (ctypes.addressof(tensor) for tensor in added)
    return result, added


@pytest.mark.parametrize(
    ("operations", "taken"),
    [
        pytest.param((b"VIEW", b"CONT"), True, id="positions"),
        pytest.param((b"RESHAPE", b"NONE"), False, id="bias-of-a-convolution"),
        pytest.param((b"MUL_MAT", b"NONE"), False, id="bias"),
        pytest.param((b"GET_ROWS", b"GET_ROWS"), False, id="positions-of-text"),
        pytest.param((b"ADD", b"ADD"), False, id="around-a-block"),
    ],
)
def test_the_positions_are_taken_and_nothing_else(operations: tuple[bytes, ...], taken: bool) -> None:
    blocks = encoder.Encoder(MODEL, block_weights(np.random.default_rng(4)), threads=1)
    result, _added = add(*operations)
    positions = encoder.Positions()
    assert not positions.takes(ctypes.addressof(result)), "a model that has its blocks"
    with pytest.raises(RuntimeError, match="passed the blocks"), positions.leading_to(blocks):
        assert positions.takes(ctypes.addressof(result)) == taken
    assert not positions.takes(ctypes.addressof(result))


def test_a_model_is_not_heard_without_its_blocks(models_dir: Path, jfk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    positions = recogniser._device()
    assert positions is not None
    monkeypatch.setattr(positions, "_added", (0, 0))
    with pytest.raises(RuntimeError, match="passed the blocks"):
        heard(weights.path("tiny.en", models_dir), jfk)


def heard(model: Path, sound: Path) -> str:
    samples = np.concatenate(list(decode(str(sound)))).astype(np.float32) / np.float32(32768)
    chunk = Chunk(start=0, end=len(samples) / 16_000, speech=[Span(start=0, end=len(samples) / 16_000)])
    return "".join(segment.text for segment in Recogniser(model).transcribe(samples, chunk))


@pytest.mark.parametrize("model", ["tiny.en", "base"])
def test_whole_and_parted_models_hear_the_same(
    model: str, models_dir: Path, jfk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, computed = weights.install(model, models_dir, lambda *_: None), []
    compute = encoder.Positions.compute

    def counted(this: encoder.Positions, result: Tensor) -> None:
        computed.append(result.ne[1])
        compute(this, result)

    monkeypatch.setattr(encoder.Positions, "compute", counted)
    by_onnxruntime = heard(path, jfk)
    assert computed == [round(11 * recogniser.CONTEXT_PER_SECOND) + recogniser.SPARE_CONTEXT]
    monkeypatch.setattr(encoder, "LARGEST", 0)
    assert heard(path, jfk) == by_onnxruntime
    assert len(computed) == 1, "whisper.cpp has its own blocks"
