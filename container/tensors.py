"""The tensors of a Whisper model, out of its file."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from container import ggml
from container.accelerator import traits
from container.binary import Reader
from container.vocabulary import Vocabulary

Floats = NDArray[np.float32]

AT_ONCE = 4096
"""Rows of a matrix that are read together: a vocabulary as floats would take up to 100 MB."""


class Weights(Mapping[str, Floats]):
    """The tensors of a model file, read when they are asked for: all at once they would need four times the memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            reader = Reader(file, path.name)
            self.model = ggml.read_hyperparameters(reader)
            self.filters = ggml.read_filters(reader)
            self.vocabulary = Vocabulary(ggml.read_tokens(reader), self.model.vocabulary, self.model.multilingual)
            if self.model.audio_state % self.model.audio_heads or self.model.text_state % self.model.text_heads:
                raise reader.error("its states cannot be shared out to its heads")
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
        return _floats(tensor.type, data.reshape(-1)).reshape(tensor.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def parts(self, name: str) -> Iterator[Floats]:
        """The rows of a matrix, some at a time."""
        tensor, data = self._read(name)
        for row in range(0, len(data), AT_ONCE):
            yield _floats(tensor.type, data[row : row + AT_ONCE]).reshape(-1, tensor.shape[1])

    def rows(self, name: str) -> Callable[[NDArray[np.int64]], Floats]:
        """Gives rows of a matrix by their numbers; it stays as small as it is in the file."""
        tensor, data = self._read(name)
        return lambda rows: _floats(tensor.type, data[rows]).reshape(*rows.shape, tensor.shape[1])

    def _read(self, name: str) -> tuple[ggml.Tensor, NDArray[np.uint8]]:
        """A tensor and its bytes, by rows."""
        tensor, at = self._found[name]
        data = np.fromfile(self._path, np.uint8, tensor.size, offset=at)
        return tensor, data.reshape(tensor.shape[0], -1)


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


def _floats(type: int, data: NDArray[np.uint8]) -> Floats:
    values, size = ggml.BLOCK[type]
    data = np.ascontiguousarray(data)
    numbers = np.empty(data.size // size * values, np.float32)
    if type == ggml.F32:
        numbers[:] = data.view("<f4").ravel()
    else:
        traits(type).to_float(data.ctypes.data, numbers.ctypes.data, numbers.size)
    return numbers
