"""The figures of docs/cost.md follow from the prices and the measured factors that stand beside them."""

import re
from pathlib import Path

import pytest

from chalicelib import prices, speeds

TEXT = Path("docs/cost.md").read_text()
VCPUS, MEMORY = 1.70, 3008
ROW = re.compile(r"^\| (\S+) \| ([\d.]+)(?: \(estimate\))? \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", re.MULTILINE)


def test_table_of_models() -> None:
    rows = ROW.findall(TEXT)
    assert [row[0] for row in rows] == ["tiny.en", "base", "small", "large-v3-turbo"]
    for model, seconds, factor, *costs in rows:
        assert float(seconds) == speeds.processor_seconds(model)
        exact = float(seconds) / VCPUS
        assert float(factor) == round(exact, 3)
        expected = [prices.audio_hour(MEMORY, exact, architecture) for architecture in ("x86_64", "arm64")]
        assert [float(cost) for cost in costs] == [round(cost, 4) for cost in expected]


def test_an_invocation() -> None:
    assert prices.invocation(10240, 1, "x86_64") == pytest.approx(0.000167, abs=1e-6)
    assert prices.invocation(1024, 10, "aarch64") == pytest.approx(10 * 0.0000133334 + 0.0000002)


def priced(heading: str) -> dict[str, float]:
    """The names of the rows of the table below a heading, and the first of their cells that is a number."""
    _, _, below = TEXT.partition(f"## {heading}\n")
    rows = [re.split(r"[\s*]*\|[\s*]*", line)[1:] for line in below.partition("\n## ")[0].splitlines() if "|" in line]
    numbers = {name: [cell for cell in cells if re.fullmatch(r"[\d.]+", cell)] for name, *cells in rows}
    return {name: float(found[0]) for name, found in numbers.items() if found}


def test_sums() -> None:
    parts = priced("Everything else, per audio hour")
    total = parts.pop("sum")
    assert len(parts) == 7
    assert sum(parts.values()) == pytest.approx(total, abs=1e-9)
    assert priced("Everything else, per audio hour")["prepare (decode, find speech)"] == round(
        prices.audio_hour(1769, 12 / 3600, "x86_64"), 4
    )
    transcribing = {row[0]: [float(cost) for cost in row[3:]] for row in ROW.findall(TEXT)}
    rivals = priced("Beside the managed services")
    for ours, model, digits in (
        ("this, tiny.en, x86_64", ("tiny.en", 0), 3),
        ("this, base, x86_64", ("base", 0), 3),
        ("this, base, arm64 (at the same speed)", ("base", 1), 3),
        ("this, large-v3-turbo, x86_64 (estimate)", ("large-v3-turbo", 0), 2),
    ):
        name, column = model
        assert rivals[ours] == round(transcribing[name][column] + total, digits)
    cheapest = min(price for name, price in rivals.items() if not name.startswith("this"))
    for architecture, bound in (("x86_64", 0.25), ("arm64", 0.31)):
        assert f"below {bound}" in TEXT
        assert prices.audio_hour(10240, 1, architecture) * bound == pytest.approx(cheapest, abs=0.01)
