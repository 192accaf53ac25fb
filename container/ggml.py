"""whisper.cpp's model files ("ggml"): writing float16 ones, quantizing them to Q8_0, checking them.

Layout, all little-endian 32-bit integers unless said otherwise, as `whisper_model_load` of whisper.cpp reads it: magic;
the hyper-parameters; the mel filters (rows, columns, float32 values); the tokens (count, then length and bytes of
each); then tensors until the end of the file: rank, length of the name, type, dimensions (innermost first), name, data.
"""

import math
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from container.binary import Reader

MAGIC = 0x67676D6C
F32, F16, Q8_0 = 0, 1, 8
BLOCK = {F32: (1, 4), F16: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), Q8_0: (32, 34)}
"""Values and bytes of one block by tensor type; 2, 3, 6 and 7 are Q4_0, Q4_1, Q5_0 and Q5_1."""
FORMAT_F16 = 1
FORMAT_Q8_0 = 2007
"""`GGML_FTYPE_MOSTLY_Q8_0` (7) plus 1000 for each version of the quantization formats, which is 2."""
QUANTIZED_AT_ONCE = 1 << 20
"""Values, a multiple of the block: bounds the memory to some 20 MB whatever the tensor."""


@dataclass(frozen=True)
class Hyperparameters:
    """The head of a model file, in the order of the file."""

    vocabulary: int
    audio_context: int
    audio_state: int
    audio_heads: int
    audio_layers: int
    text_context: int
    text_state: int
    text_heads: int
    text_layers: int
    mels: int
    format: int

    @property
    def multilingual(self) -> bool:
        """English-only models have one token less (`is_multilingual` of whisper.cpp)."""
        return self.vocabulary >= 51865

    @property
    def tensors(self) -> int:
        """How many tensors a complete model has."""
        return 11 + 15 * self.audio_layers + 24 * self.text_layers


@dataclass(frozen=True)
class Tensor:
    """What precedes a tensor's data. `shape` is outermost first, as numpy's."""

    name: str
    type: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of the data."""
        values, size = BLOCK[self.type]
        return math.prod(self.shape) // values * size

    def head(self) -> bytes:
        name = self.name.encode()
        return struct.pack(f"<{3 + len(self.shape)}i", len(self.shape), len(name), self.type, *self.shape[::-1]) + name


def write(
    target: BinaryIO,
    hyperparameters: Hyperparameters,
    filters: NDArray[np.float32],
    tokens: Iterable[bytes],
    tensors: Iterable[tuple[str, NDArray[Any]]],
) -> None:
    """Writes a float16 model. `filters` is [mels, frequencies]; tensors have the shapes and names of OpenAI's model,
    but convolution biases are [channels, 1]. Vectors, positions and convolution biases stay float32."""
    tokens = list(tokens)
    target.write(struct.pack("<12i", MAGIC, *astuple(hyperparameters)))
    target.write(struct.pack("<2i", *filters.shape) + filters.astype("<f4").tobytes())
    target.write(struct.pack("<i", len(tokens)))
    target.writelines(struct.pack("<i", len(token)) + token for token in tokens)
    for name, array in tensors:
        small = array.ndim < 2 or array.shape[1:] == (1,) or name.endswith("positional_embedding")
        target.write(Tensor(name, F32 if small else F16, array.shape).head())
        target.write(array.astype("<f4" if small else "<f2").tobytes())


def quantize(source: BinaryIO, target: BinaryIO, name: str, progress: Callable[[float], None]) -> None:
    """Copies a float16 model with its matrices as Q8_0: what whisper.cpp's `quantize` writes, byte for byte.

    `name` stands in error messages, `progress` gets the fraction done. Raises `MalformedFile`.
    """
    reader = Reader(source, name)
    hyperparameters = read_hyperparameters(reader)
    if hyperparameters.format != FORMAT_F16:
        raise reader.error(f"float16 weights are needed, this has format {hyperparameters.format}")
    target.write(struct.pack("<12i", MAGIC, *astuple(hyperparameters)[:-1], FORMAT_Q8_0))
    target.write(read_filters_and_tokens(reader))
    for done, tensor in enumerate(read_tensors(reader, hyperparameters)):
        progress(done / hyperparameters.tensors)
        if len(tensor.shape) == 2 and tensor.type == F16:
            _quantize_tensor(reader, target, tensor)
        else:
            target.write(tensor.head() + reader.read(tensor.size))
    progress(1.0)


def q8_0(values: NDArray[Any]) -> bytes:
    """Q8_0: per block of 32 values a float16 scale and 32 signed bytes (`quantize_row_q8_0_ref` of ggml).

    The count of values must be a multiple of 32.
    """
    blocks = values.astype(np.float32).reshape(-1, 32)
    scale = np.abs(blocks).max(1) / np.float32(127)
    inverse = np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale != 0)
    scaled = blocks * inverse[:, None]
    whole = np.trunc(scaled)
    # C's roundf rounds halves away from zero; the difference is exact, while adding 0.5 would round by itself.
    whole += np.copysign(np.abs(scaled - whole) >= 0.5, scaled)
    packed = np.empty(len(blocks), np.dtype([("scale", "<f2"), ("values", "i1", 32)]))
    packed["scale"], packed["values"] = scale, whole
    return packed.tobytes()


def check(source: BinaryIO, name: str) -> Hyperparameters:
    """Reads a model of any supported format from head to end without its weights; `MalformedFile` if incomplete."""
    reader = Reader(source, name)
    hyperparameters = read_hyperparameters(reader)
    read_filters_and_tokens(reader)
    for tensor in read_tensors(reader, hyperparameters):
        reader.skip(tensor.size)
    return hyperparameters


def read_hyperparameters(reader: Reader) -> Hyperparameters:
    if reader.unpack("I") != (MAGIC,):
        raise reader.error("it does not begin like a ggml file")
    hyperparameters = Hyperparameters(*reader.unpack("11i"))
    if min(astuple(hyperparameters)[:-1]) <= 0:
        raise reader.error("a dimension is not positive")
    return hyperparameters


def read_filters(reader: Reader) -> NDArray[np.float32]:
    """The mel filters, [mels, frequencies], which follow the hyper-parameters."""
    rows = reader.integer("i", 1, 1024, "its count of mel filters")
    columns = reader.integer("i", 1, 65536, "its count of frequencies")
    return np.frombuffer(reader.read(rows * columns * 4), "<f4").reshape(rows, columns)


def read_tokens(reader: Reader) -> list[bytes]:
    """The texts of the tokens, which follow the filters."""
    count = reader.integer("i", 0, 1 << 20, "its count of tokens")
    return [reader.sized(4096, "a token") for _ in range(count)]


def read_filters_and_tokens(reader: Reader) -> bytes:
    """The bytes between the hyper-parameters and the tensors."""
    filters, tokens = read_filters(reader), read_tokens(reader)
    parts = [struct.pack("<2i", *filters.shape), filters.tobytes(), struct.pack("<i", len(tokens))]
    for token in tokens:
        parts += [struct.pack("<i", len(token)), token]
    return b"".join(parts)


def read_tensors(reader: Reader, hyperparameters: Hyperparameters) -> Iterator[Tensor]:
    """The heads of all tensors; the caller moves over each one's data before it takes the next."""
    for _ in range(hyperparameters.tensors):
        rank = reader.integer("i", 1, 3, "the rank of a tensor")
        length = reader.integer("i", 1, 256, "the length of a tensor's name")
        (type,) = reader.unpack("i")
        shape = reader.unpack(f"{rank}i")[::-1]
        tensor = Tensor(reader.read(length).decode("utf-8", "replace"), type, shape)
        if type not in BLOCK:
            raise reader.error(f"'{tensor.name}' has the unknown type {type}")
        if min(shape) <= 0 or shape[-1] % BLOCK[type][0]:
            raise reader.error(f"'{tensor.name}' has the impossible shape {shape}")
        yield tensor
    if reader.stream.read(1):
        raise reader.error("there is something after its last tensor")


def _quantize_tensor(reader: Reader, target: BinaryIO, tensor: Tensor) -> None:
    if tensor.shape[-1] % BLOCK[Q8_0][0]:
        raise reader.error(f"the rows of '{tensor.name}' are no multiple of 32 long")
    target.write(Tensor(tensor.name, Q8_0, tensor.shape).head())
    left = math.prod(tensor.shape)
    while left:
        count = min(left, QUANTIZED_AT_ONCE)
        values = np.frombuffer(reader.read(count * 2), "<f2")
        if not np.isfinite(values).all():
            raise reader.error(f"'{tensor.name}' has values that are not finite")
        target.write(q8_0(values))
        left -= count
