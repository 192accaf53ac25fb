"""Devices that ggml is given at run time, written in Python.

ggml asks a device for each operation of a graph whether it takes it, and has it compute those that it does. The
structures are those of `ggml.h` and `ggml-backend-impl.h` as of VERSION, on 64-bit systems.
"""

import ctypes
import functools
import logging
from collections.abc import Callable, Mapping
from ctypes import CFUNCTYPE, POINTER, Structure, addressof, c_bool, c_char_p, c_int, c_int64, c_size_t, c_void_p
from typing import Any, Protocol

import _pywhispercpp
import numpy as np
from numpy.typing import NDArray

VERSION = b"0.13.1"
"""The ggml of pywhispercpp 1.5.1. Another one is given nothing: its structures may be others."""

API_VERSION, ACCELERATOR = 2, 3
"""GGML_BACKEND_API_VERSION; GGML_BACKEND_DEVICE_TYPE_ACCEL, used beside ggml's own device for the processor."""

SUCCESS, FAILED = 0, -1
"""Of `enum ggml_status`."""

FREE = (b"NONE", b"RESHAPE", b"VIEW", b"PERMUTE", b"TRANSPOSE")
"""Operations that cost nothing, and so go along with those beside them."""

logger = logging.getLogger(__name__)


class Tensor(Structure):
    """`ggml_tensor`: `ne` are numbers of elements, `nb` strides in bytes, innermost first."""

    _fields_ = (
        ("type", c_int),
        ("buffer", c_void_p),
        ("ne", c_int64 * 4),
        ("nb", c_size_t * 4),
        ("op", c_int),
        ("op_params", ctypes.c_int32 * 16),
        ("flags", ctypes.c_int32),
        ("src", c_void_p * 10),
        ("view_src", c_void_p),
        ("view_offs", c_size_t),
        ("data", c_void_p),
    )


OPERATION, SIZES = Tensor.op.offset, Tensor.ne.offset


class Traits(Structure):
    """`ggml_type_traits`: of a type of numbers, which come in blocks of `blck_size` in `type_size` bytes."""

    _fields_ = (
        ("type_name", c_char_p),
        ("blck_size", c_int64),
        ("blck_size_interleave", c_int64),
        ("type_size", c_size_t),
        ("is_quantized", c_bool),
        ("to_float", CFUNCTYPE(None, c_void_p, c_void_p, c_int64)),
    )


class Worker(Protocol):
    """What does one kind of operation for a device."""

    def takes(self, address: int) -> bool:
        """Whether it does the operation whose result's tensor is at an address. Asked often: it has to be quick."""

    def compute(self, result: Tensor) -> None:
        """Fills in the result of an operation that it takes."""


class _Graph(Structure):
    _fields_ = (("size", c_int), ("n_nodes", c_int), ("n_leafs", c_int), ("nodes", POINTER(POINTER(Tensor))))


class _Properties(Structure):
    _fields_ = (
        ("name", c_char_p),
        ("description", c_char_p),
        ("memory_free", c_size_t),
        ("memory_total", c_size_t),
        ("type", c_int),
        ("rest", c_void_p * 2),
    )


class _Backend(Structure):
    _fields_ = (
        ("guid", c_void_p),
        ("get_name", c_void_p),
        ("free", c_void_p),
        ("unused", c_void_p * 10),
        ("graph_compute", c_void_p),
        ("unused_too", c_void_p * 3),
        ("device", c_void_p),
        ("context", c_void_p),
    )


class _Device(Structure):
    _fields_ = (
        ("get_name", c_void_p),
        ("get_description", c_void_p),
        ("get_memory", c_void_p),
        ("get_type", c_void_p),
        ("get_props", c_void_p),
        ("init_backend", c_void_p),
        ("get_buffer_type", c_void_p),
        ("unused", c_void_p * 2),
        ("supports_op", c_void_p),
        ("supports_buft", c_void_p),
        ("unused_too", c_void_p * 4),
        ("reg", c_void_p),
        ("context", c_void_p),
    )


class _Registration(Structure):
    _fields_ = (
        ("api_version", c_int),
        ("get_name", c_void_p),
        ("get_device_count", c_void_p),
        ("get_device", c_void_p),
        ("get_proc_address", c_void_p),
        ("context", c_void_p),
    )


@functools.cache
def library() -> Any:
    """The ggml that whisper.cpp runs on."""
    loaded = ctypes.CDLL(_pywhispercpp.__file__)
    for name, result, arguments in (
        ("ggml_version", c_char_p, ()),
        ("ggml_op_name", c_char_p, (c_int,)),
        ("ggml_get_type_traits", POINTER(Traits), (c_int,)),
        ("ggml_backend_cpu_buffer_type", c_void_p, ()),
        ("ggml_backend_buft_is_host", c_bool, (c_void_p,)),
        ("ggml_backend_register", None, (c_void_p,)),
    ):
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


def operation(name: bytes) -> int:
    """The number that an operation has in ggml, by its name there."""
    return next(number for number in range(256) if library().ggml_op_name(number) == name)


@functools.cache
def traits(type: int) -> Traits:
    """Raises RuntimeError if ggml is another version."""
    if library().ggml_version() != VERSION:
        raise RuntimeError(f"pywhispercpp 1.5.1 is needed, with ggml {VERSION.decode()}.")
    found: Traits = library().ggml_get_type_traits(type)[0]
    return found


def floats(tensor: Tensor) -> NDArray[np.float32]:
    """The numbers of a tensor of 32-bit floats where they are, by four axes, outermost first."""
    shape, strides = tensor.ne[::-1], tensor.nb[::-1]
    end = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True)) + 4
    return np.ndarray(shape, np.float32, (ctypes.c_char * end).from_address(tensor.data), 0, strides)


def register(name: bytes, workers: Mapping[bytes, Worker]) -> bool:
    """Give ggml a device, for all contexts made from now on, with a worker for each operation that it does.

    False, and nothing happens, if ggml is another version.
    """
    if library().ggml_version() != VERSION:
        return False
    hired = {operation(of): worker for of, worker in workers.items()}
    taking: dict[int, Callable[[int], bool]] = {number: worker.takes for number, worker in hired.items()}
    taking |= {operation(of): lambda _: True for of in FREE}

    def takes(_device: int, address: int) -> bool:
        # Some hundred times for each token.
        asked = taking.get(c_int.from_address(address + OPERATION).value)
        return asked is not None and asked(address)

    def compute(_backend: int, graph: Any) -> int:
        nodes = graph[0].nodes[: graph[0].n_nodes]
        try:
            for node in nodes:
                if node[0].op in hired:
                    hired[node[0].op].compute(node[0])
        except BaseException:
            # It would end here without a word, and the numbers would be whatever was there before.
            logger.exception("An operation failed.")
            return FAILED
        return SUCCESS

    def no_memory(_device: int, free: Any, total: Any) -> None:
        free[0] = total[0] = 0

    def describe(_device: int, properties: Any) -> None:
        properties[0].name = properties[0].description = name
        properties[0].type = ACCELERATOR

    guid, text = ctypes.create_string_buffer(name, 16), ctypes.create_string_buffer(name)
    backend, device, registration = _Backend(), _Device(), _Registration(api_version=API_VERSION)
    get_name = _function(c_void_p, lambda _: addressof(text), c_void_p)

    backend.guid, backend.device = addressof(guid), addressof(device)
    backend.get_name = get_name
    backend.free = _function(None, lambda _: None, c_void_p)
    backend.graph_compute = _function(c_int, compute, c_void_p, POINTER(_Graph))

    device.get_name = device.get_description = get_name
    device.get_memory = _function(None, no_memory, c_void_p, POINTER(c_size_t), POINTER(c_size_t))
    device.get_type = _function(c_int, lambda _: ACCELERATOR, c_void_p)
    device.get_props = _function(None, describe, c_void_p, POINTER(_Properties))
    device.init_backend = _function(c_void_p, lambda *_: addressof(backend), c_void_p, c_void_p)
    device.get_buffer_type = _function(c_void_p, lambda _: library().ggml_backend_cpu_buffer_type(), c_void_p)
    device.supports_op = _function(c_bool, takes, c_void_p, c_void_p)
    in_memory = library().ggml_backend_buft_is_host
    device.supports_buft = _function(c_bool, lambda _, buffers: in_memory(buffers), c_void_p, c_void_p)
    device.reg = addressof(registration)

    registration.get_name = get_name
    registration.get_device_count = _function(c_size_t, lambda _: 1, c_void_p)
    registration.get_device = _function(c_void_p, lambda *_: addressof(device), c_void_p, c_size_t)
    registration.get_proc_address = _function(c_void_p, lambda *_: None, c_void_p, c_char_p)

    _kept.extend((guid, text, backend, device, registration))
    library().ggml_backend_register(addressof(registration))
    return True


_kept: list[Any] = []
"""What ggml has pointers to for as long as the process lives."""


def _function(result: Any, function: Callable[..., Any], *arguments: Any) -> int | None:
    """The address of a Python function for C."""
    made = CFUNCTYPE(result, *arguments)(function)
    _kept.append(made)
    return ctypes.cast(made, c_void_p).value
