"""What all tests share: models and samples in `.cache`, and a place to report measured figures."""

import functools
import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import botocore.session
import pytest

from container import catalogue, weights
from local import demo
from local.layout import this_machine

CACHE = Path(__file__).parent.parent / ".cache"

Figure = Callable[[str], None]

MUCH = 1_000_000
"""Objects made and not freed since garbage was last collected."""

# The longest files come first, so that nobody waits for them at the end.
LONGEST = [
    "test_aws_chain.py",
    "test_executor.py",
    "test_service.py",
    "test_viewing.py",
    "test_client.py",
    "test_statemachine.py",
    "test_weights.py",
    "test_recogniser.py",
    "test_media.py",
    "test_conformance.py",
    "test_transcriber.py",
    "test_jobs_cli.py",
    "test_records.py",
    "test_page.py",
    "test_cli.py",
    "test_watch.py",
    "test_resuming.py",
    "test_openai.py",
    "test_uploads.py",
    "test_handler.py",
]


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """A folder with the models tiny.en and Silero; this machine is measured by whoever comes first."""
    folder = CACHE / "models"
    for name in (catalogue.VAD, "tiny.en"):
        weights.install(name, folder, lambda *_: None)
    this_machine(folder, "tiny.en")
    return folder


@pytest.fixture(scope="session")
def voices_dir(models_dir: Path) -> Path:
    """The same folder, with the model that tells voices apart."""
    weights.install(catalogue.VOICES, models_dir, lambda *_: None)
    return models_dir


@pytest.fixture(scope="session")
def samples_dir() -> Path:
    folder = CACHE / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def jfk(samples_dir: Path) -> Path:
    """Kennedy's sentence: 11 seconds, 16 kHz mono WAV."""
    return demo.speech(samples_dir)


@pytest.fixture(scope="session")
def jfk_video(samples_dir: Path) -> Path:
    """The same as MP4 with picture and sound."""
    return demo.video(samples_dir)


@pytest.fixture(autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where clients remember unfinished jobs: not in the folder of whoever runs the tests."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder


@pytest.fixture(scope="session", autouse=True)
def descriptions_of_services() -> Iterator[None]:
    """Read once: boto3 reads them anew for each session, and each test with AWS has sessions of its own."""
    with patch.object(botocore.session, "create_loader", functools.cache(botocore.session.create_loader)):
        yield


@pytest.fixture
def aws_environment() -> Iterator[dict[str, str]]:
    """An emulated AWS account; the environment that the service's functions have in it."""
    from tests import aws  # moto is slow to import, and few tests need it

    with aws.emulated() as environment:
        yield environment


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Call it with a measured figure in words: it is printed at the end of the run."""
    return lambda text: request.node.user_properties.append(("measured", text))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Few files have tests that run alone, and importing the others takes as long as some of these."""
    alone = config.option.markexpr == "alone" and collection_path.suffix == ".py"
    return True if alone and "pytest.mark.alone" not in collection_path.read_text() else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(LONGEST)))


def pytest_collection_finish() -> None:
    """Off with garbage collection while tests run: a third of what moto's tests did was looking for garbage."""
    gc.collect()
    gc.freeze()
    gc.disable()


def pytest_sessionfinish() -> None:
    gc.unfreeze()
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def garbage() -> Iterator[None]:
    """Of modules that made much, taken away when they are done; what remains is not looked through again."""
    yield
    if gc.get_count()[0] > MUCH:
        gc.collect()
        gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "call":
                for name, text in report.user_properties:
                    terminalreporter.write_line(f"{name}  {report.nodeid.split('::')[-1]}: {text}")
