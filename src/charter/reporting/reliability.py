"""A plot of how often labels come true: a file of its own, for any viewer."""

from __future__ import annotations

import io
from pathlib import Path

from charter.feedback.calibration import Calibration, LabelQuality
from charter.files.tables import write_text

_SIZE = 4.2, 4.2  # inches
_SMALLEST, _LARGEST = 12.0, 160.0  # square points: of a mark of few labels, and of all


def draw_reliability(path: Path, judge: str, found: Calibration) -> None:
    """Draw, before and after calibration, how often the likelier side is people's against how sure the label was.

    What lies on the diagonal is calibrated; marks are as large as they stand for many labels.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    with matplotlib.style.context(["default", {"svg.hashsalt": "reliability", "text.parse_math": False}]):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.subplots()
        axes.plot((0.5, 1), (0.5, 1), color="0.6", linewidth=1, linestyle="--")
        for label, quality, colour in (
            ("as read", found.before, "#d55e00"),
            ("calibrated", found.after, "#0072b2"),
        ):
            axes.plot(*_points(quality), color=colour, linewidth=1, alpha=0.6)
            axes.scatter(*_points(quality), s=_areas(quality), color=colour, label=f"{label} (error {quality.ece:.3f})")
        axes.set(
            xlim=(0.48, 1.02),
            ylim=(-0.02, 1.02),
            xlabel="how sure the label is",
            ylabel="share that is people's",
            title=f"{judge}, n {found.n_pairs:,}",
        )
        axes.legend(loc="lower right", fontsize=8)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    write_text(path, buffer.getvalue())


def _points(quality: LabelQuality) -> tuple[list[float], list[float]]:
    return [one.confidence for one in quality.bins], [one.frequency for one in quality.bins]


def _areas(quality: LabelQuality) -> list[float]:
    return [_SMALLEST + (_LARGEST - _SMALLEST) * one.n / quality.n for one in quality.bins]
