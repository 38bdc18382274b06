"""The boundary plot: z of every look so far against the bounds that it met, over information. Plain SVG text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from staged_rollout.report.inert import xml

WIDTH, HEIGHT = 680, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 128, 44, 56
HIGHEST = 6.0
"""Bounds of early looks lie far outside (8.3 at 1/14 of the information): the axis ends here unless a z lies beyond."""

# The picture brings its own background: a page's theme and the reader's system may disagree.
_STYLE = """
text{font:12px system-ui,sans-serif;fill:#1f2328}.title{font-size:14px;font-weight:600}.back{fill:#fff}
.grid{stroke:#d8dee4}.axis{stroke:#57606a}.z{stroke:#1f2328;fill:#1f2328}.efficacy{stroke:#0969da;fill:#0969da}
.harm{stroke:#bc4c00;fill:#bc4c00}.futility{stroke:#8250df;fill:#8250df}path{fill:none!important;stroke-width:2}
path.efficacy{stroke-dasharray:7 4}path.harm{stroke-dasharray:2 4}
path.futility{stroke-dasharray:9 3 2 3}
text.efficacy,text.harm,text.futility,text.z{stroke:#fff;stroke-width:4px;paint-order:stroke}
@media(prefers-color-scheme:dark){.back{fill:#161b22}text,.z{fill:#e6edf3}.z{stroke:#e6edf3}.grid{stroke:#30363d}
.axis{stroke:#8b949e}.efficacy{stroke:#58a6ff;fill:#58a6ff}.harm{stroke:#f0883e;fill:#f0883e}
.futility{stroke:#bc8cff;fill:#bc8cff}text.efficacy,text.harm,text.futility,text.z{stroke:#161b22}}
"""


@dataclass(frozen=True)
class LookPoint:
    """One look as it is drawn.

    Attributes:
        slot: The planned slot, from 1.
        information: The fraction of the planned information, from 0; above 1 when more came than was planned.
        z: In standard errors, positive in the metric's good direction; None when no test was made.
        efficacy: The bound that z must reach to win; None at a look that tests harm only.
        harm: The bound that -z must reach to roll back; None when it was not tested.
        futility: The bound at or below which z gives up; None where it was not tested.
    """

    slot: int
    information: float
    z: float | None
    efficacy: float | None
    harm: float | None
    futility: float | None = None


@dataclass(frozen=True)
class _Frame:
    """From information and z to pixels."""

    right: float
    low: float
    high: float

    def x(self, information: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * information / self.right

    def y(self, z: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (z - self.low) / (self.high - self.low)

    def shown(self, z: float) -> float:
        return min(max(z, self.low), self.high)


def boundary_plot(points: Sequence[LookPoint], heading: str) -> str:
    """Draw the looks so far.

    Args:
        points: In order of information; may be empty.
        heading: Above the plot; escaped here.

    Returns:
        An SVG document, readable on light and dark pages.
    """
    frame = _frame(points)
    efficacy = [(point.information, point.efficacy) for point in points if point.efficacy is not None]
    harm = [(point.information, -point.harm) for point in points if point.harm is not None]
    futility = [(point.information, point.futility) for point in points if point.futility is not None]
    scores = [(point.information, point.z) for point in points if point.z is not None]
    lines = {
        "win at": ("efficacy", efficacy),
        "z": ("z", scores),
        "give up at": ("futility", futility),
        "harm at": ("harm", harm),
    }
    x0, x1, y0, y1 = LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>',
        f"<title>{xml(heading)}</title><style>{_STYLE}</style>",
        f'<clipPath id="plot"><rect x="{x0}" y="{y0}" width="{x1 - x0}" height="{y1 - y0}"/></clipPath>',
        f'<rect class="back" width="{WIDTH}" height="{HEIGHT}" rx="6"/>',
        f'<text class="title" x="{x0}" y="26">{xml(heading)}</text>',
        *_axes(frame),
        *_series(frame, "efficacy", efficacy),
        *_series(frame, "harm", harm),
        *_series(frame, "futility", futility),
        *_series(frame, "z", scores),
        *_labels(frame, lines),
        "</svg>",
    ]
    return "\n".join(parts)


def _frame(points: Sequence[LookPoint]) -> _Frame:
    scores = [point.z for point in points if point.z is not None]
    highest = max([min(point.efficacy, HIGHEST) for point in points if point.efficacy is not None] + [3.0])
    lowest = max([min(point.harm, HIGHEST) for point in points if point.harm is not None] + [3.0])
    return _Frame(
        right=max([1.0, *(point.information for point in points)]),
        low=-max([lowest, *(-z for z in scores)]) - 0.4,
        high=max([highest, *scores]) + 0.4,
    )


def _axes(frame: _Frame) -> list[str]:
    x1, y1 = WIDTH - RIGHT, HEIGHT - BOTTOM
    step = next(step for step in (1, 2, 5, 10, 50, 10**6) if (frame.high - frame.low) / step <= 12)
    lines: list[str] = []
    for z in range(int(frame.low // step) * step, int(frame.high) + 1, step):
        if frame.low <= z <= frame.high:
            y = frame.y(z)
            lines.append(
                f'<line class="{"axis" if z == 0 else "grid"}" x1="{LEFT}" y1="{y:.1f}" x2="{x1}" y2="{y:.1f}"/>'
            )
            lines.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{z:+d}</text>' if z else "")
    lines.append(f'<text x="{LEFT - 8}" y="{frame.y(0) + 4:.1f}" text-anchor="end">0</text>')
    percent = 20 if frame.right <= 2 else 100 * max(1, round(frame.right / 5))
    for tick in range(0, int(100 * frame.right + 1e-9) + 1, percent):
        x = frame.x(tick / 100)
        lines.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{y1}"/>')
        lines.append(f'<text x="{x:.1f}" y="{y1 + 18}" text-anchor="middle">{tick}%</text>')
    middle = (LEFT + x1) / 2
    lines.append(f'<line class="axis" x1="{LEFT}" y1="{TOP}" x2="{LEFT}" y2="{y1}"/>')
    lines.append(f'<text x="{middle}" y="{HEIGHT - 14}" text-anchor="middle">information (% of the plan)</text>')
    upright = (TOP + y1) / 2
    turned = f'x="18" y="{upright}" transform="rotate(-90 18 {upright})"'
    lines.append(f'<text {turned} text-anchor="middle">z (standard errors, + is better)</text>')
    return [line for line in lines if line]


def _series(frame: _Frame, name: str, values: Sequence[tuple[float, float]]) -> list[str]:
    """A line through its points; a point outside the frame becomes an arrow at the edge."""
    if not values:
        return []
    line = " L".join(f"{frame.x(information):.1f} {frame.y(z):.1f}" for information, z in values)
    parts = [f'<path class="{name}" clip-path="url(#plot)" d="M{line}"/>']
    for information, z in values:
        x, y = frame.x(information), frame.y(frame.shown(z))
        if z == frame.shown(z):
            parts.append(f'<circle class="{name}" cx="{x:.1f}" cy="{y:.1f}" r="{4 if name == "z" else 2.5}"/>')
        else:
            tip = 7 if z < 0 else -7
            parts.append(
                f'<polygon class="{name}" points="{x - 4:.1f},{y:.1f} {x + 4:.1f},{y:.1f} {x:.1f},{y + tip:.1f}"/>'
            )
    return parts


def _labels(frame: _Frame, series: Mapping[str, tuple[str, Sequence[tuple[float, float]]]]) -> list[str]:
    """Each line's last value beside it, from top to bottom, never on top of one another."""
    last = [
        (frame.y(frame.shown(values[-1][1])), label, name, *values[-1])
        for label, (name, values) in series.items()
        if values
    ]
    parts: list[str] = []
    free = 0.0
    for y, label, name, information, z in sorted(last):
        free = max(y + 4, free)
        parts.append(f'<text class="{name}" x="{frame.x(information) + 10:.1f}" y="{free:.1f}">{label} {z:.2f}</text>')
        free += 15
    return parts
