"""Reader of CTranslate2's binary model format (`model.bin`, binary versions 4 to 6).

Layout, all little-endian, as written by `ctranslate2/specs/model_spec.py`: u32 binary version, string specification,
u32 specification revision, u32 count of variables; each variable: string name, u8 rank, u32 per dimension, u8 type,
u32 size in bytes, data; then u32 count of aliases, each two strings: alias, variable. A string is u16 length that
counts the closing NUL, then the bytes.
"""

import math
import mmap
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from container.binary import Reader

TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def read(path: Path) -> dict[str, NDArray[Any]]:
    """The variables of a model by name, as read-only views of the mapped file; `MalformedFile` if it is damaged."""
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            raise Reader(file, path.name).error("it is empty")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    source = Reader(cast("Any", data), path.name)
    source.integer("I", 4, 6, "its binary version")
    _text(source)
    source.unpack("I")
    variables: dict[str, NDArray[Any]] = {}
    for _ in range(source.integer("I", 1, 100_000, "its count of variables")):
        name = _text(source)
        variables[name] = _variable(source, data, name)
    for _ in range(source.integer("I", 0, 100_000, "its count of aliases")):
        alias, name = _text(source), _text(source)
        if name not in variables:
            raise source.error(f"'{alias}' stands for '{name}', which is not there")
        variables[alias] = variables[name]
    return variables


def _text(source: Reader) -> str:
    size = source.integer("H", 1, 65535, "the length of a name")
    return source.read(size)[:-1].decode("utf-8", "replace")


def _variable(source: Reader, data: mmap.mmap, name: str) -> NDArray[Any]:
    rank = source.integer("B", 0, 8, f"the rank of '{name}'")
    shape = source.unpack(f"{rank}I")
    kind = source.integer("B", 0, max(TYPES), f"the type of '{name}'")
    (size,) = source.unpack("I")
    dtype = np.dtype(TYPES[kind]).newbyteorder("<")
    start, count = data.tell(), math.prod(shape)
    if size != count * dtype.itemsize:
        raise source.error(f"'{name}' has {size} bytes, its shape {shape} needs {count * dtype.itemsize}")
    if start + size > len(data):
        raise source.error(f"it ends in the middle of '{name}'")
    data.seek(start + size)
    return np.frombuffer(data, dtype, count, start).reshape(shape)
