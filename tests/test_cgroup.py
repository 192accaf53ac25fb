"""Limits that Linux sets for containers and services, of which a test has no say: files as Linux writes them."""

import math
from pathlib import Path

import pytest

from container.layout import Layout
from local import calibration, cgroup
from local.layout import this_machine

SERVICE = "0::/system.slice/transcriber.service\n"


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree of groups, in one of which this process is."""
    (tmp_path / "groups" / "system.slice" / "transcriber.service").mkdir(parents=True)
    (tmp_path / "membership").write_text(SERVICE)
    monkeypatch.setattr(cgroup, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(cgroup, "MEMBERSHIP", tmp_path / "membership")
    return tmp_path / "groups"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max 100000\n", math.inf),
        ("200000 100000\n", 2.0),
        ("150000 100000\n", 1.5),
        ("max\n", math.inf),
        ("2147483648\n", 2**31),
    ],
)
def test_what_a_limit_says(text: str, expected: float) -> None:
    assert cgroup.limit(text) == expected


@pytest.mark.parametrize(
    ("membership", "expected"),
    [
        (SERVICE, "system.slice/transcriber.service"),
        ("4:memory:/other\n0::/user.slice\n", "user.slice"),
        ("0::/\n", "."),  # in a container
        ("4:memory:/other\n", "."),  # version 1
    ],
)
def test_where_the_group_is(membership: str, expected: str) -> None:
    assert str(cgroup.group(membership)) == expected


def test_the_least_limit_of_all_groups_around_holds(groups: Path) -> None:
    assert (cgroup.processors(), cgroup.memory()) == (math.inf, math.inf)
    (groups / "memory.max").write_text("8000000000\n")
    (groups / "system.slice" / "memory.max").write_text("4000000000\n")
    (groups / "system.slice" / "transcriber.service" / "memory.max").write_text("max\n")
    assert (cgroup.processors(), cgroup.memory()) == (math.inf, 4e9)


@pytest.mark.parametrize("damaged", ["", "much\n", "1 0 0\n"])
def test_what_is_not_understood_is_no_limit(groups: Path, damaged: str) -> None:
    (groups / "cpu.max").write_text(damaged)
    assert cgroup.processors() == math.inf


def test_other_systems_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "MEMBERSHIP", tmp_path / "missing")
    assert cgroup.memory() == math.inf


@pytest.mark.parametrize(
    ("cpus", "memory", "expected"),
    [
        ("max 100000", "max", Layout(64, 1)),
        ("200000 100000", "max", Layout(2, 1)),
        ("150000 100000", "max", Layout(2, 1)),
        ("50000 100000", "max", Layout(1, 1)),
        ("400000 100000", str(2**30), Layout(1, 4)),  # room for one
    ],
)
def test_recognisers_are_as_many_as_the_limits_allow(
    groups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpus: str, memory: str, expected: Layout
) -> None:
    """On a machine of 64 processors."""
    with (tmp_path / "ggml-tiny.en.bin").open("wb") as model:
        model.truncate(43_000_000)
    (groups / "cpu.max").write_text(f"{cpus}\n")
    (groups / "memory.max").write_text(f"{memory}\n")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**26}.get)
    monkeypatch.setattr(calibration, "quickest", lambda _, layouts: layouts[0])
    assert this_machine(tmp_path, "tiny.en") == expected
