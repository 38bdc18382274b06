"""What must hold between `success` and the metric that it names."""

from __future__ import annotations

from staged_rollout.spec.draft import Draft, UnreadError
from staged_rollout.spec.grammar import MARGIN_ACCEPTS, SHARE_ACCEPTS
from staged_rollout.spec.metric import Metric
from staged_rollout.spec.metrics import RATE_MARGINS, SUCCESS_METRICS, VALUE_MARGINS
from staged_rollout.spec.values import Margin


def metric_is_known(draft: Draft) -> None:
    """`success.metric` is built in, or stands under `metrics`."""
    name, declared = draft["success.metric"], draft["metrics"]
    if name in SUCCESS_METRICS or name in declared:
        return
    known = ", ".join((*SUCCESS_METRICS, *declared))
    draft.add("success.metric", "is not one of them", f"{known}, or a metric declared under metrics")
    draft.unread.add("success.metric")


def declared_metric(draft: Draft) -> Metric | None:
    """The declared metric that decides; None: it is built in.

    Raises:
        UnreadError: If it is not known.
    """
    found: Metric | None = draft["metrics"].get(draft["success.metric"])
    return found


def success_fits_metric(draft: Draft) -> None:
    """Margins, baseline and re-estimation are of the metric's kind: shares of a rate, numbers of a mean or a ratio."""
    metric = declared_metric(draft)
    rate = metric is None or metric.kind == "rate"
    for path in ("success.mde", "success.better_or_equal"):
        _margin_fits(draft, path, rate=rate)
    given, text = draft["success.baseline"], draft.texts.get("success.baseline", "")
    if given is not None and rate is not text.endswith("%"):
        problem = "is not a share" if rate else "is a share, and the metric is a mean or a ratio"
        draft.add("success.baseline", problem, f"{SHARE_ACCEPTS if rate else 'a number, such as 12.5'}, or measured")
        draft.unread.add("success.baseline")
    if rate and draft["success.sd"] is not None:
        draft.add("success.sd", "is given, and a rate has none of its own", "measured, or no key")
    if not rate and draft["success.reestimate"] is not None:
        problem = "plans anew from a rate, and the metric is a mean or a ratio"
        draft.add("success.reestimate", problem, "none; a rate such as {rate: 'revenue > 0'} can be re-estimated")


def _margin_fits(draft: Draft, path: str, *, rate: bool) -> None:
    try:
        margin: Margin | None = draft[path]
    except UnreadError:
        return
    kinds = RATE_MARGINS if rate else VALUE_MARGINS
    if margin is None or margin.kind in kinds:
        return
    accepts = " or ".join(MARGIN_ACCEPTS[kind] for kind in kinds)
    problem = "is not a margin" if rate else "is in percentage points, and the metric is a mean or a ratio"
    draft.add(path, problem, accepts)
    draft.unread.add(path)
