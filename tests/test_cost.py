"""The figures of docs/cost.md follow from the prices and the measured factors that stand beside them."""

import re
from pathlib import Path

import pytest

from chalicelib import prices, speeds

VCPUS, MEMORY = 1.70, 3008
ROW = re.compile(r"^\| (\S+) \| ([\d.]+)(?: \(estimate\))? \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", re.MULTILINE)


def test_table_of_models() -> None:
    rows = ROW.findall(Path("docs/cost.md").read_text())
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
