"""How charts look and become bytes: one style, readable on white and without colour vision, always the same bytes."""

from __future__ import annotations

import io
import logging
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ChartKind = Literal["png", "svg"]
CHART_KINDS: tuple[ChartKind, ...] = ("png", "svg")

# Okabe and Ito (2008), "Color universal design": told apart with every kind of colour vision.
BLUE, VERMILLION, GREEN, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9"
INK, MUTED, GREY, PALE = "#1f2328", "#57606a", "#b1bac4", "#d8dee4"
ON_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
"""Behind a label that a line may cross."""

_STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same letters on every machine
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "figure.constrained_layout.wspace": 0.05,
    "grid.color": PALE,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "savefig.dpi": 150,
    "svg.hashsalt": "staged-rollout",  # without it each file has other ids
}
_LETTERS_PER_INCH = 8
"""Of a title, before it goes on in a second line."""
_METADATA: dict[ChartKind, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


def chart(draw: Callable[[Figure], None], kind: ChartKind, *, title: str, size: tuple[float, float]) -> bytes:
    """One chart as a file's bytes; the same drawing gives the same bytes.

    matplotlib is imported here, at the first chart, and never through pyplot: no window, no state that is left behind,
    and whatever style the user has set is neither seen nor changed.

    Args:
        draw: Draws on the empty figure.
        kind: `png` (150 dots per inch) or `svg`.
        title: What the chart says, in a sentence; above it.
        size: Width and height in inches.

    Returns:
        The file's content.
    """
    # Where no folder for its cache can be written, matplotlib says so at length on stderr.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        figure = Figure(figsize=size, layout="constrained")
        figure.suptitle(textwrap.fill(title, int(_LETTERS_PER_INCH * size[0])), x=0.01, horizontalalignment="left")
        draw(figure)
        file = io.BytesIO()
        figure.savefig(file, format=kind, metadata={"Title": title, **_METADATA[kind]})
    return file.getvalue()


def legend_below(axes: Axes, columns: int) -> None:
    """A legend under the axis label, where it can hide no data."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=columns)
