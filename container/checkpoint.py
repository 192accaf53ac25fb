"""PyTorch checkpoints read without PyTorch: tensors by name, and nothing of the file is ever executed."""

import collections
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from container.binary import MalformedFile

KINDS = {"FloatStorage": "<f4", "LongStorage": "<i8"}


def tensors(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a state dictionary that `torch.save` wrote. Raises MalformedFile."""
    try:
        with zipfile.ZipFile(path) as archive:
            root = archive.namelist()[0].partition("/")[0]
            return dict(_Reader(archive, root).load())
    except (zipfile.BadZipFile, pickle.UnpicklingError, LookupError, ValueError, TypeError) as cause:
        raise MalformedFile(f"{path.name} is not a checkpoint of PyTorch ({cause}).") from None


class _Reader(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{root}/data.pkl")))
        self._archive, self._root = archive, root

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in KINDS:
            return KINDS[name]
        raise pickle.UnpicklingError(f"{module}.{name} has no place in it")

    def persistent_load(self, pid: Any) -> NDArray[Any]:
        _, kind, key, *_ = pid
        return np.frombuffer(self._archive.read(f"{self._root}/data/{key}"), kind)


def _tensor(storage: NDArray[Any], offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> Any:
    count = int(np.prod(shape))
    contiguous = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    if strides != contiguous:
        raise ValueError("a tensor is not stored row by row")
    return storage[offset : offset + count].reshape(shape)
