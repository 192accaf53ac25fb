"""How a file is divided into the parts that it may be uploaded in; what S3 allows, on every platform."""

from dataclasses import dataclass

# What S3 takes: 10,000 parts, all of one size of 5 MiB or more but for the last.
MOST_PARTS = 10_000
MIB = 2**20
# Small enough that a part lost on a bad network costs little, large enough that requests do not count.
PART_BYTES = 8 * MIB
# From this size on parts are what a client should choose.
MULTIPART_BYTES = 64 * MIB


@dataclass(frozen=True)
class Span:
    """Part `number` (from 1) of a file: `size` bytes from `offset`."""

    number: int
    offset: int
    size: int


@dataclass(frozen=True)
class Layout:
    """The division of a file of `size` bytes; an empty file has one empty part."""

    size: int

    @property
    def part_size(self) -> int:
        return max(PART_BYTES, -(-self.size // MOST_PARTS // MIB) * MIB)

    @property
    def count(self) -> int:
        return max(1, -(-self.size // self.part_size))

    def span(self, number: int) -> Span:
        offset = (number - 1) * self.part_size
        return Span(number, offset, min(self.part_size, self.size - offset))
