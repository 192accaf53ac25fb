"""Large matrix products by numpy's BLAS, which packages of whisper.cpp come without.

Whisper's encoder is nearly all such products: with them, a recogniser needs half the time (docs/benchmarks.md).
"""

import ctypes
import functools
import math
import threading
from ctypes import c_int, c_int64

import numpy as np
import threadpoolctl
from numpy.typing import NDArray

from container import accelerator
from container.accelerator import Tensor, traits

F32 = 0
"""GGML_TYPE_F32"""

LEAST = 32
"""Rows and columns of a result from which on BLAS is worth the way to it: as in ggml's own device for BLAS."""

MOST = 1 << 23
"""Numbers in a matrix that are converted at once (32 MB). Only vocabularies have more, for products of a few rows."""

SIZES, OPERATION = Tensor.ne.offset, Tensor.op.offset

Matrices = NDArray[np.float32]


def use(threads: int) -> None:
    """Have all recognisers that are loaded from now on use BLAS, with so many threads for each product."""
    if _registered():
        threadpoolctl.threadpool_limits(threads, "blas")


@functools.cache
def _registered() -> bool:
    return accelerator.register(b"numpy", Products())


class Products:
    """Multiplies matrices of 32-bit floats, and of all types that ggml converts to them."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._product = accelerator.operation(b"MUL_MAT")
        names = (b"NONE", b"RESHAPE", b"VIEW", b"PERMUTE", b"TRANSPOSE")
        self._free = frozenset(accelerator.operation(name) for name in names)

    def takes(self, address: int) -> bool:
        """Products that are large enough, and what costs nothing and so goes along.

        Asked some hundred times for each token, so what says no is read first, and nothing else.
        """
        operation = c_int.from_address(address + OPERATION).value
        if operation != self._product:
            return operation in self._free
        rows, columns = c_int64.from_address(address + SIZES + 8).value, c_int64.from_address(address + SIZES).value
        if rows < LEAST or columns < LEAST:
            return False
        return all(map(_readable, _factors(Tensor.from_address(address))))

    def compute(self, result: Tensor) -> None:
        """The product of two factors `(…, m, k)` and `(…, n, k)` is `(…, n, m)`: ggml's rows are numpy's last axis."""
        if result.op == self._product:
            one, other = (self._matrices(factor, place) for place, factor in enumerate(_factors(result)))
            np.matmul(other, one.swapaxes(-1, -2), out=self._matrices(result, 0))

    def _matrices(self, tensor: Tensor, place: int) -> Matrices:
        """The numbers of a tensor: where they are, or converted into one of this thread's two buffers."""
        shape, strides = tensor.ne[::-1], tensor.nb[::-1]
        if tensor.type == F32:
            end = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True)) + 4
            return np.ndarray(shape, np.float32, (ctypes.c_char * end).from_address(tensor.data), 0, strides)
        numbers, count = traits(tensor.type), math.prod(shape)
        buffer = self._buffer(place, count)
        numbers.to_float(tensor.data, buffer.ctypes.data, count)
        rows = [stride // numbers.type_size * numbers.blck_size * 4 for stride in strides[:-1]]
        return np.ndarray(shape, np.float32, buffer, 0, [*rows, 4])

    def _buffer(self, place: int, size: int) -> Matrices:
        """Kept from call to call: as new memory it would come from the kernel, page by page."""
        buffers: dict[int, Matrices] = self._own.__dict__.setdefault("buffers", {})
        if place not in buffers or buffers[place].size < size:
            buffers[place] = np.empty(size, np.float32)
        return buffers[place]


def _readable(factor: Tensor) -> bool:
    """Whether it can be taken as it is, or is a permutation of memory without gaps, which is converted as a whole."""
    numbers, count = traits(factor.type), math.prod(factor.ne)
    if factor.type == F32:
        return bool(factor.nb[0] == numbers.type_size)
    size = count // numbers.blck_size * numbers.type_size
    packed = max(map(int.__mul__, factor.ne[1:], factor.nb[1:])) == size and factor.nb[0] == numbers.type_size
    return packed and count <= MOST and bool(numbers.to_float)


def _factors(result: Tensor) -> list[Tensor]:
    return [Tensor.from_address(address) for address in result.src[:2]]
