"""What blocks forward moves."""

from __future__ import annotations

from staged_rollout.evidence import Evidence
from staged_rollout.spec.grammar import render_duration
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.state import HoldReason, RolloutState, State

Hold = tuple[HoldReason, str]

FULL_DISK = 95.0
"""Disk utilisation in percent from which on captured rows are missing, or soon will be."""

_WATCHED = frozenset({State.SHADOW, State.CANARY, State.LIVE, State.AWAITING_APPROVAL, State.PROMOTING, State.BAKING})


def holds_now(spec: RolloutSpec, state: RolloutState, evidence: Evidence) -> tuple[Hold, ...]:
    """Every reason that holds on this evidence, in the order of `HoldReason`."""
    found: dict[HoldReason, str] = {}
    if state.state in _WATCHED:
        quality = evidence.quality
        if quality.day is not None and not quality.passed:
            failures = "; ".join(quality.failures) or "no expectation ran"
            found[HoldReason.QUALITY] = f"{quality.day}: {failures} ({quality.failed_in_a_row} event days in a row)"
        for test in evidence.srm:
            if test.alarm:
                found[HoldReason.SRM] = (
                    f"{test.name}: {test.counts[0]:,} against {test.counts[1]:,} units, designed "
                    f"{test.weights[0]:g}:{test.weights[1]:g}, log e {test.log_e:.2f} (limit {test.threshold_log:.2f})"
                )
                break
        if evidence.health.no_data:
            found[HoldReason.NO_DATA] = (
                f"last call at {evidence.health.last_call_at}, newest logged row {evidence.health.newest_row_at}: "
                f"more than {render_duration(spec.capture_delay)} apart"
            )
        elif evidence.health.no_traffic:
            found[HoldReason.NO_TRAFFIC] = (
                f"no call since {evidence.health.last_call_at}, limit {render_duration(spec.capture_delay)}"
            )
        elif full := [one for one in evidence.health.variants or () if (one.disk or 0.0) >= FULL_DISK]:
            shown = ", ".join(f"{one.name} {one.disk:.0f}%" for one in full)
            found[HoldReason.NO_DATA] = f"disks are full ({shown}, limit {FULL_DISK:.0f}%): Data Capture stops there"
        for signal in evidence.drift:
            if signal.breached:
                psi = "unknown" if signal.psi is None else f"{signal.psi:.3f}"
                found[HoldReason.DRIFT] = f"{signal.name}: PSI {psi}, limit {signal.limit:g}"
    if evidence.freeze:
        found[HoldReason.FREEZE] = f"freeze window {evidence.freeze}"
    if HoldReason.OPERATOR in state.holds:
        found[HoldReason.OPERATOR] = state.holds[HoldReason.OPERATOR][1]
    return tuple((reason, found[reason]) for reason in HoldReason if reason in found)
