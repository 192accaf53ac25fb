"""What a recogniser is told before it hears a chunk: the words asked for, and what was said just before."""

from collections.abc import Sequence

from chalicelib.transcript import Segment

LONGEST = 200
"""Bytes of UTF-8 for both together, some 50 tokens of English. Wrong words by it: docs/benchmarks.md."""


def prompt(asked: str, before: Sequence[Segment]) -> str:
    """`asked` whole, and where it leaves room, the end of what the chunk before says, from the start of a word on."""
    room = LONGEST - len(asked.encode())
    said = " ".join(segment.text.strip() for segment in before)
    if len(said.encode()) > room:
        tail = said.encode()[-room:].decode(errors="ignore") if room > 0 else ""
        # In scripts without spaces any character may come first.
        said = tail.partition(" ")[2] if " " in said else tail
    return f"{asked} {said}".strip()
