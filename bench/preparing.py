"""What `prepare` takes of memory and disk for a long file: `python -m bench.preparing`."""

import itertools
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
import wave
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import psutil
from numpy.typing import NDArray

from chalicelib import keys
from chalicelib.jobs import FileState, Job, JobState, MediaFile, Options
from container import media
from local import demo
from local.cli import CACHE
from local.worker import Workplace

MOST_MEMORY = 300 * 2**20
HOURS = 10
PAUSES = (0.4, 1.1, 2.6, 0.7, 5.0, 1.6)
# When the sentence's parts are spoken in the recording: where frames of 50 ms are louder than -30 dB of full scale.
# The pause between the first two is longer than a second, so that captions end and begin there.
PARTS = [(0.30, 2.15), (3.25, 10.35)]
RECORDING_SECONDS = 10.6  # what follows is the audience


def looped(sound: Path, target: Path, minutes: float) -> list[tuple[float, float]]:
    """Writes `sound` again and again with pauses between; returns when its parts are spoken, in seconds."""
    with wave.open(str(sound)) as source:
        speech = np.frombuffer(source.readframes(int(RECORDING_SECONDS * media.RATE)), np.int16)
    pieces: list[NDArray[np.int16]] = []
    times: list[tuple[float, float]] = []
    now = 0.0
    for pause in itertools.cycle(PAUSES):
        if now > minutes * 60:
            break
        times += [(now + start, now + end) for start, end in PARTS]
        pieces += [speech, np.zeros(round(pause * media.RATE), np.int16)]
        now += RECORDING_SECONDS + pause
    with wave.open(str(target), "wb") as file:
        file.setparams((1, 2, media.RATE, 0, "NONE", "not compressed"))
        file.writeframes(np.concatenate(pieces).tobytes())
    return times


@dataclass(frozen=True)
class Taken:
    """`peak` is resident memory in bytes with that of ffmpeg; `stored` are the names of the files left on the disk."""

    seconds: float
    peak: int
    stored: set[str]

    def __str__(self) -> str:
        return f"{self.seconds:.0f} s, peak memory {self.peak / 2**20:.0f} MB with ffmpeg"


def measure(speech: Path, models: Path, folder: Path, hours: int) -> Taken:
    """Prepares looped speech of so many hours, packed as AAC in MP4, in a process of its own."""
    source = _long_file(speech, folder, hours)
    began = time.monotonic()
    process = multiprocessing.get_context("spawn").Process(
        target=_prepare, args=(folder / "data", models, source, hours)
    )
    process.start()
    assert process.pid is not None
    peak = 0
    while process.is_alive():
        peak = max(peak, _resident(process.pid))
        time.sleep(0.1)
    if process.exitcode:
        raise RuntimeError(f"preparing ended with exit code {process.exitcode}")
    files = (path for path in (folder / "data" / "objects").rglob("*") if path.is_file())
    return Taken(time.monotonic() - began, peak, {path.name for path in files if "uploads" not in path.parts})


def _long_file(speech: Path, folder: Path, hours: int) -> Path:
    looped(speech, folder / "loop.wav", 10)
    _ffmpeg("-i", folder / "loop.wav", "-c:a", "aac", "-b:a", "32k", folder / "loop.m4a")
    loops = str(6 * hours - 1)
    _ffmpeg("-stream_loop", loops, "-i", folder / "loop.m4a", "-c", "copy", folder / "long.m4a")
    return folder / "long.m4a"


def _ffmpeg(*arguments: str | Path) -> None:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments], check=True)


def _resident(pid: int) -> int:
    try:
        process = psutil.Process(pid)
        return sum(part.memory_info().rss for part in [process, *process.children(recursive=True)])
    except psutil.NoSuchProcess:
        return 0


def _prepare(data: Path, models: Path, source: Path, hours: int) -> None:
    steps = Workplace(data, models, b"secret", 1, 1).steps()
    file = MediaFile(job="j", n=0, path=source.name, output="o", size=1, state=FileState.UPLOADED)
    job = Job(
        id="j",
        owner="o",
        state=JobState.RUNNING,
        options=Options(model="tiny.en"),
        created_at=0,
        size=1,
        counts={FileState.UPLOADED: 1},
    )
    steps.records.add_job(job, [file])
    stored = data / "objects" / keys.upload("j", source.name)
    stored.parent.mkdir(parents=True)
    os.link(source, stored)
    steps.prepare("j", 0)
    prepared = steps.records.file("j", 0)
    if prepared is None or abs(prepared.audio_seconds / 3600 / hours - 1) > 0.05:
        raise RuntimeError(f"not prepared as a whole: {prepared}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        taken = measure(demo.speech(CACHE / "samples"), CACHE / "models", Path(folder), HOURS)
    print(f"prepare on {HOURS} hours: {taken} (bound {MOST_MEMORY / 2**20:.0f} MB); stored: {sorted(taken.stored)}")
    sys.exit(taken.peak >= MOST_MEMORY or taken.stored != {"audio.s16", "audio.json"})


if __name__ == "__main__":
    main()
