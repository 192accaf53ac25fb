"""Files sent through the real steps, one after the other, in a workplace on disk."""

import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chalicelib import keys
from chalicelib.jobs import FileState, Format, Guard, Job, JobState, MediaFile, Options
from chalicelib.transcript import Chunk, Segment, Word
from container.engine import Request
from container.recogniser import Piece
from container.steps import Steps
from local.worker import Workplace


@dataclass
class Transcribed:
    """A file that went through the steps, and its transcripts by format."""

    file: MediaFile
    texts: dict[str, str]


@dataclass
class Notes:
    """Takes any speech for French, and hears one word in each chunk."""

    probability: float = 0.9
    certainty: float = 0.9
    """Of its words."""
    multilingual: bool = True
    at_once: int = 1
    detected: list[NDArray[np.float32]] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)

    def detect_language(self, audio: NDArray[np.float32], _: Chunk) -> tuple[str, float]:
        self.detected.append(audio)
        return "fr", self.probability

    def transcribe(
        self, pieces: Sequence[Piece], request: Request, guards: Collection[Guard], _: Sequence[list[Segment]]
    ) -> list[list[Segment]]:
        told = {"language": request.language, "translate": request.translate, "prompt": request.prompt}
        self.told += [{**told, "guards": guards}] * len(pieces)
        firsts = [chunk.speech[0] for _, chunk in pieces]
        words = [Word(start=first.start, end=first.end, text="oui", probability=self.certainty) for first in firsts]
        return [[Segment.of([word])] for word in words]


def begun(source: Path, data: Path, models: Path, options: Options, **parts: Any) -> Steps:
    """The steps of a job `j` whose one file has arrived, with these parts of them in place of the real ones."""
    steps = replace(Workplace(data, models, b"secret", 1, 1).steps(), **parts)
    file = MediaFile(job="j", n=0, path=source.name, output="o", size=1, state=FileState.UPLOADED)
    job = Job(
        id="j",
        owner="o",
        state=JobState.RUNNING,
        options=options,
        created_at=0,
        size=1,
        counts={FileState.UPLOADED: 1},
    )
    steps.records.add_job(job, [file])
    stored = data / "objects" / keys.upload("j", source.name)
    stored.parent.mkdir(parents=True)
    shutil.copy(source, stored)
    return steps


def transcribed(source: Path, data: Path, models: Path, options: Options, **parts: Any) -> Transcribed:
    steps = begun(source, data, models, options, **parts)
    steps.prepare("j", 0)
    for batch in steps.batch("j"):
        steps.transcribe("j", batch)
    steps.merge("j", 0)
    found = steps.records.file("j", 0)
    assert found is not None
    if found.state == FileState.FAILED:
        return Transcribed(found, {})
    return Transcribed(found, {f: steps.objects.get(keys.transcript("j", "o", f)).decode() for f in Format})
