"""The programs that are compared: how each is run on a file, and what its version is."""

import hashlib
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench import measuring
from bench.heard import Heard, Timed
from bench.peers import BATCH

CLI_FLAGS = ("-bs", "1", "-bo", "1", "-l", "en", "-ojf")
"""One beam, one attempt a temperature; `-ojf` writes tokens with their times."""

LOADING = re.compile(r"load time\s*=\s*([\d.]+) ms")


@dataclass(frozen=True)
class Place:
    """Where the programs and their weights are."""

    models: Path
    converted: Path
    """A folder for each model, with CTranslate2's weights."""
    whisper_cli: Path
    warming: Path
    """A short sound that ours hears before the clock starts."""
    scratch: Path
    cores: int

    def ggml(self, model: str) -> Path:
        return self.models / f"ggml-{model}-q8_0.bin"


@dataclass(frozen=True)
class Program:
    name: str
    """As in tables, and in PROGRAMS."""
    setting: str
    run: Callable[[Place, str, Path], tuple[Heard, measuring.Taken]]
    version: Callable[[], str]
    timed: bool = True
    """Whether its time and memory are compared; the others only tell accuracy."""
    only: str = ""
    """The kind of tracks that it is run on, if not on all."""


def _ours(place: Place, model: str, sound: Path) -> tuple[Heard, measuring.Taken]:
    return _python(place, "bench.ours", str(place.models), model, str(place.warming), str(sound))


def _cut(place: Place, model: str, sound: Path) -> tuple[Heard, measuring.Taken]:
    return _python(place, "bench.chunking", str(place.models), model, str(sound), str(place.cores))


def _peer(way: str) -> Callable[[Place, str, Path], tuple[Heard, measuring.Taken]]:
    def run(place: Place, model: str, sound: Path) -> tuple[Heard, measuring.Taken]:
        weights = place.ggml(model) if way == "pywhispercpp" else place.converted / model
        return _python(place, "bench.peers", way, str(weights), str(sound), str(place.cores))

    return run


def _python(place: Place, module: str, *arguments: str) -> tuple[Heard, measuring.Taken]:
    command = [sys.executable, "-m", module, *arguments]
    taken = measuring.run(command, place.cores, place.scratch / "log", {"HF_HUB_OFFLINE": "1"})
    return Heard.model_validate_json(taken.output), taken


def _whisper_cli(place: Place, model: str, sound: Path) -> tuple[Heard, measuring.Taken]:
    output, log = place.scratch / "whisper-cli", place.scratch / "log"
    command = [str(place.whisper_cli), "-m", str(place.ggml(model)), "-f", str(sound), "-t", str(place.cores)]
    taken = measuring.run([*command, *CLI_FLAGS, "-of", str(output)], place.cores, log)
    told = json.loads(output.with_suffix(".json").read_text(errors="replace"))
    loading = LOADING.search(log.read_text(errors="replace"))
    seconds = float(loading[1]) / 1000 if loading else 0.0
    segments = told["transcription"]
    return Heard(
        text="".join(segment["text"] for segment in segments),
        words=[word for segment in segments for word in cli_words(segment["tokens"])],
        loading=seconds,
        recognising=taken.seconds - seconds,
    ), taken


def cli_words(tokens: list[dict[str, object]]) -> list[Timed]:
    """Tokens as whisper-cli tells them, joined to words; times in its offsets are milliseconds."""
    words: list[Timed] = []
    for token in tokens:
        text, offsets = str(token["text"]), token["offsets"]
        assert isinstance(offsets, dict)
        if text.startswith("[_"):
            continue
        start, end = offsets["from"] / 1000, offsets["to"] / 1000
        if words and not text.startswith(" "):
            words[-1] = Timed(start=words[-1].start, end=end, text=words[-1].text + text)
        else:
            words.append(Timed(start=start, end=end, text=text))
    return words


def our_version() -> str:
    """A digest of the sources that make the words."""
    root = Path(__file__).parent.parent
    texts = (root / "chalicelib" / name for name in ("transcript.py", "wording.py"))
    own = (root / "bench" / "ours.py", root / "local" / "worker.py")
    sources = sorted([*(root / "container").glob("*.py"), *texts, *own])
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:10]
    return f"{digest}, pywhispercpp {version('pywhispercpp')}, onnxruntime {version('onnxruntime')}"


def _faster_version() -> str:
    return f"{version('faster-whisper')}, CTranslate2 {version('ctranslate2')}"


def _cpp_version() -> str:
    return f"whisper.cpp of pywhispercpp {version('pywhispercpp')}"


def _faster(way: str, setting: str, timed: bool = False, only: str = "") -> Program:
    return Program(f"faster-whisper {way}", f"int8, {setting}", _peer(way), _faster_version, timed, only)


OURS = Program("ours", "q8_0, a process a core", _ours, our_version)
CUT = Program("ours cut every minute", "q8_0, a thread a core", _cut, our_version, timed=False, only="clean")
CLI = Program("whisper-cli", f"q8_0, {' '.join(CLI_FLAGS)}", _whisper_cli, _cpp_version)
BATCHED = _faster("batched", f"greedy, {BATCH} windows at once", timed=True)
PROGRAMS = (
    OURS,
    BATCHED,
    _faster("sequential", "greedy", timed=True),
    _faster("vad", "greedy, with its voice activity detection"),
    CLI,
    Program("pywhispercpp", "q8_0, one call", _peer("pywhispercpp"), _cpp_version),
    _faster("batched+beam", "5 beams"),
    _faster("sequential+beam", "5 beams: its defaults"),
    _faster("batched+words", "greedy, with times of words", only="clean"),
    CUT,
)
