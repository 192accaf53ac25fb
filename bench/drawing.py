"""Plots as SVG, the same bytes for the same figures."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Bars:
    """For each name a bar in every group; what is missing has none."""

    title: str
    groups: Sequence[str]
    heights: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Lines:
    """For each name its points; both axes are logarithmic."""

    title: str
    x: str
    y: str
    points: Mapping[str, Sequence[tuple[float, float]]]


def bars(panels: Sequence[Bars], columns: int, file: Path) -> None:
    with _axes(len(panels), columns, file) as axes:
        for axis, panel in zip(axes, panels, strict=True):
            width = 0.8 / max(1, len(panel.heights))
            for index, (name, heights) in enumerate(panel.heights.items()):
                places = [place + index * width for place in range(len(panel.groups))]
                axis.bar(places, [heights.get(group, 0.0) for group in panel.groups], width, label=name)
            axis.set_title(panel.title, fontsize=10)
            axis.set_xticks([place + 0.4 for place in range(len(panel.groups))], panel.groups)


def lines(panels: Sequence[Lines], columns: int, file: Path) -> None:
    with _axes(len(panels), columns, file) as axes:
        for axis, panel in zip(axes, panels, strict=True):
            for name, points in panel.points.items():
                axis.plot(*zip(*points, strict=True), marker=".", label=name)
            axis.set(title=panel.title, xlabel=panel.x, ylabel=panel.y, xscale="log", yscale="log")
            axis.grid(True, alpha=0.3)
            axis.legend(fontsize=8)


@contextmanager
def _axes(count: int, columns: int, file: Path) -> Iterator[list[Any]]:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": file.name, "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot

    rows = -(-count // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(11, 3.6 * rows), squeeze=False, layout="constrained")
    yield list(axes.flat)[:count]
    labelled = axes[0][0].get_legend_handles_labels()
    if axes[0][0].get_legend() is None:
        figure.legend(*labelled, loc="outside lower center", ncols=4, fontsize=8)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)
    text = file.read_text()
    file.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n")
