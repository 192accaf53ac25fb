"""The versions of a transcript: the original, and what people made of it."""

from pathlib import PurePosixPath

from chalicelib import keys
from chalicelib.ports import Objects
from chalicelib.transcript import Transcript


def known(objects: Objects, job: str, n: int) -> list[str]:
    """The ids of a file's versions: the original, then the others in order of time, as their ids are."""
    found = {PurePosixPath(key).stem for key in objects.keys(keys.versions(job, n))}
    edits = sorted(found - {keys.ORIGINAL})
    return [keys.ORIGINAL, *edits] if keys.ORIGINAL in found else edits


def read(objects: Objects, job: str, n: int, version: str) -> Transcript:
    """Raises ObjectMissing."""
    return Transcript.model_validate_json(objects.get(keys.version(job, n, version)))
