"""What the platform measured of a variant, in one line."""

from __future__ import annotations

from staged_rollout.evidence import VariantHealthFigures
from staged_rollout.report.figures import count, figure


def variant_health(one: VariantHealthFigures) -> str:
    """The figures of one variant; those that were not measured are left out."""
    errors = f"{count(one.invocations, 'call')}, {one.errors_4xx:,} answered 4xx, {one.errors_5xx:,} answered 5xx"
    latency = (
        "" if one.latency_ms is None else f"; model {figure(one.latency_ms, 'ms')} (longest {_ms(one.latency_max_ms)})"
    )
    load = ", ".join(
        f"{name} {value:.0f}%"
        for name, value in (("CPU", one.cpu), ("memory", one.memory), ("disk", one.disk))
        if value is not None
    )
    return f"{errors}{latency}{'; at most ' + load if load else ''}"


def _ms(value: float | None) -> str:
    return figure(value, "ms")
