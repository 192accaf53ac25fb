"""Silero's voice activity model, computed by a few products of matrices instead of its convolutions.

A frame is heard as four columns of its spectrum. Convolutions over so few are slow, nine tenths of the model's time;
as a matrix over all columns of a frame each is far quicker, though up to half of its numbers are zeros.
"""

import numpy as np
from numpy.typing import NDArray

from container.binary import MalformedFile
from container.onnx import Graph, Shape, constants

OPERATORS = 17
"""Version of ONNX's operators."""

FRAME, CONTEXT = 512, 64
"""Samples per frame, 32 ms at 16 kHz, and those of the previous frame that are heard again with it."""

STATE = 128
"""Numbers in each of the two states that are carried from one frame to the next."""

HOP, WINDOW, BANDS = 128, 256, 129
"""Samples from one column to the next, samples it is made of, and its frequencies."""

COLUMNS = FRAME // HOP

LAYERS = {"encoder.0": 1, "encoder.1": 2, "encoder.2": 2, "encoder.3": 1}
"""The convolutions, of three columns each, and how many columns they go on by."""

Floats = NDArray[np.float32]


def onnx(file: bytes) -> bytes:
    """The network of `silero_vad_16k_sequence.onnx`, from [n, CONTEXT + FRAME] samples and two states [1, 1, STATE].

    What goes in is named `input`, `h` and `c`; what comes out is, in this order, probabilities [n, 1] and both states.
    Raises MalformedFile.
    """
    try:
        return _network(constants(file))
    except KeyError as missing:
        raise MalformedFile(f"The voice activity model has no {missing}.") from None
    except (ValueError, IndexError, ZeroDivisionError):
        raise MalformedFile("The weights of the voice activity model have other shapes than they should.") from None


def _network(weights: dict[str, Floats]) -> bytes:
    graph = Graph(OPERATORS)
    add, constant = graph.add, graph.constant
    x = _spectrum(graph, weights["stft.forward_basis_buffer"][:, 0].T)
    columns = COLUMNS
    for name, stride in LAYERS.items():
        kernel, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        matrix = _over_columns(kernel, columns, stride)
        columns = matrix.shape[1] // len(bias)
        x = add("Relu", add("Gemm", x, constant(matrix), constant(np.tile(bias, columns))))
    sequence = add("Unsqueeze", x, middle := constant(np.array([1], np.int64)))
    recurrent = (constant(weights[f"onnx::LSTM_{number}"]) for number in (209, 210, 211))
    heard, h, c = graph.add_with_results(3, "LSTM", sequence, *recurrent, "", "h", "c", hidden_size=STATE)
    heard = add("Relu", add("Squeeze", add("Squeeze", heard, middle), middle))
    score = add("Gemm", heard, constant(weights["output.weight"][0]), constant(weights["output.bias"]))
    state: Shape = [1, 1, STATE]
    given: dict[str, Shape] = {"input": ["n", CONTEXT + FRAME], "h": state, "c": state}
    return graph.model(given, {add("Sigmoid", score): ["n", 1], h: state, c: state})


def _spectrum(graph: Graph, basis: Floats) -> str:
    """Magnitudes [n, COLUMNS * BANDS]; the last column goes on for HOP / 2 samples after the end, mirrored."""
    mirrored = basis[: WINDOW - HOP // 2].copy()
    mirrored[-HOP // 2 - 1 : -1] += basis[WINDOW - HOP // 2 :][::-1]
    columns = []
    for column in range(COLUMNS):
        matrix = basis if column < COLUMNS - 1 else mirrored
        samples = _part(graph, "input", column * HOP, column * HOP + len(matrix))
        waves = graph.add("MatMul", samples, graph.constant(matrix))
        cosines, sines = (_part(graph, waves, start, start + BANDS) for start in (0, BANDS))
        power = graph.add("Add", graph.add("Mul", cosines, cosines), graph.add("Mul", sines, sines))
        columns.append(graph.add("Sqrt", power))
    return graph.add("Concat", *columns, axis=1)


def _part(graph: Graph, x: str, start: int, end: int) -> str:
    return graph.add("Slice", x, *(graph.constant(np.array([n], np.int64)) for n in (start, end, 1)))


def _over_columns(kernel: Floats, columns: int, stride: int) -> Floats:
    """A convolution [out, in, 3], with a column of zeros at both ends, as [columns * in, columns given * out]."""
    size_out, size_in, _ = kernel.shape
    given = (columns - 1) // stride + 1
    matrix = np.zeros((columns + 2, size_in, given, size_out), np.float32)
    for column in range(given):
        matrix[column * stride : column * stride + 3, :, column] = kernel.transpose(2, 1, 0)
    return matrix[1:-1].reshape(columns * size_in, given * size_out)
