"""The live server answers as its description says: Schemathesis sends what is allowed, and much that is not."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.access import Scope
from tests.finishing import Bench, bench

PROGRAM = Path(sys.executable).with_name("schemathesis")
SETTINGS = Path(__file__).with_name("schemathesis.toml")
SEED = 20261126


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A service whose jobs are done as soon as their files are in."""
    with bench(tmp_path_factory.mktemp("site")) as started:
        yield started


def cases(site: Bench, folder: Path, *options: str) -> int:
    """How many requests were tried, none of which was answered otherwise than described."""
    command = [
        str(PROGRAM),
        "--config-file",
        str(SETTINGS),
        "run",
        f"{site.url}/openapi.json",
        "--seed",
        str(SEED),
        *options,
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert found, done.stdout
    return int(found[2])


def test_jobs(site: Bench, tmp_path: Path) -> None:
    """As a user; what is a matter of administrators is refused as it should be."""
    tried = cases(
        site, tmp_path, "-H", f"Authorization: Bearer {site.token}", "-n", "2", "--phases", "coverage,fuzzing,stateful"
    )
    assert tried > 1000


def test_tokens(site: Bench, tmp_path: Path) -> None:
    """As an administrator, who in a stateful test would revoke the token that is used."""
    admin = site.site.token("root", scopes=[Scope.ADMIN])
    of_tokens = ["--include-path-regex", "^/tokens", "--phases", "coverage"]
    assert cases(site, tmp_path, "-H", f"Authorization: Bearer {admin}", *of_tokens) > 50


def test_without_a_token(site: Bench, tmp_path: Path) -> None:
    assert cases(site, tmp_path, "--phases", "fuzzing", "-n", "1", "--mode", "positive") > 20
