"""The blocks of Whisper's encoder by onnxruntime, in whole numbers, for a whisper.cpp that comes without them.

They are most of what hearing costs. whisper.cpp gets a model whose encoder has no blocks; between the convolutions and
the last normalisation, where it has just added the positions, the sum becomes what the blocks make of it.
"""

import io
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ctypes import c_int, c_void_p, sizeof
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from container import accelerator, ggml
from container.accelerator import OPERATION, SOURCES, Tensor, floats, traits
from container.binary import Reader
from container.onnx import Graph

OPERATORS = 17
"""Version of ONNX's operators: the first with a normalisation of layers."""

LARGEST = 512
"""Numbers in a state of the models that this is for, tiny and base: whole numbers were measured with them alone."""

STEPS = 90
"""Of a weight to either side of zero. Processors without VNNI cut off what two products sum up to beyond 16 bits: with
the 127 that 8 bits have, that are up to 3 sums of 10,000 on speech, and errors become half as large again; with 90,
6 of a million, which change nothing. None would need 64.
"""

TINY = np.float32(np.finfo(np.float32).tiny)

EPSILON = 1e-5
"""Added to variances by OpenAI's model."""

BLOCKS = "encoder.blocks."
ATTENTION = ("query", "key", "value", "out")

Floats = NDArray[np.float32]


class Encoder:
    """The blocks of one model."""

    def __init__(self, model: ggml.Hyperparameters, weights: Mapping[str, Floats], threads: int) -> None:
        """`weights` have the names and shapes that `shapes` gives."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        network = _network(model, weights)
        self._session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])

    def __call__(self, x: Floats) -> Floats:
        """[positions, state], after the last block as before the first one."""
        (heard,) = self._session.run(None, {"x": x})
        return np.asarray(heard)


class Positions:
    """Adds the positions to what is heard, and puts the sum through the blocks of the encoder that the thread has.

    Of all sums in whisper.cpp's graphs it is the only one of a view, of the positions, and of a copy, of what the
    convolutions give.
    """

    def __init__(self) -> None:
        self._own = threading.local()
        self._added = accelerator.operation(b"VIEW"), accelerator.operation(b"CONT")

    @contextmanager
    def leading_to(self, encoder: Encoder) -> Iterator[None]:
        """For what this thread encodes meanwhile.

        Raises RuntimeError if the encoder was passed over: without its blocks whisper.cpp hears nonsense.
        """
        self._own.encoder, self._own.led = encoder, False
        try:
            yield
        finally:
            self._own.encoder = None
        if not self._own.led:
            raise RuntimeError("whisper.cpp passed the blocks of its encoder over")

    def takes(self, address: int) -> bool:
        if getattr(self._own, "encoder", None) is None:
            return False
        sources = (c_void_p.from_address(address + SOURCES + place * sizeof(c_void_p)).value for place in (0, 1))
        return tuple(c_int.from_address((source or 0) + OPERATION).value for source in sources) == self._added

    def compute(self, result: Tensor) -> None:
        one, other = (floats(Tensor.from_address(result.src[place]))[0, 0] for place in (0, 1))
        floats(result)[0, 0] = self._own.encoder(one + other)
        self._own.led = True


def parted(model_path: Path, threads: int) -> tuple[bytes, Encoder]:
    """A model file without the encoder's blocks, and these. Raises MalformedFile."""
    with model_path.open("rb") as file:
        reader = Reader(file, model_path.name)
        model = ggml.read_hyperparameters(reader)
        expected = shapes(model)
        rest, weights = io.BytesIO(), {}
        rest.write(struct.pack("<12i", ggml.MAGIC, *astuple(replace(model, audio_layers=0))))
        rest.write(ggml.read_filters_and_tokens(reader))
        for tensor in ggml.read_tensors(reader, model):
            data = reader.read(tensor.size)
            if not tensor.name.startswith(BLOCKS):
                rest.write(tensor.head() + data)
            elif expected.pop(tensor.name, None) == tensor.shape:
                weights[tensor.name] = _floats(tensor, data)
            else:
                raise reader.error(f"its encoder has no place for '{tensor.name}' of the shape {tensor.shape}")
        if expected or model.audio_state % model.audio_heads:
            raise reader.error("its encoder is not whole")
        return rest.getvalue(), Encoder(model, weights, threads)


def shapes(model: ggml.Hyperparameters) -> dict[str, tuple[int, ...]]:
    """The tensors of all blocks, by the names and with the shapes of OpenAI's model."""
    state = model.audio_state
    block: dict[str, tuple[int, ...]] = {f"attn.{part}.weight": (state, state) for part in ATTENTION}
    block |= {f"attn.{part}.bias": (state,) for part in ATTENTION if part != "key"}
    block |= {f"{norm}.{part}": (state,) for norm in ("attn_ln", "mlp_ln") for part in ("weight", "bias")}
    block |= {"mlp.0.weight": (4 * state, state), "mlp.0.bias": (4 * state,)}
    block |= {"mlp.2.weight": (state, 4 * state), "mlp.2.bias": (state,)}
    return {f"{BLOCKS}{number}.{name}": shape for number in range(model.audio_layers) for name, shape in block.items()}


def _floats(tensor: ggml.Tensor, data: bytes) -> Floats:
    if tensor.type == ggml.F32:
        return np.frombuffer(data, "<f4").reshape(tensor.shape)
    numbers = np.empty(tensor.shape, np.float32)
    traits(tensor.type).to_float(data, numbers.ctypes.data, numbers.size)
    return numbers


def _network(model: ggml.Hyperparameters, weights: Mapping[str, Floats]) -> bytes:
    graph = Graph(OPERATORS)
    x = graph.add("Unsqueeze", "x", first := graph.constant(np.array([0], np.int64)))
    for number in range(model.audio_layers):
        block = _Block(graph, {name.removeprefix(f"{BLOCKS}{number}."): array for name, array in weights.items()})
        x = graph.add("Add", x, block.attention(x, model.audio_heads))
        x = graph.add("Add", x, block.forward(x))
    shape = [None, model.audio_state]
    return graph.model({"x": shape}, {graph.add("Squeeze", x, first): shape})


class _Block:
    """A residual block: names of values go in and come out."""

    def __init__(self, graph: Graph, weights: Mapping[str, Floats]) -> None:
        self._add, self._constant, self._weights = graph.add, graph.constant, weights
        self._tiny = graph.constant(np.array(TINY))

    def attention(self, x: str, heads: int) -> str:
        rows = self._rows(self._normalised(x, "attn_ln"))
        parts = [self._linear(rows, f"attn.{part}") for part in ATTENTION[:3]]
        mixed = self._add("com.microsoft.MultiHeadAttention", *parts, num_heads=heads)
        return self._linear(self._rows(mixed), "attn.out")

    def forward(self, x: str) -> str:
        wide = self._linear(self._rows(self._normalised(x, "mlp_ln")), "mlp.0")
        return self._linear(self._rows(self._add("com.microsoft.Gelu", wide)), "mlp.2")

    def _normalised(self, x: str, name: str) -> str:
        weight, bias = (self._constant(self._weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return self._add("LayerNormalization", x, weight, bias, axis=-1, epsilon=EPSILON)

    def _rows(self, x: str) -> tuple[str, str]:
        """Rows from -1 to 1, and their scales: whole numbers have one range for all, and few rows would take it up."""
        largest = self._add("ReduceMax", self._add("Abs", x), axes=[-1], keepdims=1)
        scale = self._add("Max", largest, self._tiny)
        return self._add("Div", x, scale), scale

    def _linear(self, rows: tuple[str, str], name: str) -> str:
        """By whole numbers, with a scale for each row of what goes in, and for each column of the weights."""
        x, scale = rows
        matrix = self._weights[f"{name}.weight"].T
        steps = np.maximum(np.abs(matrix).max(0), TINY) / np.float32(STEPS)
        whole = [np.rint(matrix / steps).astype(np.int8), steps, np.zeros(len(steps), np.int8)]
        product = self._add("com.microsoft.DynamicQuantizeMatMul", x, *map(self._constant, whole))
        result = self._add("Mul", product, scale)
        if name == "attn.key":  # It has no bias.
            return result
        return self._add("Add", result, self._constant(self._weights[f"{name}.bias"]))
