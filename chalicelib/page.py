"""The web page, built from `web/` into the folder `static` beside this module."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chalicelib.errors import not_found

FOLDER = Path(__file__).with_name("static")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
WELCOME = """This is a transcription service.

Its API is at /jobs: send a bearer token, and start with POST /jobs.
Its web page was not built: that needs Node.js when the service is started with 'make serve', or deployed.
"""
# Built files are named by their content.
FOR_GOOD = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """A text file as it is answered."""

    body: str
    headers: dict[str, str]


def index(object_origins: Sequence[str] = (), folder: Path = FOLDER) -> Asset:
    """The page itself. `object_origins` are those that objects are sent to and read from beside the page's own."""
    try:
        body, kind = (folder / "index.html").read_text(), TYPES[".html"]
    except FileNotFoundError:
        body, kind = WELCOME, "text/plain; charset=utf-8"
    return Asset(body, headers(kind, policy(object_origins)))


def headers(kind: str, policy: str) -> dict[str, str]:
    """Those of a page of this media type and Content-Security-Policy."""
    return {
        "Content-Type": kind,
        "Cache-Control": "no-cache",
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    }


def asset(name: str, folder: Path = FOLDER) -> Asset:
    """A file that the page consists of. Raises Problem."""
    file = folder / "assets" / name
    if "/" in name or "\\" in name or file.suffix not in TYPES or not file.is_file():
        raise not_found("resource")
    headers = {
        "Content-Type": TYPES[file.suffix],
        "Cache-Control": FOR_GOOD,
        "X-Content-Type-Options": "nosniff",
    }
    return Asset(file.read_text(), headers)


def policy(object_origins: Sequence[str]) -> str:
    """The Content-Security-Policy: nothing inline, nothing from third parties."""
    objects = "".join(f" {origin}" for origin in object_origins)
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data: blob:",
            f"connect-src 'self'{objects}",
            f"media-src 'self' blob:{objects}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
