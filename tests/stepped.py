"""Files sent through the real steps, one after the other, in a workplace on disk."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from chalicelib import keys
from chalicelib.jobs import FileState, Format, Job, JobState, MediaFile, Options
from local.worker import Workplace


@dataclass
class Transcribed:
    """A file that went through the steps, and its transcripts by format."""

    file: MediaFile
    texts: dict[str, str]


def transcribed(source: Path, data: Path, models: Path, options: Options) -> Transcribed:
    steps = Workplace(data, models, b"secret", 1, 1).steps()
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
    steps.prepare("j", 0)
    for batch in steps.batch("j"):
        steps.transcribe("j", batch)
    steps.merge("j", 0)
    found = steps.records.file("j", 0)
    assert found is not None
    if found.state == FileState.FAILED:
        return Transcribed(found, {})
    return Transcribed(found, {f: steps.objects.get(keys.transcript("j", "o", f)).decode() for f in Format})
