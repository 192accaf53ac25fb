"""The layers of Whisper's networks as operators of onnxruntime, their products in whole numbers."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from container.onnx import Graph
from container.tensors import Floats, Weights

OPERATORS = 17
"""Version of ONNX's operators: the first with a normalisation of layers."""

STEPS = 90
"""Of a weight to either side of zero. Processors without VNNI cut off what two products sum up to beyond 16 bits: with
the 127 that 8 bits have, that are up to 3 sums of 10,000 on speech, and errors become half as large again; with 90,
6 of a million, which change nothing. None would need 64.
"""

ATTENDED_STEPS = 64
"""The same of what is attended to: where two shares are large, so are two values next to each other, and 2 * 255 * 64
are no more than 16 bits.
"""

TINY = np.float32(1e-30)
"""In place of nothing, to divide by: a hundredth of it is still a number like others."""

WHOLE, MIDDLE, LOW = 255, 128, 32
"""The largest whole number in a row, the one in the place of zero, and the one in its place after GELU, which gives no
less than -0.17: all others serve for what is above it, from a row's maximum of 1.2 on. Wrong words of nine tracks with
tiny.en and with base: 359 and 340 with 128 after GELU, 345 and 342 with 16, 340 and 328 with 32.
"""

EPSILON = 1e-5
"""Added to variances by OpenAI's model."""

DEVIATIONS = 4.0
"""How far from the mean normalised values mostly are, at most."""


class Rows(NamedTuple):
    """Names of rows of whole numbers [n, columns], of what a step is worth in each [n, 1] and of what stands for zero,
    and what their columns were divided by if not by 1.
    """

    x: str
    step: str
    zero: str
    columns: Floats | None = None


class Layers:
    """A graph with the layers of a model in it: names of values [n, columns] go in and come out."""

    def __init__(self, weights: Weights) -> None:
        self.graph = Graph(OPERATORS)
        self.add, self.constant = self.graph.add, self.graph.constant
        self._weights = weights
        self._tiny, self._one = self.constant(np.array(TINY)), self.constant(np.array(1, np.float32))
        self._lists: dict[tuple[int, ...], str] = {}

    def integers(self, *values: int) -> str:
        if values not in self._lists:
            self._lists[values] = self.constant(np.array(values, np.int64))
        return self._lists[values]

    def normalised(self, x: str, name: str, readers: Iterable[str]) -> Rows:
        """For the matrices of weights that read it. A few columns are much larger than all others, and would have the
        range of whole numbers to themselves: they are divided, and the weights multiplied, so that both become more
        even (Xiao et al., SmoothQuant, 2022).
        """
        weight, bias = (self._weights[f"{name}.{part}"] for part in ("weight", "bias"))
        values = DEVIATIONS * np.abs(weight) + np.abs(bias)
        weights = np.max([np.abs(next(self._weights.parts(reader))).max(0) for reader in readers], axis=0)
        columns = np.sqrt(np.maximum(values, EPSILON) / np.maximum(weights, EPSILON))
        parts = (self.constant(part / columns) for part in (weight, bias))
        return self.rows(self.add("LayerNormalization", x, *parts, axis=-1, epsilon=EPSILON), columns)

    def rows(self, x: str, columns: Floats | None = None, zero: int = MIDDLE) -> Rows:
        """Each with steps of its own: few rows would take up a range for all."""
        ends = {"ReduceMin": -zero, "ReduceMax": WHOLE - zero}
        needed = (
            self.add("Mul", self.add(end, x, axes=[-1], keepdims=1), self.constant(np.array(1 / size, np.float32)))
            for end, size in ends.items()
            if size
        )
        step, middle = self.add("Max", *needed, self._tiny), self.constant(np.array(zero, np.uint8))
        steps = self.add("Reshape", step, self.integers(-1))
        zeros = self.add("Expand", middle, self.add("Shape", steps))
        return Rows(self.add("QuantizeLinear", x, steps, zeros, axis=0), step, middle, columns)

    def linear(self, rows: Rows, name: str, factor: float = 1.0) -> str:
        """By whole numbers, with steps for each row of what goes in, and for each column of the weights. Only keys have
        no bias. The result is multiplied by `factor`.
        """
        product = self.product(rows, [self._weights[f"{name}.weight"] * np.float32(factor)])
        if name.endswith(".key"):
            return product
        return self.add("Add", product, self.constant(self._weights[f"{name}.bias"] * np.float32(factor)))

    def product(self, rows: Rows, parts: Iterable[Floats]) -> str:
        """With weights that come in parts."""
        wide = parts if rows.columns is None else (part * rows.columns for part in parts)
        matrices, steps = map(list, zip(*map(_whole, wide), strict=True))
        matrix, sizes = np.concatenate(matrices, axis=1), np.concatenate(steps)
        return self.add("Mul", self._product(rows.x, self.constant(matrix), self.constant(sizes), rows.zero), rows.step)

    def _product(self, x: str, matrix: str, steps: str, zero: str) -> str:
        return self.add("com.microsoft.MatMulIntegerToFloat", x, matrix, self._one, steps, zero)

    def whole(self, x: str, axes: list[int]) -> tuple[str, str]:
        """Signed whole numbers for x, and what a step is worth: the same along the axes."""
        most = self.add("ReduceMax", self.add("Abs", x), axes=axes, keepdims=1)
        step = self.add(
            "Max", self.add("Mul", most, self.constant(np.array(1 / ATTENDED_STEPS, np.float32))), self._tiny
        )
        zero = self.constant(np.array(0, np.int8))
        return self.add("QuantizeLinear", self.add("Div", x, step), self._one, zero), step

    def attended(self, x: str, whole: str, step: str, zero: int) -> str:
        """The product of x [..., n, columns] with signed whole numbers [..., columns, m], of which a step is worth
        `step` [..., 1, 1 or m]; `zero` is 0 where no x is below.
        """
        shape, end = self.add("Shape", x), self.integers(-1)
        rows = self.rows(self.add("Flatten", x, axis=-1), zero=zero)
        product = self._product(self.add("Reshape", rows.x, shape), whole, self._one, rows.zero)
        each = self.add("Concat", self.add("Slice", shape, self.integers(0), end), self.integers(1), axis=0)
        return self.add("Mul", product, self.add("Mul", self.add("Reshape", rows.step, each), step))

    def forward(self, x: str, name: str) -> str:
        """The sum of x and what the two outer layers of a block make of it."""
        wide = self.linear(self.normalised(x, f"{name}.mlp_ln", [f"{name}.mlp.0.weight"]), f"{name}.mlp.0")
        rows = self.rows(self.add("com.microsoft.Gelu", wide), zero=LOW)
        return self.add("Add", x, self.linear(rows, f"{name}.mlp.2"))


def _whole(weight: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Weights [out, in] as whole numbers [in, out], and what one step is worth in each column."""
    steps = np.maximum(np.abs(weight).max(1), TINY) / np.float32(STEPS)
    return np.rint(weight.T / steps).astype(np.int8), steps
