"""Puts models into the image at its build: `python -m container.bake FOLDER MODEL...`."""

import sys
from pathlib import Path

from container import catalogue, weights


def bake(folder: Path, names: list[str]) -> None:
    """Installs the models and the voice activity model, each verified. Raises `catalogue.ModelError`."""
    for name in (catalogue.VAD, *names):
        file = weights.install(name, folder, report)
        weights.verify(name, folder)
        file.chmod(0o444)
        print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB")
    (folder / ".lock").unlink()


def report(message: str, share: float | None) -> None:
    if share is None:
        print(message)


if __name__ == "__main__":
    try:
        bake(Path(sys.argv[1]), sys.argv[2:])
    except catalogue.ModelError as error:
        sys.exit(str(error))
