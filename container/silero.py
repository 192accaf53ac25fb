"""Silero's voice activity model, computed by a few products of matrices instead of its convolutions.

A frame is heard as four columns of its spectrum. Convolutions over so few are slow, nine tenths of the model's time;
as a product for each column they are far quicker.
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
    except (ValueError, IndexError):
        raise MalformedFile("The weights of the voice activity model are not what they should be.") from None


def _network(weights: dict[str, Floats]) -> bytes:
    graph = Graph(OPERATORS)
    add, constant = graph.add, graph.constant
    columns = _spectrum(graph, weights["stft.forward_basis_buffer"][:, 0].T)
    for name, stride in LAYERS.items():
        columns = _convolution(graph, columns, weights[f"{name}.weight"], weights[f"{name}.bias"], stride)
    (x,) = columns
    sequence = add("Unsqueeze", x, middle := constant(np.array([1], np.int64)))
    recurrent = (constant(weights[f"onnx::LSTM_{number}"]) for number in (209, 210, 211))
    heard, h, c = graph.add_with_results(3, "LSTM", sequence, *recurrent, "", "h", "c", hidden_size=STATE)
    heard = add("Relu", add("Squeeze", add("Squeeze", heard, middle), middle))
    score = add("Gemm", heard, constant(weights["output.weight"][0]), constant(weights["output.bias"]))
    state: Shape = [1, 1, STATE]
    given: dict[str, Shape] = {"input": ["n", CONTEXT + FRAME], "h": state, "c": state}
    return graph.model(given, {add("Sigmoid", score): ["n", 1], h: state, c: state})


def _spectrum(graph: Graph, basis: Floats) -> list[str]:
    """Magnitudes [n, BANDS] of each column; the last goes on for HOP / 2 samples after the end, mirrored.

    Cosines under the window are the same on both sides of a column's middle, sines the opposite, so that the sum of
    both sides and their difference, half as many numbers, are all that need be multiplied. The first sample of a
    window counts for nothing.
    """
    cosines, sines = basis[1:, :BANDS], basis[1:, BANDS:]
    if basis[0].any() or not np.allclose(cosines, cosines[::-1]) or not np.allclose(sines, -sines[::-1]):
        raise ValueError("This is not the transform of a window.")
    half = WINDOW // 2
    even, odd = cosines[:half].copy(), graph.constant(sines[:half])
    even[-1] /= 2
    both = graph.constant(even)
    end = CONTEXT + FRAME
    samples = graph.add("Concat", "input", _part(graph, "input", end - 2, end - 2 - HOP // 2, -1), axis=1)
    columns = []
    for start in range(0, FRAME, HOP):
        left = _part(graph, samples, start + 1, start + half + 1)
        right = _part(graph, samples, start + WINDOW - 1, start + half - 1, -1)
        waves = [graph.add("MatMul", graph.add("Add", left, right), both)]
        waves.append(graph.add("MatMul", graph.add("Sub", left, right), odd))
        columns.append(graph.add("Sqrt", graph.add("Add", *(graph.add("Mul", wave, wave) for wave in waves))))
    return columns


def _part(graph: Graph, x: str, start: int, end: int, step: int = 1) -> str:
    return graph.add("Slice", x, *(graph.constant(np.array([n], np.int64)) for n in (start, end, 1, step)))


def _convolution(graph: Graph, columns: list[str], kernel: Floats, bias: Floats, stride: int) -> list[str]:
    """Columns [n, out] of columns [n, in], beyond whose ends there is nothing, with a kernel [out, in, 3]."""
    if bias.shape != kernel.shape[:1] or kernel.shape[2] != 3:
        raise ValueError("This is not a convolution of three columns.")
    bias_name, found = graph.constant(bias), []
    for middle in range(0, len(columns), stride):
        near = range(max(0, middle - 1), min(len(columns), middle + 2))
        matrix = graph.constant(np.concatenate([kernel[:, :, column - middle + 1].T for column in near]))
        x = graph.add("Concat", *(columns[column] for column in near), axis=1)
        found.append(graph.add("Relu", graph.add("Gemm", x, matrix, bias_name)))
    return found
