"""The model formats against exact bytes, against ggml's own quantizer and against damage."""

import ctypes
import importlib.metadata
import io
import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from container import conversion, ct2, ggml
from container.binary import MalformedFile

HYPERPARAMETERS = ggml.Hyperparameters(51865, 4, 32, 1, 1, 4, 32, 1, 1, 2, ggml.FORMAT_F16)
SCALE = np.float32(1) / np.float32(127)


def block(*values: float) -> NDArray[np.float32]:
    """One block of 32 values, the rest zeros."""
    return np.array([*values, *[0] * (32 - len(values))], np.float32)


@pytest.mark.parametrize(
    ("values", "scale", "expected"),
    [
        pytest.param([], b"\x00\x00", [], id="zeros-have-scale-zero"),
        pytest.param([127, 0.5, -0.5, 1.5, 2.5], b"\x00\x3c", [127, 1, -1, 2, 3], id="halves-away-from-zero"),
        pytest.param([127, 0.49999997, -0.49999997], b"\x00\x3c", [127, 0, 0], id="just-below-a-half"),
        pytest.param([-254, 254, 3, 2.9], b"\x00\x40", [-127, 127, 2, 1], id="greatest-in-size-sets-the-scale"),
        pytest.param([1, -1, 0.25], b"\x08\x20", [127, -127, 32], id="scale-rounded-to-float16"),
    ],
)
def test_q8_0_bytes(values: list[float], scale: bytes, expected: list[int]) -> None:
    assert ggml.q8_0(block(*values)) == scale + struct.pack("32b", *expected, *[0] * (32 - len(expected)))


def test_q8_0_equals_ggml() -> None:
    random = np.random.default_rng(1)
    halves = (random.integers(-254, 255, (2000, 32)) / 2).astype(np.float32)
    halves[:, 0] = 127
    normal = random.normal(0, 0.05, (20000, 32)).astype(np.float16).astype(np.float32)
    tiny = (normal[:2000] * 2**-18).astype(np.float16).astype(np.float32)
    for values in (halves, np.nextafter(halves, np.float32(0)), normal, tiny, normal * 60000):
        assert ggml.q8_0(values) == quantized_by_ggml(values)


def quantized_by_ggml(values: NDArray[np.float32]) -> bytes:
    """Q8_0 by the library that pywhispercpp's wheels carry."""
    files = importlib.metadata.files("pywhispercpp") or []
    libraries = [file.locate() for file in files if file.name.startswith("libggml-base")]
    if not libraries:
        pytest.skip("pywhispercpp carries no ggml library of its own here")
    library = ctypes.CDLL(str(libraries[0]))
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    pointer, size = ctypes.c_void_p, ctypes.c_int64
    library.ggml_quantize_chunk.argtypes = [ctypes.c_int, pointer, pointer, size, size, size, pointer]
    values = np.ascontiguousarray(values)
    out = np.empty(values.size // 32 * 34, np.uint8)
    written = library.ggml_quantize_chunk(
        ggml.Q8_0, values.ctypes.data, out.ctypes.data, 0, len(values), values.shape[1], None
    )
    assert written == out.size
    return out.tobytes()


def model(hyperparameters: ggml.Hyperparameters = HYPERPARAMETERS, columns: int = 32) -> bytes:
    """A float16 file of the right count of tensors: matrices [2, columns] of ones, but for the first, a vector."""
    count = hyperparameters.tensors
    tensors = [("a.bias", np.ones(3, np.float16))] + [(f"{n}.weight", np.ones((2, columns))) for n in range(1, count)]
    target = io.BytesIO()
    ggml.write(target, hyperparameters, np.ones((2, 3), np.float32), [b"", b"\xff!"], tensors)
    return target.getvalue()


def quantize(data: bytes) -> bytes:
    target = io.BytesIO()
    ggml.quantize(io.BytesIO(data), target, "model.bin", lambda _: None)
    return target.getvalue()


HEAD = (
    struct.pack("<11i", ggml.MAGIC, 51865, 4, 32, 1, 1, 4, 32, 1, 1, 2),
    struct.pack("<2i6f", 2, 3, *[1] * 6) + struct.pack("<3i2s", 2, 0, 2, b"\xff!"),
)


def test_written_bytes() -> None:
    data = model()
    head = HEAD[0] + struct.pack("<i", 1) + HEAD[1]
    vector = struct.pack("<4i", 1, 6, ggml.F32, 3) + b"a.bias" + struct.pack("<3f", 1, 1, 1)
    matrix = struct.pack("<5i", 2, 8, ggml.F16, 32, 2) + b"1.weight" + b"\x00\x3c" * 64
    assert data.startswith(head + vector + matrix)
    assert len(data) == len(head + vector) + 49 * len(matrix) + 40  # numbers from 10 on have two digits


def test_quantized_bytes() -> None:
    data = quantize(model())
    head = HEAD[0] + struct.pack("<i", 2007) + HEAD[1]
    vector = struct.pack("<4i", 1, 6, ggml.F32, 3) + b"a.bias" + struct.pack("<3f", 1, 1, 1)
    row = struct.pack("<e", SCALE) + bytes([127]) * 32
    assert data.startswith(head + vector + struct.pack("<5i", 2, 8, ggml.Q8_0, 32, 2) + b"1.weight" + row * 2)
    assert ggml.check(io.BytesIO(data), "model.bin").multilingual


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda _: b"", "model.bin is not a usable model file: it ends in the middle, 4 bytes are missing."),
        (lambda data: b"GGUF" + data[4:], "it does not begin like a ggml file"),
        (lambda data: data[:8] + bytes(4) + data[12:], "a dimension is not positive"),
        (lambda data: data[:48] + b"\xff" * 4 + data[52:], "its count of mel filters is -1"),
        (lambda data: data[:-1], "it ends in the middle, 1 bytes are missing"),
        (lambda data: data[:-128], "it ends in the middle"),
        (lambda data: data + b"\x00", "there is something after its last tensor"),
        (lambda data: data.replace(b"\x01\x00\x00\x00\x20\x00\x00\x00\x02", b"\x63\x00\x00\x00\x20\x00\x00\x00\x02", 1),
         "'1.weight' has the unknown type 99"),
    ],
)  # fmt: skip
def test_a_damaged_model_is_refused(damage: Callable[[bytes], bytes], message: str) -> None:
    data = damage(model())
    for read in (quantize, lambda data: ggml.check(io.BytesIO(data), "model.bin")):
        with pytest.raises(MalformedFile, match=message):
            read(data)


def test_only_float16_models_are_quantized() -> None:
    with pytest.raises(MalformedFile, match="float16 weights are needed, this has format 2007"):
        quantize(quantize(model()))


def test_rows_must_be_whole_blocks() -> None:
    with pytest.raises(MalformedFile, match=r"the rows of '1\.weight' are no multiple of 32 long"):
        quantize(model(columns=33))


def test_values_must_be_finite() -> None:
    with pytest.raises(MalformedFile, match="has values that are not finite"):
        quantize(model().replace(b"\x00\x3c", b"\x00\x7c"))


def text(value: str) -> bytes:
    return struct.pack("<H", len(value) + 1) + value.encode() + b"\x00"


CT2 = (
    struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<I", 3)
    + struct.pack("<I", 2)
    + text("a") + struct.pack("<BIIBI", 2, 2, 1, 4, 4) + struct.pack("<2e", 1, -2)
    + text("n") + struct.pack("<BBI", 0, 2, 2) + struct.pack("<h", 7)
    + struct.pack("<I", 1) + text("b") + text("a")
)  # fmt: skip


def test_ct2_variables_and_aliases(tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(CT2)
    variables = ct2.read(file)
    assert list(variables) == ["a", "n", "b"]
    assert variables["a"].tolist() == variables["b"].tolist() == [[1.0], [-2.0]]
    assert variables["a"].dtype == np.float16
    assert (variables["n"].shape, int(variables["n"])) == ((), 7)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "model.bin is not a usable model file: it is empty."),
        (b"PK\x03\x04" + CT2, "its binary version is 67324752"),
        (CT2[:-1], "it ends in the middle, 1 bytes are missing"),
        (CT2[:46], "it ends in the middle of 'a'"),
        (CT2.replace(struct.pack("<BI", 4, 4), struct.pack("<BI", 4, 6)),
         r"'a' has 6 bytes, its shape \(2, 1\) needs 4"),
        (CT2.replace(struct.pack("<BI", 4, 4), struct.pack("<BI", 5, 4)), "the type of 'a' is 5"),
        (CT2[:-4] + text("z"), "'b' stands for 'z', which is not there"),
    ],
)  # fmt: skip
def test_a_damaged_ct2_model_is_refused(data: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(data)
    with pytest.raises(MalformedFile, match=message):
        ct2.read(file)


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    model, tokenizer = tmp_path / "model.bin", tmp_path / "tokenizer.json"
    model.write_bytes(CT2)
    tokenizer.write_text('{"added_tokens": [], "model": {"vocab": {"!": 0}}}')
    with pytest.raises(MalformedFile, match=r"tokenizer.json is not the tokenizer of a Whisper model \(KeyError"):
        conversion.convert(model, tokenizer, io.BytesIO())
    vocabulary = {f"{number:06}": number for number in range(50257)}
    tokenizer.write_text(json.dumps({"added_tokens": [], "model": {"vocab": vocabulary}}))
    message = "model.bin is not a Whisper model in float16: 'encoder/conv1/weight' is not there."
    with pytest.raises(MalformedFile, match=message):
        conversion.convert(model, tokenizer, io.BytesIO())
