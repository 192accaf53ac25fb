"""The layout of recognisers is measured on this machine with its model, once."""

import json
import logging
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from container import catalogue
from container.layout import Layout
from local import calibration
from local.calibration import FILE, quickest, speed
from local.service import open_service
from tests.conftest import Figure

LAYOUTS = [Layout(4, 1), Layout(2, 2), Layout(1, 4)]

Speeds = Callable[..., list[Layout]]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The file of a model, beside which nothing is known."""
    (tmp_path / "ggml-tiny.en.bin").write_bytes(b"weights")
    return tmp_path / "ggml-tiny.en.bin"


@pytest.fixture
def speeds(monkeypatch: pytest.MonkeyPatch) -> Speeds:
    """Says how quick layouts are, by their numbers of recognisers, and tells which are tried."""

    def are(**given: float) -> list[Layout]:
        tried = list[Layout]()

        def speed(_model: Path, layout: Layout) -> float:
            tried.append(layout)
            return given[f"of_{layout.recognisers}"]

        monkeypatch.setattr(calibration, "speed", speed)
        return tried

    return are


@pytest.mark.parametrize(
    ("given", "expected", "count"),
    [
        ({"of_4": 100.0, "of_2": 60.0}, Layout(4, 1), 2),  # fewer still are not tried
        ({"of_4": 100.0, "of_2": 109.0}, Layout(4, 1), 2),  # as much may be chance
        ({"of_4": 100.0, "of_2": 120.0, "of_1": 110.0}, Layout(2, 2), 3),
        ({"of_4": 100.0, "of_2": 120.0, "of_1": 140.0}, Layout(1, 4), 3),
        ({"of_4": 0.0, "of_2": 20.0, "of_1": 10.0}, Layout(2, 2), 3),  # four did not fit into memory
    ],
)
def test_the_quickest_is_chosen(
    model: Path, speeds: Speeds, given: dict[str, float], expected: Layout, count: int
) -> None:
    tried = speeds(**given)
    assert quickest(model, LAYOUTS) == expected
    assert tried == LAYOUTS[:count]


def test_it_is_measured_once(model: Path, speeds: Speeds) -> None:
    tried = speeds(of_4=100.0, of_2=120.0, of_1=100.0)
    assert [quickest(model, LAYOUTS) for _ in range(2)] == [Layout(2, 2)] * 2
    assert len(tried) == 3


def test_it_is_measured_anew_for_another_processor_memory_or_model(
    model: Path, speeds: Speeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = speeds(of_4=100.0, of_2=60.0, of_1=50.0)
    quickest(model, LAYOUTS)
    quickest(model, LAYOUTS[1:])
    assert tried == [*LAYOUTS[:2], *LAYOUTS[1:]]
    model.write_bytes(b"other weights")
    quickest(model, LAYOUTS)
    assert tried[4:] == LAYOUTS[:2]
    monkeypatch.setattr(calibration, "_processor", lambda: "another")
    quickest(model, LAYOUTS)
    assert tried[6:] == LAYOUTS[:2]
    assert len(json.loads((model.parent / FILE).read_bytes())) == 4


@pytest.mark.parametrize("damaged", [b"", b"[]", b'{"a": {"recognisers": "many"}}'])
def test_a_damaged_file_is_measured_anew(model: Path, speeds: Speeds, damaged: bytes) -> None:
    (model.parent / FILE).write_bytes(damaged)
    speeds(of_4=100.0, of_2=60.0)
    assert quickest(model, LAYOUTS) == LAYOUTS[0]
    assert len(json.loads((model.parent / FILE).read_bytes())) == 1


def test_what_cannot_be_measured_is_not_kept(model: Path, speeds: Speeds) -> None:
    speeds(of_4=0.0, of_2=0.0, of_1=0.0)
    assert quickest(model, LAYOUTS) == LAYOUTS[0]
    assert not (model.parent / FILE).exists()


def test_a_folder_that_cannot_be_written_is_no_obstacle(
    model: Path, speeds: Speeds, caplog: pytest.LogCaptureFixture
) -> None:
    (model.parent / FILE).mkdir()
    speeds(of_4=100.0, of_2=60.0)
    assert quickest(model, LAYOUTS) == LAYOUTS[0]
    assert f"{FILE} cannot be written" in caplog.text


@pytest.mark.parametrize(
    ("given", "expected", "count"),
    [
        ({"of_4": 1.0}, Layout(4, 1), 1),
        ({"of_4": 0.0, "of_2": 1.0}, Layout(2, 2), 2),  # what cannot be had is not taken
    ],
)
def test_large_models_are_not_measured_for_long(
    model: Path, speeds: Speeds, monkeypatch: pytest.MonkeyPatch, given: dict[str, float], expected: Layout, count: int
) -> None:
    tried = speeds(**given)
    monkeypatch.setattr(calibration, "time", SimpleNamespace(monotonic=lambda: 30.0 * len(tried)))
    assert [quickest(model, LAYOUTS) for _ in range(2)] == [expected] * 2
    assert tried == LAYOUTS[:count]


def test_who_measures_is_waited_for(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two services that start at once neither measure each other's work nor lose what the other has found."""
    other, tried = model.with_name("ggml-other.bin"), list[Path]()
    other.write_bytes(b"others")
    measuring = threading.Lock()

    def speed(model: Path, layout: Layout) -> float:
        assert measuring.acquire(blocking=False)
        tried.append(model)
        time.sleep(0.1)
        measuring.release()
        return float(layout.recognisers)

    monkeypatch.setattr(calibration, "speed", speed)
    with ThreadPoolExecutor() as services:
        assert list(services.map(quickest, [model, model, other], [LAYOUTS] * 3)) == [LAYOUTS[0]] * 3
    assert sorted(tried) == sorted([model, model, other, other])
    assert len(json.loads((model.parent / FILE).read_bytes())) == 2


def test_one_layout_needs_no_measuring(model: Path, speeds: Speeds) -> None:
    tried = speeds()
    assert quickest(model, [Layout(1, 1)]) == Layout(1, 1)
    assert tried == []


def test_this_machine(models_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, figure: Figure) -> None:
    """With real recognisers, side by side in processes of their own."""
    model, layouts = tmp_path / "ggml-tiny.en.bin", [Layout(2, 1), Layout(1, 2)]
    shutil.copy(catalogue.path("tiny.en", models_dir), model)
    with caplog.at_level(logging.INFO):
        layout = quickest(model, layouts)
    measured = [record.getMessage() for record in caplog.records if "speed" in record.getMessage()]
    assert [each.partition(", speed: ")[0] for each in measured] == [
        "recognisers: 2, threads of each: 1",
        "recognisers: 1, threads of each: 2",
    ]
    assert all(int(each.partition("speed: ")[2]) > 0 for each in measured)
    figure(f"measured here: {'; '.join(measured)}; taken: {layout.recognisers} x {layout.threads}")
    caplog.clear()
    assert quickest(model, layouts) == layout
    assert caplog.records == []


def test_the_service_has_the_measured_layout(models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "quickest", lambda *_: Layout(1, 3))
    with open_service(tmp_path, models_dir, "tiny.en") as local:
        capacity = local.service.settings.capacity
    assert (capacity.workers, capacity.processors) == (1, 3)


def test_a_recogniser_that_ends_early_has_no_speed(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert speed(model, Layout(2, 1)) == 0.0
    assert "The model ggml-tiny.en.bin is damaged." in capfd.readouterr().err


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ValueError])
def test_recognisers_end_at_once_when_one_did_or_the_service_is_stopped(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]
) -> None:
    """Though they are at work, here for 20 seconds."""
    busy, begun = tmp_path / "busy", list[int]()
    busy.write_text("#!/bin/sh\nexec sleep 20\n")
    busy.chmod(0o700)

    def answers(recognisers: Sequence["subprocess.Popen[str]"]) -> float:
        begun.extend(recogniser.pid for recogniser in recognisers)
        raise interruption

    monkeypatch.setattr(calibration, "_answers", answers)
    monkeypatch.setattr(sys, "executable", str(busy))
    began = time.monotonic()
    with suppress(KeyboardInterrupt):
        assert speed(model, Layout(2, 1)) == 0.0
    assert time.monotonic() < began + 10
    assert len(begun) == 2
    assert not any(psutil.pid_exists(pid) for pid in begun)
