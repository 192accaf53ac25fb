"""A first look: a service of its own, a real video, and the command line that people use."""

import contextlib
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg

from container.packages import fetch_package

# Kennedy's inaugural sentence, in the public domain, comes with the sources of pywhispercpp.
SPEECH_PACKAGE = "pywhispercpp==1.5.1"
SPEECH_SHA256 = "5df897e5dd9d9f16804fc937bd85b9f5880a0b29a55f8843585e0e03d76195e5"
SPEECH_MEMBER = "pywhispercpp-1.5.1/whisper.cpp/bindings/go/samples/jfk.wav"

PICTURE = "[0:a]showwaves=s=640x360:mode=cline:scale=cbrt:rate=25:colors=0x4c9be8,format=yuv420p[picture]"


class DemoError(Exception):
    """The service of the demo could not be used; the message says why."""


def speech(folder: Path) -> Path:
    """`jfk.wav`, 11 seconds of speech, 16 kHz mono; fetched to `folder` unless it is there. Raises FetchError."""
    sound = folder / "jfk.wav"
    if not sound.exists():
        with tarfile.open(fetch_package(SPEECH_PACKAGE, SPEECH_SHA256, folder)) as package:
            member = package.extractfile(SPEECH_MEMBER)
            assert member is not None, "the package is pinned by its hash"
            _write(sound, member.read())
    return sound


def video(folder: Path) -> Path:
    """`inaugural.mp4`: the same speech as a video with picture and sound, made unless it is there."""
    film = folder / "inaugural.mp4"
    if not film.exists():
        unfinished = film.with_name(f"unfinished-{os.getpid()}.mp4")
        encoding = ["-map", "[picture]", "-map", "0:a", "-c:v", "libx264", "-c:a", "aac", "-movflags", "+faststart"]
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", str(speech(folder))]
        subprocess.run([*command, "-filter_complex", PICTURE, *encoding, str(unfinished)], check=True)
        unfinished.rename(film)
    return film


def run(media: Path, models: Path, model: str, output: Path) -> int:
    """Transcribes a file or folder through a service that lives as long as this call; the exit code of `transcribe`."""
    with tempfile.TemporaryDirectory(prefix="transcribe-demo-") as data, _service(Path(data), models, model) as service:
        command = [sys.executable, "-m", "client.cli", str(media), "--output", str(output), "--force"]
        return subprocess.run(command, env={**os.environ, **service}).returncode


@contextlib.contextmanager
def _service(data: Path, models: Path, model: str) -> Iterator[dict[str, str]]:
    """`transcriber serve` on a free port; yields the environment that it says to export."""
    options = ["--port", "0", "--data", str(data), "--models", str(models), "--model", model]
    command = [sys.executable, "-m", "local.cli", "serve", *options]
    # A session of its own: Ctrl-C is for the command line, the service then is ended below.
    log = data / "service.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True) as process,
    ):
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(2)]
            if not all(lines):
                raise DemoError(f"The service did not start. {log.read_text().strip()}")
            yield dict(line.removeprefix("export ").strip().split("=", 1) for line in lines)
        finally:
            process.send_signal(signal.SIGTERM)


def _write(path: Path, data: bytes) -> None:
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_bytes(data)
    unfinished.rename(path)
