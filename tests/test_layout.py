"""How many recognisers fit onto a machine, and that they hold no more than that reckons with."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from container import catalogue
from container.layout import Layout, held, layout, layouts
from tests.conftest import Figure
from tests.serving import CHECKOUT

GB = 2**30
TINY, LARGE = 43_000_000, 1_650_000_000


@pytest.mark.parametrize(
    ("cpus", "memory", "model", "expected"),
    [
        (2, 24 * GB, TINY, Layout(2, 1)),
        (6, 10 * GB, TINY, Layout(6, 1)),
        (8, 16 * GB, LARGE, Layout(2, 4)),  # 0.6 x 16 GB hold two recognisers of 4.3 GB
        (6, 10 * GB, LARGE, Layout(1, 6)),
        (7, 16 * GB, LARGE, Layout(2, 3)),
        (4, 1 * GB, LARGE, Layout(1, 4)),  # too little memory: one, come what may
        (1, 24 * GB, TINY, Layout(1, 1)),
    ],
)
def test_recognisers_as_far_as_memory_goes_then_threads(cpus: int, memory: int, model: int, expected: Layout) -> None:
    assert layout(cpus, memory, model) == expected


def test_others_to_choose_from_have_half_as_many_recognisers() -> None:
    assert layouts(8, 16 * GB, TINY) == [Layout(8, 1), Layout(4, 2), Layout(2, 4), Layout(1, 8)]
    assert layouts(8, 24 * GB, LARGE) == [Layout(3, 2), Layout(1, 8)]
    assert layouts(1, 24 * GB, TINY) == [Layout(1, 1)]


# In a process of its own, so that its peak memory is its own too.
HEAR = """
import sys, wave
from pathlib import Path
import numpy as np
from chalicelib.transcript import Chunk, Span
from container.recogniser import Recogniser
from tests.serving import memory
with wave.open(sys.argv[2]) as file:
    speech = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
sound = np.tile(speech, 3)[: 29 * 16_000]
piece = sound, Chunk(start=0, end=29, speech=[Span(start=0, end=29)])
assert all(Recogniser(Path(sys.argv[1])).transcribe([piece] * 5))
print(memory("self", "VmHWM"))
"""


def test_a_recogniser_holds_no_more_than_is_reckoned_with(models_dir: Path, jfk: Path, figure: Figure) -> None:
    """With as many long sounds at once as are ever heard together."""
    model = catalogue.path("tiny.en", models_dir)
    command = [sys.executable, "-c", HEAR, str(model), str(jfk)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    peak, reckoned = int(done.stdout), held(model.stat().st_size)
    figure(f"a recogniser with tiny.en held {peak / 1e6:.0f} MB, {reckoned / 1e6:.0f} MB are reckoned with")
    assert peak <= reckoned
