"""Values as people read them."""

from pathlib import Path

from rich.cells import cell_len
from rich.console import Console


def printable(text: object) -> str:
    """Text without anything that a terminal would obey or choke on: control characters and bytes that are no text."""
    return "".join(character if character.isprintable() else _escaped(character) for character in str(text))


def say(console: Console, *lines: str) -> None:
    """Prints lines as they are, but on a terminal broken between words."""
    for line in lines:
        verbatim(console, *(wrapped(line, console.width) if console.is_terminal else [line]))


def verbatim(console: Console, *lines: str) -> None:
    """Prints lines as they are: what may be copied from a terminal."""
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True, emoji=False)


def wrapped(line: str, width: int) -> list[str]:
    """A line in parts of at most `width` columns, broken between words alone; the further parts are indented."""
    words = line.split(" ")
    indent = "  " * (2 if line.startswith(" ") else 0)
    parts = [words[0]]
    for word in words[1:]:
        if cell_len(f"{parts[-1]} {word}") <= width or not parts[-1].strip():
            parts[-1] += f" {word}"
        else:
            parts.append(indent + word)
    return parts


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def count(number: int, thing: str) -> str:
    """`1 file`, `1,000 files`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def size(number: float) -> str:
    """Bytes, such as `1 byte`, `3.2 GB`."""
    if number < 1000:
        return count(round(number), "byte")
    for unit in ("kB", "MB", "GB"):
        number /= 1000
        if number < 1000:
            return f"{number:.0f} {unit}" if number >= 100 else f"{number:.1f} {unit}"
    number /= 1000
    return f"{number:.1f} TB"


def duration(seconds: float) -> str:
    """Such as `12 s`, `3 min 20 s`, `2 h 05 min`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def shortened(text: str, width: int) -> str:
    """The end of `text`, where paths differ, in at most `width` columns of a terminal."""
    if cell_len(text) <= width:
        return text
    while cell_len(text) > width - 1:
        text = text[1:]
    return f"…{text}"


def reason(error: OSError) -> str:
    """Such as `No space left on device`."""
    return error.strerror or type(error).__name__


def path(path: Path) -> str:
    """A path as it is best shown: relative to the current folder where it is below it."""
    try:
        return printable(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return printable(path)
