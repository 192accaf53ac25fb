"""Results on disk, one file a run, so that a benchmark that was broken off goes on where it was."""

import hashlib
import json
from functools import cache
from pathlib import Path

from pydantic import BaseModel

from bench.heard import Heard


class Result(BaseModel):
    """One run of a program on a track.

    `quiet` tells that it was run to be timed, in turn with the others. `seconds` are from start to end of the process,
    `cpu_seconds` and `peak_bytes` those of all its processes.
    """

    program: str
    version: str
    setting: str
    model: str
    track: str
    quiet: bool
    heard: Heard
    seconds: float
    cpu_seconds: float
    peak_bytes: int


class Store:
    """Results in a folder, found again by everything that they depend on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def file(self, program: str, version: str, setting: str, model: str, sound: Path, run: int) -> Path:
        """Where the result of a run belongs, the runs of one comparison being numbered from 0."""
        told = json.dumps([version, setting, digest(sound)])
        name = f"{program}-{model}-{sound.stem}-{run}-{hashlib.sha256(told.encode()).hexdigest()[:16]}.json"
        return self._folder / name.replace(" ", "-")

    def get(self, file: Path) -> Result | None:
        return Result.model_validate_json(file.read_text()) if file.exists() else None

    def put(self, file: Path, result: Result) -> None:
        unfinished = file.with_suffix(".new")
        unfinished.write_text(result.model_dump_json())
        unfinished.rename(file)


@cache
def digest(sound: Path) -> str:
    with sound.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
