"""Large matrix products by numpy's BLAS, which packages of whisper.cpp come without.

Whisper hears a sound, and a prompt, by such products: with them, a recogniser needs half the time (docs/benchmarks.md).
"""

import math
import threading
from ctypes import c_int64

import numpy as np
from numpy.typing import NDArray

from container.accelerator import SIZES, Tensor, floats, traits

F32 = 0
"""GGML_TYPE_F32"""

LEAST = 32
"""Rows and columns of a result from which on numpy is worth the way to it: as in ggml's own device for BLAS."""

MOST = 1 << 23
"""Numbers in a matrix that are converted at once (32 MB). Only vocabularies have more."""

VOCABULARY = 50_000
"""Rows from which on a matrix has one for each token: Whisper's have 51,864 to 51,866, and no other has 6,000."""

Matrices = NDArray[np.float32]


class Products:
    """Multiplies matrices of 32-bit floats, and of all types that ggml converts to them."""

    def __init__(self) -> None:
        self._own = threading.local()

    def takes(self, address: int) -> bool:
        """What is large enough. Asked for each product of each token, so what says no is read first, and alone."""
        rows, columns = c_int64.from_address(address + SIZES + 8).value, c_int64.from_address(address + SIZES).value
        if rows < LEAST or columns < LEAST:
            return False
        one, other = _factors(Tensor.from_address(address))
        return _readable(one) and _readable(other) and (_bounded(one) or _vocabulary(one)) and _bounded(other)

    def compute(self, result: Tensor) -> None:
        """Matrices `(…, m, k)` and `(…, n, k)` have the product `(…, n, m)`: ggml's rows are numpy's last axis."""
        one, other = _factors(result)
        product, others = self._matrices(result, 0), self._matrices(other, 1)
        if _vocabulary(one):
            self._last_row(one, others[0, 0, -1], product[0, 0, -1])
        else:
            np.matmul(others, self._matrices(one, 0).swapaxes(-1, -2), out=product)

    def _last_row(self, vocabulary: Tensor, state: Matrices, scores: Matrices) -> None:
        """The scores of all tokens after the last of many: whisper.cpp has those after the others computed as well, and
        never looks at them. They stay what they were.
        """
        at_once = MOST // vocabulary.ne[0]
        for first in range(0, vocabulary.ne[1], at_once):
            count = min(at_once, vocabulary.ne[1] - first)
            rows = self._converted(vocabulary, vocabulary.data + first * vocabulary.nb[1], count * vocabulary.ne[0], 0)
            np.matmul(rows.reshape(count, -1), state, out=scores[first : first + count])

    def _matrices(self, tensor: Tensor, place: int) -> Matrices:
        """The numbers of a tensor: where they are, or converted into one of this thread's two buffers."""
        if tensor.type == F32:
            return floats(tensor)
        shape, strides = tensor.ne[::-1], tensor.nb[::-1]
        numbers = traits(tensor.type)
        converted = self._converted(tensor, tensor.data, math.prod(shape), place)
        rows = [stride // numbers.type_size * numbers.blck_size * 4 for stride in strides[:-1]]
        return np.ndarray(shape, np.float32, converted, 0, [*rows, 4])

    def _converted(self, tensor: Tensor, address: int, count: int, place: int) -> Matrices:
        """So many numbers of the tensor's type. The buffer is kept: as new memory it would come page by page."""
        buffers: dict[int, Matrices] = self._own.__dict__.setdefault("buffers", {})
        if place not in buffers or buffers[place].size < count:
            buffers[place] = np.empty(count, np.float32)
        traits(tensor.type).to_float(address, buffers[place].ctypes.data, count)
        return buffers[place][:count]


def _readable(factor: Tensor) -> bool:
    """Whether it can be taken as it is, or is a permutation of memory without gaps, which is converted as a whole."""
    numbers, count = traits(factor.type), math.prod(factor.ne)
    if factor.type == F32:
        return bool(factor.nb[0] == numbers.type_size)
    size = count // numbers.blck_size * numbers.type_size
    packed = max(map(int.__mul__, factor.ne[1:], factor.nb[1:])) == size and factor.nb[0] == numbers.type_size
    return packed and bool(numbers.to_float)


def _bounded(factor: Tensor) -> bool:
    return bool(factor.type == F32 or math.prod(factor.ne) <= MOST)


def _vocabulary(factor: Tensor) -> bool:
    """Whether it has a row for each token, and is to be converted."""
    return bool(factor.type != F32 and factor.ne[1] >= VOCABULARY and factor.ne[2] == factor.ne[3] == 1)


def _factors(result: Tensor) -> tuple[Tensor, Tensor]:
    return Tensor.from_address(result.src[0]), Tensor.from_address(result.src[1])
