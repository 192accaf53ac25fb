"""Neural networks written as ONNX files (https://onnx.ai/onnx/repo-docs/IR.html), a few operators at a time."""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

IR_VERSION = 8
ADDED = 1
"""Version of the operators that onnxruntime adds to ONNX's own."""
FLOAT, INT8, INT64 = 1, 3, 7
KINDS = {"float32": FLOAT, "int8": INT8, "int64": INT64}
ATTRIBUTE_FLOAT, ATTRIBUTE_INT, ATTRIBUTE_INTS = 1, 2, 7


class Graph:
    """A graph that grows by operators; what they give is known by names."""

    def __init__(self, version: int) -> None:
        """`version` of ONNX's operators."""
        self._versions = {"": version}
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []

    def constant(self, values: NDArray[Any]) -> str:
        name = f"c{len(self._constants)}"
        shape = b"".join(_integer(1, size) for size in values.shape)
        data = np.ascontiguousarray(values).tobytes()
        self._constants.append(shape + _integer(2, KINDS[values.dtype.name]) + _text(8, name) + _bytes(9, data))
        return name

    def add(self, operator: str, *inputs: str, **attributes: float | list[int]) -> str:
        """The name of the operator's result. Its own name has its domain before it: `com.microsoft.Gelu`."""
        name = f"v{len(self._nodes)}"
        domain, _, operator = operator.rpartition(".")
        node = b"".join(_text(1, given) for given in inputs) + _text(2, name) + _text(4, operator)
        node += b"".join(_bytes(5, _attribute(*item)) for item in attributes.items())
        if domain:
            node += _text(7, domain)
            self._versions[domain] = ADDED
        self._nodes.append(node)
        return name

    def model(self, given: tuple[str, list[int]], result: tuple[str, list[int]]) -> bytes:
        """The file: names and shapes of what goes in and comes out; the first size of both may be any."""
        graph = b"".join(_bytes(1, node) for node in self._nodes) + _text(2, "graph")
        graph += b"".join(_bytes(5, constant) for constant in self._constants)
        graph += _bytes(11, _value(*given)) + _bytes(12, _value(*result))
        operators = [_bytes(8, _text(1, domain) + _integer(2, version)) for domain, version in self._versions.items()]
        return _integer(1, IR_VERSION) + b"".join(operators) + _bytes(7, graph)


def _attribute(name: str, value: float | list[int]) -> bytes:
    if isinstance(value, float):
        return _text(1, name) + _varint(2 << 3 | 5) + struct.pack("<f", value) + _integer(20, ATTRIBUTE_FLOAT)
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
    value &= (1 << 64) - 1
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
