"""Matrix products for whisper.cpp by numpy's BLAS, against the same products in plain numpy."""

import ctypes
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from chalicelib.transcript import Chunk, Span
from container import accelerator, catalogue, recogniser
from container.accelerator import Tensor
from container.blas import MOST, Products
from container.engine import CONTEXT_PER_SECOND, SPARE_CONTEXT
from container.ggml import q8_0
from container.media import decode

F32, F16, Q8_0 = 0, 1, 8
Floats = NDArray[np.float32]

TYPES: dict[int, tuple[Callable[[Floats], bytes], float]] = {
    F32: (lambda array: array.tobytes(), 1e-4),
    F16: (lambda array: array.astype(np.float16).tobytes(), 0.05),
    Q8_0: (q8_0, 0.3),
}
"""How numbers become bytes of a type, and how wrong a product of 64 of them may be."""


class Made:
    """Tensors in memory of their own."""

    def __init__(self) -> None:
        self.memory: list[Any] = []
        self.tensors: list[Tensor] = []

    def tensor(self, array: Floats, type: int = F32, order: tuple[int, ...] = (0, 1, 2, 3)) -> Tensor:
        """An array of four axes as ggml holds it; `order` are its axes as they lie in memory, outermost first."""
        stored = array.transpose(order)
        memory = ctypes.create_string_buffer(TYPES[type][0](np.ascontiguousarray(stored)))
        self.memory.append(memory)
        numbers = accelerator.traits(type)
        row = array.shape[order[-1]] // numbers.blck_size * numbers.type_size
        strides = dict.fromkeys(range(4), 0)
        for axis, extent in zip(reversed(order), np.cumprod([1, *reversed(stored.shape[1:])]).tolist(), strict=True):
            strides[axis] = numbers.type_size if extent == 1 else extent // stored.shape[-1] * row
        tensor = Tensor(type=type, data=ctypes.addressof(memory))
        tensor.ne[:] = array.shape[::-1]
        tensor.nb[:] = [strides[axis] for axis in (3, 2, 1, 0)]
        self.tensors.append(tensor)
        return tensor

    def product(self, one: Tensor, other: Tensor) -> tuple[Tensor, Floats]:
        """The result's tensor, and an array of its memory, of zeros so far."""
        array = np.zeros((*other.ne[:1:-1], other.ne[1], one.ne[1]), np.float32)
        result = self.tensor(array)
        result.op = accelerator.operation(b"MUL_MAT")
        result.src[0], result.src[1] = ctypes.addressof(one), ctypes.addressof(other)
        view = np.frombuffer(self.memory[-1], np.float32, array.size).reshape(array.shape)
        return result, view


@pytest.fixture
def made() -> Made:
    return Made()


def numbers(*shape: int) -> Floats:
    return np.random.default_rng(math.prod(shape)).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 1, 3)], ids=["plain", "permuted"])
def test_products_are_right(made: Made, type: int, order: tuple[int, ...]) -> None:
    weights, sound = numbers(1, 3, 40, 64), numbers(1, 3, 50, 64)
    result, array = made.product(made.tensor(weights, type, order), made.tensor(sound, order=order))
    products = Products()
    assert products.takes(ctypes.addressof(result))
    products.compute(result)
    np.testing.assert_allclose(array, sound @ weights.swapaxes(2, 3), atol=TYPES[type][1])


def test_both_factors_may_be_converted(made: Made) -> None:
    """As in the first layers, where sound and weights have 16 bits."""
    sound, weights = numbers(1, 1, 90, 96), numbers(1, 1, 32, 96)
    result, array = made.product(made.tensor(sound, F16), made.tensor(weights, F16))
    products = Products()
    assert products.takes(ctypes.addressof(result))
    products.compute(result)
    np.testing.assert_allclose(array, weights @ sound.swapaxes(2, 3), atol=0.1)


@pytest.mark.parametrize("type", [F16, Q8_0])
def test_of_the_vocabulary_the_last_row_is_computed(made: Made, type: int) -> None:
    vocabulary, states = numbers(1, 1, MOST // 96 + 1000, 96), numbers(1, 1, 40, 96)
    result, array = made.product(made.tensor(vocabulary, type), made.tensor(states))
    products = Products()
    assert products.takes(ctypes.addressof(result))
    products.compute(result)
    np.testing.assert_allclose(array[0, 0, -1], vocabulary[0, 0] @ states[0, 0, -1], atol=2 * TYPES[type][1])
    assert not array[0, 0, :-1].any()


def test_what_ggml_does_better_is_left_to_it(made: Made) -> None:
    products, small = Products(), numbers(1, 1, 1, 64)
    few, _ = made.product(made.tensor(numbers(1, 1, 40, 64)), made.tensor(small))
    layers, _ = made.product(made.tensor(numbers(2, 1, MOST // 128 + 1, 64), F16), made.tensor(numbers(2, 1, 40, 64)))
    torn = made.tensor(numbers(1, 1, 80, 64), F16)
    torn.ne[1], torn.nb[1] = 40, 2 * torn.nb[1]
    gaps, _ = made.product(torn, made.tensor(numbers(1, 1, 40, 64)))
    assert [products.takes(ctypes.addressof(result)) for result in (few, layers, gaps)] == [False] * 3


def test_recognisers_use_it(models_dir: Path, jfk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[int, ...]] = []
    compute = Products.compute

    def counted(this: Products, result: Tensor) -> None:
        taken.append((result.ne[1], result.ne[0]))
        compute(this, result)

    monkeypatch.setattr(Products, "compute", counted)
    monkeypatch.setattr(recogniser, "LARGEST", 0)
    large, sound = recogniser.Recogniser(catalogue.path("tiny.en", models_dir)), np.concatenate(list(decode(str(jfk))))
    chunk = Chunk(start=0, end=11, speech=[Span(start=0, end=11)])
    piece = sound.astype(np.float32) / np.float32(32768), chunk
    assert large.transcribe([piece])[0][0].text.startswith("And so my fellow Americans")
    context = round(11 * CONTEXT_PER_SECOND) + SPARE_CONTEXT
    assert taken.count((context, 384)) >= 8, "keys and values of what was heard, in each of the decoder's four layers"

    def fail(_this: Products, _result: Tensor) -> None:
        raise MemoryError

    monkeypatch.setattr(Products, "compute", fail)
    with pytest.raises(RuntimeError, match="failed with code"):
        large.transcribe([piece])


def test_another_ggml_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "VERSION", b"0.0.0")
    assert not accelerator.register(b"none", {b"MUL_MAT": Products()})
