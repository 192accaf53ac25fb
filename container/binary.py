"""Reading binary model files with every length checked."""

import struct
from typing import Any, BinaryIO


class MalformedFile(ValueError):
    """A model file that is not what it should be; the message names the file and what is wrong with it."""


class Reader:
    """Reads little-endian values from a stream; running out of bytes raises `MalformedFile`."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.stream = stream
        self.name = name

    def error(self, what: str) -> MalformedFile:
        return MalformedFile(f"{self.name} is not a usable model file: {what}.")

    def read(self, count: int) -> bytes:
        data = self.stream.read(count)
        if len(data) != count:
            raise self.error(f"it ends in the middle, {count - len(data)} bytes are missing")
        return data

    def skip(self, count: int) -> None:
        """Moves over so many bytes, at least one, of a stream that can be sought in."""
        self.stream.seek(count - 1, 1)
        self.read(1)

    def unpack(self, format: str) -> tuple[Any, ...]:
        """Values of a `struct` format without its byte order."""
        return struct.unpack("<" + format, self.read(struct.calcsize("<" + format)))

    def sized(self, most: int, what: str) -> bytes:
        """Bytes that follow their count, which is a 32-bit integer."""
        count = int.from_bytes(self.read(4), "little", signed=True)
        if not 0 <= count <= most:
            raise self.error(f"the length of {what} is {count}")
        return self.read(count)

    def integer(self, format: str, least: int, most: int, what: str) -> int:
        """One integer that must lie in `least … most`."""
        (value,) = self.unpack(format)
        if not least <= value <= most:
            raise self.error(f"{what} is {value}")
        return int(value)
