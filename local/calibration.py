"""Which recognisers, with how many threads each, hear most together: measured once on a machine, then kept.

`python -m local.calibration MODEL THREADS` is one of those that are measured side by side. It says how many seconds of
speech it has heard: none when it is ready, then for each line that it is told.
"""

import fcntl
import logging
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from chalicelib.transcript import Chunk, Span
from container import media
from container.catalogue import ModelError
from container.layout import Layout
from container.recogniser import Recogniser

logger = logging.getLogger(__name__)

SPEECH = Path(__file__).with_name("inaugural.flac")
"""A sentence of Kennedy's inaugural address, 11 seconds, in the public domain."""

FILE = "layouts.json"
"""Beside the models."""

MARGIN = 1.1
"""How much quicker fewer recognisers must be: of one layout measured twice, one was up to 1.04 times as quick."""

ROUNDS, PATIENCE = 2, 20.0
"""How often each layout is measured, and seconds after which nothing more is: large models take as long for a round."""

LAYOUTS = TypeAdapter(dict[str, Layout])


def quickest(model: Path, layouts: Sequence[Layout]) -> Layout:
    """The quickest layout for the model of this file, measured unless that was done before.

    They come with most recognisers first. Where fewer are no quicker, fewer still are not tried.
    """
    if len(layouts) == 1:
        return layouts[0]
    folder, key = model.parent, _key(model, layouts)
    with _alone(folder):
        known = _known(folder / FILE)
        if known.get(key) in layouts:
            return known[key]
        best = _measured(model, layouts)
        if best:
            _keep(folder / FILE, known | {key: best})
    return best or layouts[0]


def _measured(model: Path, layouts: Sequence[Layout]) -> Layout | None:
    """The quickest; None if nothing was heard with any of them."""
    logger.info("Measuring once how many recognisers are quickest on this machine.")
    began, best, most = time.monotonic(), None, 0.0
    for layout in layouts:
        if best and time.monotonic() > began + PATIENCE:
            break
        found = speed(model, layout)
        logger.info("recognisers: %d, threads of each: %d, speed: %.0f", layout.recognisers, layout.threads, found)
        if found > MARGIN * most:
            best, most = layout, found
        elif best:
            break
    return best


def speed(model: Path, layout: Layout) -> float:
    """Seconds of speech that are heard in a second; 0 if a recogniser came to an end, for want of memory say."""
    fastest, spent = 0.0, 0.0
    try:
        with ExitStack() as stack:
            recognisers = [stack.enter_context(_recogniser(model, layout.threads)) for _ in range(layout.recognisers)]
            _answers(recognisers)
            for _ in range(ROUNDS):
                began = time.monotonic()
                for recogniser in recognisers:
                    print(file=recogniser.stdin, flush=True)
                heard = _answers(recognisers)
                took = time.monotonic() - began
                fastest, spent = max(fastest, heard / took), spent + took
                if spent > PATIENCE:
                    break
    except (OSError, ValueError):
        return 0.0
    return fastest


@contextmanager
def _recogniser(model: Path, threads: int) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with the context, whatever it is at, or else with its pipe."""
    command = [sys.executable, "-m", __name__, str(model), str(threads)]
    # A session of its own: Ctrl-C is for the service, which then ends it.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _answers(recognisers: Sequence[subprocess.Popen[str]]) -> float:
    """Seconds of speech that all have heard. Raises ValueError if one has ended."""
    return sum(float(recogniser.stdout.readline()) for recogniser in recognisers if recogniser.stdout)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits for others that measure for this folder of models, where its file system knows locks."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _known(file: Path) -> dict[str, Layout]:
    """What was measured; nothing if the file is not there or not as it was written: then it is measured anew."""
    try:
        return LAYOUTS.validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return {}


def _keep(file: Path, known: dict[str, Layout]) -> None:
    unfinished = file.with_suffix(".new")
    try:
        unfinished.write_bytes(LAYOUTS.dump_json(known, indent=1))
        unfinished.rename(file)
    except OSError as error:
        logger.warning("%s cannot be written (%s), so this is measured at each start.", file, error.strerror)


def _key(model: Path, layouts: Sequence[Layout]) -> str:
    """All that the quickest layout depends on."""
    named = ", ".join(f"{layout.recognisers} x {layout.threads}" for layout in layouts)
    libraries = ", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "pywhispercpp"))
    return f"{_processor()}; {named}; {model.name}, {model.stat().st_size} bytes; {libraries}"


def _processor() -> str:
    try:
        told = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        told = None
    return told[1] if told else platform.processor() or platform.machine()


def main() -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # if the service was killed, without a word
    model, threads = sys.argv[1:]
    try:
        recogniser = Recogniser(Path(model), int(threads))
    except ModelError as error:
        sys.exit(str(error))
    sound = media.as_floats(np.concatenate(list(media.decode(str(SPEECH)))))
    end = len(sound) / media.RATE
    piece = sound, Chunk(start=0, end=end, speech=[Span(start=0, end=end)])
    print(0, flush=True)
    for _ in sys.stdin:
        recogniser.transcribe([piece] * recogniser.at_once)
        print(end * recogniser.at_once, flush=True)


if __name__ == "__main__":
    main()
