"""The service's own work on one file, from the file to the words, without HTTP.

`python -m bench.ours MODELS MODEL WARMING SOUND` prints what it heard in SOUND, with WARMING heard before.

The workflow of the local service runs its steps over a folder of its own, with as many workers as `local.layout` says.
They have heard a short sentence before the clock starts, as those of a running service have.
"""

import sys
import tempfile
import time
from multiprocessing import forkserver
from pathlib import Path

from bench.heard import Heard, Timed
from chalicelib import ids, keys
from chalicelib.jobs import FileState, Job, JobState, MediaFile, Options
from chalicelib.transcript import Transcript
from local.executor import Executor
from local.layout import this_machine
from local.records import SQLiteRecords
from local.worker import Workplace

ASK_EVERY = 0.01


def hear(models: Path, model: str, warming: Path, sound: Path) -> Heard:
    """Raises RuntimeError if a job fails."""
    layout = this_machine(models, model)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        began = time.monotonic()
        workplace = Workplace(Path(folder), models, b"secret", layout.recognisers, layout.threads)
        records = workplace.records()
        executor = Executor(workplace, records)
        try:
            _job(workplace, records, executor, model, [warming] * layout.recognisers)
            loaded = time.monotonic()
            job = _job(workplace, records, executor, model, [sound])
            recognised = time.monotonic()
        finally:
            executor.close()
            forkserver._forkserver._stop()  # type: ignore[attr-defined] # waited for, it counts with all its workers
        stored = workplace.objects().get(keys.version(job, 0, keys.ORIGINAL))
    words = [word for segment in Transcript.model_validate_json(stored).segments for word in segment.words]
    return Heard(
        text=" ".join(segment.text for segment in Transcript.model_validate_json(stored).segments),
        words=[Timed(start=word.start, end=word.end, text=word.text) for word in words],
        loading=loaded - began,
        recognising=recognised - loaded,
    )


def _job(workplace: Workplace, records: SQLiteRecords, executor: Executor, model: str, sounds: list[Path]) -> str:
    """Runs a job of these files to its end and returns its id."""
    job = ids.job_id(time.time())
    files = [
        MediaFile(job=job, n=n, path=f"{n}{sound.suffix}", output=str(n), size=1, state=FileState.UPLOADED)
        for n, sound in enumerate(sounds)
    ]
    for file, sound in zip(files, sounds, strict=True):
        stored = workplace.data / "objects" / keys.upload(job, file.path)
        stored.parent.mkdir(parents=True, exist_ok=True)
        stored.symlink_to(sound.resolve())
    records.add_job(
        Job(
            id=job,
            owner="bench",
            state=JobState.QUEUED,
            options=Options(model=model, language="en"),
            created_at=time.time(),
            size=len(files),
            counts={FileState.UPLOADED: len(files)},
        ),
        files,
    )
    executor.start(job)
    while (recorded := records.job(job)) is None or not recorded.state.final:
        time.sleep(ASK_EVERY)
    if recorded.state != JobState.SUCCEEDED:
        raise RuntimeError(f"the job ended as {recorded.state}: {records.file(job, 0)}")
    return job


def main() -> None:
    models, model, warming, sound = sys.argv[1:]
    print(hear(Path(models), model, Path(warming), Path(sound)).model_dump_json())


if __name__ == "__main__":
    main()
