"""CAM++ (https://arxiv.org/abs/2303.00332), which hears whose voice it is, as an ONNX file made of its weights.

Normalisations are folded into the convolutions before them. The network is built for windows of `FRAMES` frames: up to
200 need no pooling by segments for its masks.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from container.binary import MalformedFile
from container.onnx import Graph

FRAMES, MELS, SIZE = 150, 80, 192
"""Frames of 10 ms and mel bands that go in, and the numbers of the voice that come out."""

BLOCKS = ((12, 1), (24, 2), (16, 2))
"""Layers of each dense block and their dilation."""

OPERATORS = 13
"""Version of ONNX's operators. Another one is another file, with another checksum."""

SMALLEST = 1e-5
STEPS = FRAMES // 2
Weights = dict[str, NDArray[Any]]


def onnx(weights: Weights) -> bytes:
    """The network: `features` [n, FRAMES, MELS] to `voice` [n, SIZE]. Raises MalformedFile if weights are missing."""
    try:
        return _Network(weights).build()
    except KeyError as missing:
        raise MalformedFile(f"The checkpoint has no {missing}.") from None


class _Network:
    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._graph = Graph(OPERATORS)

    def build(self) -> bytes:
        add = self._graph.add
        x = self._xvector(self._head(self._number(add("Transpose", "features", perm=[0, 2, 1]))))
        mean = add("ReduceMean", x, axes=[2], keepdims=1)
        difference = add("Sub", x, mean)
        variance = add("ReduceMean", add("Mul", difference, difference), axes=[2], keepdims=1)
        unbiased = add("Mul", variance, self._constant(STEPS / (STEPS - 1)))
        pooled = add("Concat", mean, add("Sqrt", unbiased), axis=1)
        voice = self._convolved(pooled, "xvector.dense.linear", "xvector.dense.nonlinear.batchnorm", kernel_shape=[1])
        flat = add("Reshape", voice, self._graph.constant(np.array([0, SIZE], np.int64)))
        return self._graph.model({"features": ["n", FRAMES, MELS]}, {flat: ["n", SIZE]})

    def _number(self, x: str) -> str:
        return self._graph.add("Unsqueeze", x, self._graph.constant(np.array([1], np.int64)))

    def _head(self, x: str) -> str:
        add = self._graph.add
        square: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
        x = add("Relu", self._convolved(x, "head.conv1", "head.bn1", **square))
        for name, stride in [("1.0", 2), ("1.1", 1), ("2.0", 2), ("2.1", 1)]:
            layer = f"head.layer{name}"
            y = add("Relu", self._convolved(x, f"{layer}.conv1", f"{layer}.bn1", strides=[stride, 1], **square))
            y = self._convolved(y, f"{layer}.conv2", f"{layer}.bn2", **square)
            if stride > 1:
                short, norm = f"{layer}.shortcut.0", f"{layer}.shortcut.1"
                x = self._convolved(x, short, norm, strides=[stride, 1], kernel_shape=[1, 1])
            x = add("Relu", add("Add", x, y))
        x = add("Relu", self._convolved(x, "head.conv2", "head.bn2", strides=[2, 1], **square))
        return add("Reshape", x, self._graph.constant(np.array([0, -1, FRAMES], np.int64)))

    def _xvector(self, x: str) -> str:
        name = "xvector.tdnn.linear"
        first = self._convolved(x, name, "xvector.tdnn.nonlinear.batchnorm", kernel_shape=[5], strides=[2], pads=[2, 2])
        x = self._graph.add("Relu", first)
        for block, (layers, dilation) in enumerate(BLOCKS, start=1):
            for layer in range(1, layers + 1):
                y = self._layer(x, f"xvector.block{block}.tdnnd{layer}", dilation)
                x = self._graph.add("Concat", x, y, axis=1)
            transit = f"xvector.transit{block}"
            x = self._convolved(
                self._normal(x, f"{transit}.nonlinear.batchnorm"), f"{transit}.linear", kernel_shape=[1]
            )
        return self._normal(x, "xvector.out_nonlinear.batchnorm")

    def _layer(self, x: str, name: str, dilation: int) -> str:
        """A layer whose result is masked by what the whole window is like."""
        add, cam = self._graph.add, f"{name}.cam_layer"
        x = self._normal(x, f"{name}.nonlinear1.batchnorm")
        x = add("Relu", self._convolved(x, f"{name}.linear1", f"{name}.nonlinear2.batchnorm", kernel_shape=[1]))
        local = self._convolved(
            x, f"{cam}.linear_local", kernel_shape=[3], pads=[dilation, dilation], dilations=[dilation]
        )
        # The mean over the segment, which is the whole window, and that over the window.
        context = add("Mul", add("ReduceMean", x, axes=[2], keepdims=1), self._constant(2.0))
        context = add("Relu", self._convolved(context, f"{cam}.linear1", kernel_shape=[1]))
        mask = add("Sigmoid", self._convolved(context, f"{cam}.linear2", kernel_shape=[1]))
        return add("Mul", local, mask)

    def _convolved(self, x: str, name: str, norm: str | None = None, **attributes: int | list[int]) -> str:
        kernel = self._weights[f"{name}.weight"].astype(np.float64)
        bias = self._weights.get(f"{name}.bias", np.zeros(len(kernel))).astype(np.float64)
        if norm is not None:
            scale, shift = self._affine(norm)
            kernel, bias = kernel * scale.reshape(-1, *[1] * (kernel.ndim - 1)), bias * scale + shift
        return self._graph.add("Conv", x, self._constant(kernel), self._constant(bias), **attributes)

    def _normal(self, x: str, name: str) -> str:
        scale, shift = (self._constant(values.reshape(1, -1, 1)) for values in self._affine(name))
        return self._graph.add("Relu", self._graph.add("Add", self._graph.add("Mul", x, scale), shift))

    def _affine(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What a normalisation multiplies by and adds."""
        mean, variance = (
            self._weights[f"{name}.{part}"].astype(np.float64) for part in ("running_mean", "running_var")
        )
        scale = self._weights.get(f"{name}.weight", np.ones(len(mean))) / np.sqrt(variance + SMALLEST)
        return scale, self._weights.get(f"{name}.bias", np.zeros(len(mean))) - mean * scale

    def _constant(self, values: NDArray[np.float64] | float) -> str:
        return self._graph.constant(np.asarray(values, np.float32))
