"""The tensors of a Whisper model, out of its file."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from container import ggml
from container.accelerator import traits
from container.binary import MalformedFile, Reader
from container.vocabulary import Vocabulary

Floats = NDArray[np.float32]

CONTEXTS = 1500, 448
VOCABULARIES = range(51_864, 51_867)
TEXTS = 50_256
"""Tokens of text that a model has at least."""

AT_ONCE = 4096
"""Rows of a matrix that are read together: a vocabulary as floats would take up to 100 MB."""


class Weights(Mapping[str, Floats]):
    """The tensors of a model file, read when they are asked for: all at once they would need four times the memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            reader = Reader(file, path.name)
            self.model = ggml.read_hyperparameters(reader)
            _check(self.model, reader)
            self.filters = ggml.read_filters(reader)
            texts = ggml.read_tokens(reader)
            if len(texts) < TEXTS or b" " not in texts:
                raise reader.error("it has no text for each token")
            self.vocabulary = Vocabulary(texts, self.model.vocabulary, self.model.multilingual)
            self._found = {}
            expected = shapes(self.model)
            for tensor in ggml.read_tensors(reader, self.model):
                if expected.get(tensor.name) != tensor.shape:
                    raise reader.error(f"it has no place for '{tensor.name}' of the shape {tensor.shape}")
                self._found[tensor.name] = tensor, file.tell()
                reader.skip(tensor.size)
            if len(self._found) < len(expected):
                raise reader.error("some of its tensors are missing")

    def __getitem__(self, name: str) -> Floats:
        tensor, data = self._read(name)
        return self._floats(tensor, data.reshape(-1)).reshape(tensor.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def parts(self, name: str) -> Iterator[Floats]:
        """The rows of a matrix, some at a time."""
        tensor, data = self._read(name)
        for row in range(0, len(data), AT_ONCE):
            yield self._floats(tensor, data[row : row + AT_ONCE]).reshape(-1, tensor.shape[1])

    def rows(self, name: str) -> Callable[[NDArray[np.int64]], Floats]:
        """Gives rows of a matrix by their numbers; it stays as small as it is in the file."""
        tensor, data = self._read(name)
        return lambda rows: self._floats(tensor, data[rows]).reshape(*rows.shape, tensor.shape[1])

    def _read(self, name: str) -> tuple[ggml.Tensor, NDArray[np.uint8]]:
        """A tensor and its bytes, by rows."""
        tensor, at = self._found[name]
        data = np.fromfile(self._path, np.uint8, tensor.size, offset=at)
        return tensor, data.reshape(tensor.shape[0] if len(tensor.shape) > 1 else 1, -1)

    def _floats(self, tensor: ggml.Tensor, data: NDArray[np.uint8]) -> Floats:
        values, size = ggml.BLOCK[tensor.type]
        numbers = np.empty(data.size // size * values, np.float32)
        if tensor.type == ggml.F32:
            numbers[:] = data.ravel().view("<f4")
        else:
            traits(tensor.type).to_float(np.ascontiguousarray(data).ctypes.data, numbers.ctypes.data, numbers.size)
        if not np.isfinite(numbers).all():
            raise MalformedFile(f"'{tensor.name}' of {self._path.name} has values that are not finite.")
        return numbers


def _check(model: ggml.Hyperparameters, reader: Reader) -> None:
    """Raises MalformedFile unless all sizes are what Whisper's models have, or what can be worked with."""
    if (model.audio_context, model.text_context) != CONTEXTS or model.vocabulary not in VOCABULARIES:
        raise reader.error("its contexts or its vocabulary are not Whisper's")
    if model.audio_layers != model.text_layers or model.audio_state != model.text_state:
        raise reader.error("its encoder and its decoder do not fit each other")
    if model.audio_state % model.audio_heads or model.text_state % model.text_heads:
        raise reader.error("its states cannot be shared out to its heads")


def shapes(model: ggml.Hyperparameters) -> dict[str, tuple[int, ...]]:
    """The tensors of a whole model by OpenAI's names."""
    found: dict[str, tuple[int, ...]] = {}
    for part, state, context, layers in (
        ("encoder", model.audio_state, model.audio_context, model.audio_layers),
        ("decoder", model.text_state, model.text_context, model.text_layers),
    ):
        found[f"{part}.positional_embedding"] = (context, state)
        own = _block(state, ("attn", "cross_attn") if part == "decoder" else ("attn",))
        found |= {f"{part}.blocks.{number}.{name}": shape for number in range(layers) for name, shape in own.items()}
        last = "encoder.ln_post" if part == "encoder" else "decoder.ln"
        found |= {f"{last}.{name}": (state,) for name in ("weight", "bias")}
    for name, given in (("encoder.conv1", model.mels), ("encoder.conv2", model.audio_state)):
        found |= {f"{name}.weight": (model.audio_state, given, 3), f"{name}.bias": (model.audio_state, 1)}
    found["decoder.token_embedding.weight"] = (model.vocabulary, model.text_state)
    return found


def _block(state: int, attentions: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for name in attentions:
        found |= {f"{name}.{part}.weight": (state, state) for part in ("query", "key", "value", "out")}
        found |= {f"{name}.{part}.bias": (state,) for part in ("query", "value", "out")}
    for norm in (*(f"{name}_ln" for name in attentions), "mlp_ln"):
        found |= {f"{norm}.weight": (state,), f"{norm}.bias": (state,)}
    found |= {"mlp.0.weight": (4 * state, state), "mlp.0.bias": (4 * state,)}
    return found | {"mlp.2.weight": (state, 4 * state), "mlp.2.bias": (state,)}
