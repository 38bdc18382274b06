"""The stack's rollout file: `churn.yaml` as its owner would write it for people who come every second."""

from __future__ import annotations

from demo.rules import Edit

CALLERS_PER_SECOND = 5.0
"""New units; each is somebody of whom nothing was known before."""

RULES = (
    Edit("shadow: {sample: 100%, for: 2d, min_requests: 500", "shadow: {sample: 100%, for: 3m, min_requests: 300"),
    Edit("canary: [25% 1d]", "canary: [25% 3m]"),
    Edit("looks: daily", "looks: every 3m"),
    Edit("min: 7d", "min: 3m"),
    Edit("max: 14d", "max: 15m"),
    Edit("promote: [75% 1d, 95%]", "promote: [75% 2m, 95%]"),
    Edit("bake: {for: 2d", "bake: {for: 4m"),
    Edit("units_per_day: 250", f"units_per_day: {CALLERS_PER_SECOND * 86_400:.0f}"),
    Edit("matures_after: 1d", "matures_after: 1m"),
    Edit("capture_delay: 30h", "capture_delay: 10m"),
    Edit("blind_after: 36h", "blind_after: 10m"),
)
"""From the first copy to the last percent in about half an hour."""
