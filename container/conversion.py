"""Whisper weights in CTranslate2's format converted to whisper.cpp's.

The result is, byte for byte, the float16 file that whisper.cpp publishes for the same model: same order of tensors
(that of OpenAI's checkpoints), same tokens, same mel filters. So its published checksum holds for it.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from container import ct2, ggml
from container.binary import MalformedFile

TOKENS = 50257
"""GPT-2's vocabulary; whisper.cpp names the special tokens that follow by itself."""

Variables = Mapping[str, NDArray[Any]]
Named = tuple[str, NDArray[Any]]


def convert(model: Path, tokenizer: Path, target: BinaryIO) -> None:
    """Writes the float16 ggml model of a `model.bin` and a `tokenizer.json`; `MalformedFile` if they are unusable."""
    variables, numbered = ct2.read(model), tokens(tokenizer)
    try:
        hyperparameters = _hyperparameters(variables)
        filters = mel_filters(hyperparameters.mels)
        ggml.write(target, hyperparameters, filters, numbered, _tensors(variables, hyperparameters))
    except KeyError as missing:
        raise MalformedFile(f"{model.name} is not a Whisper model in float16: {missing} is not there.") from None
    except ValueError as cause:
        raise MalformedFile(f"{model.name} is not a Whisper model in float16: {cause}.") from None


def mel_filters(count: int, rate: int = 16000, size: int = 400) -> NDArray[np.float32]:
    """Slaney's mel filters, [count, size / 2 + 1], in librosa's arithmetic (`librosa.filters.mel`).

    `rate` is in samples a second, `size` is the length of the Fourier transform. The mel scale is linear up to 1 kHz
    (15 mel) and logarithmic above.
    """
    step = np.log(6.4) / 27
    top = 15 + np.log(rate / 2 / 1000) / step
    mels = np.linspace(0, top, count + 2)
    edges = np.where(mels >= 15, 1000 * np.exp(step * (mels - 15)), mels * 200 / 3)
    distances = edges[:, None] - np.fft.rfftfreq(size, 1 / rate)
    widths = np.diff(edges)[:, None]
    triangles = np.minimum(-distances[:-2] / widths[:-1], distances[2:] / widths[1:])
    weights: NDArray[np.float32] = np.maximum(0, triangles).astype(np.float32)
    weights *= (2 / (edges[2:] - edges[:-2]))[:, None]
    weights += 0  # turns -0 into 0
    return weights


def tokens(tokenizer: Path) -> list[bytes]:
    """The bytes of the ordinary tokens by number, from a Hugging Face `tokenizer.json`."""
    try:
        document = json.loads(tokenizer.read_text("utf-8"))
        numbered = {token["id"]: token["content"] for token in document["added_tokens"]}
        numbered.update({number: text for text, number in document["model"]["vocab"].items()})
        byte_of = _byte_of_character()
        return [bytes(byte_of[character] for character in numbered[number]) for number in range(TOKENS)]
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise MalformedFile(f"{tokenizer.name} is not the tokenizer of a Whisper model ({cause!r}).") from None


def _byte_of_character() -> dict[str, int]:
    """GPT-2's printable stand-ins: a printable byte is its own character, the others follow from U+0100 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


def _hyperparameters(variables: Variables) -> ggml.Hyperparameters:
    state, mels, _ = variables["encoder/conv1/weight"].shape
    vocabulary, text_state = variables["decoder/embeddings/weight"].shape
    return ggml.Hyperparameters(
        vocabulary=vocabulary,
        audio_context=len(variables["encoder/position_encodings/encodings"]),
        audio_state=state,
        audio_heads=int(variables["encoder/num_heads"]),
        audio_layers=_layers(variables, "encoder"),
        text_context=len(variables["decoder/position_encodings/encodings"]),
        text_state=text_state,
        text_heads=int(variables["decoder/num_heads"]),
        text_layers=_layers(variables, "decoder"),
        mels=mels,
        format=ggml.FORMAT_F16,
    )


def _layers(variables: Variables, side: str) -> int:
    return sum(name.startswith(f"{side}/layer_") and name.endswith("/ffn/linear_0/weight") for name in variables)


def _tensors(v: Variables, hyperparameters: ggml.Hyperparameters) -> Iterator[Named]:
    """All tensors under OpenAI's names, in the order of its checkpoints."""
    yield "decoder.positional_embedding", v["decoder/position_encodings/encodings"]
    yield "encoder.positional_embedding", v["encoder/position_encodings/encodings"]
    yield "decoder.token_embedding.weight", v["decoder/embeddings/weight"]
    for i in range(hyperparameters.text_layers):
        yield from _block(v, f"decoder/layer_{i}", f"decoder.blocks.{i}")
    yield from _norm(v, "decoder", "decoder.ln")
    for n in (1, 2):
        yield f"encoder.conv{n}.weight", v[f"encoder/conv{n}/weight"]
        yield f"encoder.conv{n}.bias", v[f"encoder/conv{n}/bias"].reshape(-1, 1)
    for i in range(hyperparameters.audio_layers):
        yield from _block(v, f"encoder/layer_{i}", f"encoder.blocks.{i}")
    yield from _norm(v, "encoder", "encoder.ln_post")


def _block(v: Variables, source: str, target: str) -> Iterator[Named]:
    """One transformer block; only the decoder's have cross attention. With d the width of the model, CTranslate2 keeps
    query, key and value of self attention as one matrix [3d, d], key and value of cross attention as one [2d, d]."""
    yield from _norm(v, f"{source}/ffn", f"{target}.mlp_ln")
    yield from _linear(v, f"{source}/ffn/linear_0", f"{target}.mlp.0")
    yield from _linear(v, f"{source}/ffn/linear_1", f"{target}.mlp.2")
    attention = f"{source}/self_attention"
    yield from _norm(v, attention, f"{target}.attn_ln")
    weights = np.split(v[f"{attention}/linear_0/weight"], 3)
    biases = np.split(v[f"{attention}/linear_0/bias"], 3)
    yield from _attention(weights, biases, f"{target}.attn")
    yield from _linear(v, f"{attention}/linear_1", f"{target}.attn.out")
    if source.startswith("decoder"):
        attention = f"{source}/attention"
        yield from _norm(v, attention, f"{target}.cross_attn_ln")
        weights = [v[f"{attention}/linear_0/weight"], *np.split(v[f"{attention}/linear_1/weight"], 2)]
        biases = [v[f"{attention}/linear_0/bias"], *np.split(v[f"{attention}/linear_1/bias"], 2)]
        yield from _attention(weights, biases, f"{target}.cross_attn")
        yield from _linear(v, f"{attention}/linear_2", f"{target}.cross_attn.out")


def _attention(weights: list[NDArray[Any]], biases: list[NDArray[Any]], target: str) -> Iterator[Named]:
    """Query, key and value, each [d, d] and [d]; Whisper's keys have no bias (CTranslate2 stores zeros)."""
    for name, weight, bias in zip(("query", "key", "value"), weights, biases, strict=True):
        yield f"{target}.{name}.weight", weight
        if name != "key":
            yield f"{target}.{name}.bias", bias


def _linear(v: Variables, source: str, target: str) -> Iterator[Named]:
    yield f"{target}.weight", v[f"{source}/weight"]
    yield f"{target}.bias", v[f"{source}/bias"]


def _norm(v: Variables, source: str, target: str) -> Iterator[Named]:
    yield f"{target}.weight", v[f"{source}/layer_norm/gamma"]
    yield f"{target}.bias", v[f"{source}/layer_norm/beta"]
