"""Neural networks written as ONNX files (https://onnx.ai/onnx/repo-docs/IR.html), a few operators at a time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

IR_VERSION, OPERATORS = 8, 13
FLOAT, INT64 = 1, 7
KINDS = {"float32": FLOAT, "int64": INT64}
ATTRIBUTE_INT, ATTRIBUTE_INTS = 2, 7


class Graph:
    """A graph that grows by operators; what they give is known by names."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []

    def constant(self, values: NDArray[Any]) -> str:
        name = f"c{len(self._constants)}"
        shape = b"".join(_integer(1, size) for size in values.shape)
        data = np.ascontiguousarray(values).tobytes()
        self._constants.append(shape + _integer(2, KINDS[values.dtype.name]) + _text(8, name) + _bytes(9, data))
        return name

    def add(self, operator: str, *inputs: str, **attributes: int | list[int]) -> str:
        """The name of the operator's result."""
        name = f"v{len(self._nodes)}"
        node = b"".join(_text(1, given) for given in inputs) + _text(2, name) + _text(4, operator)
        self._nodes.append(node + b"".join(_bytes(5, _attribute(*item)) for item in attributes.items()))
        return name

    def model(self, given: tuple[str, list[int]], result: tuple[str, list[int]]) -> bytes:
        """The file: names and shapes of what goes in and comes out; the first size of both may be any."""
        graph = b"".join(_bytes(1, node) for node in self._nodes) + _text(2, "graph")
        graph += b"".join(_bytes(5, constant) for constant in self._constants)
        graph += _bytes(11, _value(*given)) + _bytes(12, _value(*result))
        return _integer(1, IR_VERSION) + _bytes(8, _text(1, "") + _integer(2, OPERATORS)) + _bytes(7, graph)


def _attribute(name: str, value: int | list[int]) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _integer(3, value) + _integer(20, ATTRIBUTE_INT)
    return _text(1, name) + b"".join(_integer(8, one) for one in value) + _integer(20, ATTRIBUTE_INTS)


def _value(name: str, shape: list[int]) -> bytes:
    sizes = _bytes(1, _text(2, "n")) + b"".join(_bytes(1, _integer(1, size)) for size in shape)
    return _text(1, name) + _bytes(2, _bytes(1, _integer(1, FLOAT) + _bytes(2, sizes)))


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
