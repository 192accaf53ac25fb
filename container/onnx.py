"""Neural networks written as ONNX files (https://onnx.ai/onnx/repo-docs/IR.html), a few operators at a time."""

import itertools
import struct
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from container.binary import MalformedFile

IR_VERSION = 8
ADDED = 1
"""Version of the operators that onnxruntime adds to ONNX's own."""
FLOAT, UINT8, INT8, INT64 = 1, 2, 3, 7
KINDS = {"float32": FLOAT, "uint8": UINT8, "int8": INT8, "int64": INT64}
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""How a field's value is written: https://protobuf.dev/programming-guides/encoding/."""
ATTRIBUTE_FLOAT, ATTRIBUTE_INT, ATTRIBUTE_INTS = 1, 2, 7

Shape = Sequence[int | str]
"""Sizes, or names of sizes that may be any. onnxruntime takes what has one name to be of one size."""


def constants(file: bytes) -> dict[str, NDArray[np.float32]]:
    """The 32-bit floats that a file holds as raw bytes, by name. Raises MalformedFile."""
    try:
        graph = _fields(_fields(memoryview(file))[7][0])
        found = (_fields(tensor) for tensor in graph[5])
        return {
            bytes(tensor[8][0]).decode(): np.frombuffer(tensor[9][0], "<f4").reshape([int(n) for n in tensor[1]])
            for tensor in found
            if tensor[2] == [FLOAT]
        }
    except (KeyError, IndexError, TypeError, ValueError, struct.error) as cause:
        raise MalformedFile(f"This is no ONNX file of weights ({type(cause).__name__}).") from None


class Graph:
    """A graph that grows by operators; what they give is known by names."""

    def __init__(self, version: int) -> None:
        """`version` of ONNX's operators."""
        self._versions = {"": version}
        self._nodes: list[bytes] = []
        self._constants: list[list[bytes]] = []

    def constant(self, values: NDArray[Any]) -> str:
        name = f"c{len(self._constants)}"
        shape = b"".join(_integer(1, size) for size in values.shape)
        head = shape + _integer(2, KINDS[values.dtype.name]) + _text(8, name)
        self._constants.append(_message(5, [head, *_message(9, [np.ascontiguousarray(values).tobytes()])]))
        return name

    def add(self, operator: str, *inputs: str, **attributes: float | list[int]) -> str:
        """The name of the operator's result. Its own name has its domain before it: `com.microsoft.Gelu`."""
        (name,) = self.add_with_results(1, operator, *inputs, **attributes)
        return name

    def add_with_results(
        self, count: int, operator: str, *inputs: str, **attributes: float | list[int]
    ) -> tuple[str, ...]:
        """The names of the first results of an operator that has several; an input without a name is left out."""
        names = tuple(f"v{len(self._nodes)}" + "'" * place for place in range(count))
        domain, _, operator = operator.rpartition(".")
        node = b"".join(_text(1, given) for given in inputs)
        node += b"".join(_text(2, name) for name in names) + _text(4, operator)
        node += b"".join(_bytes(5, _attribute(*item)) for item in attributes.items())
        if domain:
            node += _text(7, domain)
            self._versions[domain] = ADDED
        self._nodes.append(node)
        return names

    def model(self, given: Mapping[str, Shape], results: Mapping[str, Shape], whole: Collection[str] = ()) -> bytes:
        """The file: names and shapes of what goes in and comes out, 32-bit floats, or signed bytes what is `whole`."""
        graph = [_bytes(1, node) for node in self._nodes] + [_text(2, "graph")]
        graph += itertools.chain.from_iterable(self._constants)
        for field, values in ((11, given), (12, results)):
            kinds = (INT8 if name in whole else FLOAT for name in values)
            graph += [_bytes(field, _value(*item, kind)) for item, kind in zip(values.items(), kinds, strict=True)]
        operators = [_bytes(8, _text(1, domain) + _integer(2, version)) for domain, version in self._versions.items()]
        return b"".join([_integer(1, IR_VERSION), *operators, *_message(7, graph)])


def _attribute(name: str, value: float | list[int]) -> bytes:
    if isinstance(value, float):
        return _text(1, name) + _varint(2 << 3 | FIXED32) + struct.pack("<f", value) + _integer(20, ATTRIBUTE_FLOAT)
    if isinstance(value, int):
        return _text(1, name) + _integer(3, value) + _integer(20, ATTRIBUTE_INT)
    return _text(1, name) + b"".join(_integer(8, one) for one in value) + _integer(20, ATTRIBUTE_INTS)


def _value(name: str, shape: Shape, kind: int) -> bytes:
    sizes = b"".join(_bytes(1, _text(2, size) if isinstance(size, str) else _integer(1, size)) for size in shape)
    return _text(1, name) + _bytes(2, _bytes(1, _integer(1, kind) + _bytes(2, sizes)))


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3 | VARINT) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _bytes(field: int, value: bytes) -> bytes:
    return b"".join(_message(field, [value]))


def _message(field: int, parts: list[bytes]) -> list[bytes]:
    """In parts as well, so that weights are not copied for each message that they are in."""
    return [_varint(field << 3 | BYTES) + _varint(sum(map(len, parts))), *parts]


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _fields(message: memoryview) -> dict[int, list[Any]]:
    """What a protobuf message holds by the numbers of its fields: integers, and views of what has a length."""
    found: dict[int, list[Any]] = {}
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        value: int | memoryview
        if key & 7 == VARINT:
            value, at = _read_varint(message, at)
        else:
            size, at = _read_varint(message, at) if key & 7 == BYTES else ({FIXED64: 8, FIXED32: 4}[key & 7], at)
            value, at = message[at : at + size], at + size
        found.setdefault(key >> 3, []).append(value)
    return found


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while message[at] & 0x80 and shift < 64:
        value |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | message[at] << shift, at + 1
