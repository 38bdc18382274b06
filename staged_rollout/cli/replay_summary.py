"""What came of a replay: as data, for people, and whether it was anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from staged_rollout.cli.output import print_table, say, where
from staged_rollout.errors import DataError, PlatformError
from staged_rollout.operations.replay import OK, Pace, Tally

_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_NOTABLY_LATE_MS = 50


def summary_of(
    endpoint: str | None, router: str | None, pace: Pace, tally: Tally, *, interrupted: bool
) -> dict[str, Any]:
    """The summary as JSON has it.

    Args:
        endpoint: What was asked, or None.
        router: Its router's address, or None.
        pace: What was wanted.
        tally: What came of it.
        interrupted: Whether somebody ended it.
    """
    return {
        "endpoint": endpoint,
        "router": router,
        "sent": tally.sent,
        "answered": tally.codes[OK],
        "bad_lines": tally.bad,
        "rate": {"wanted": pace.per_second, "achieved": round(tally.rate, 3)},
        "seconds": round(tally.seconds, 3),
        "codes": dict(sorted(tally.codes.items())),
        "variants": dict(sorted(tally.variants.items())),
        "latency_ms": {name: tally.latency_ms(share) for name, share in _QUANTILES.items()},
        "late_ms": {name: tally.late_ms(share) for name, share in _QUANTILES.items()},
        "first_bad_lines": [{"line": line.number, "reason": line.reason} for line in tally.first_bad],
        "first_errors": dict(sorted(tally.first_errors.items())),
        "interrupted": interrupted,
    }


def say_summary(summary: dict[str, Any]) -> None:
    """The summary for people."""
    rate = summary["rate"]
    say(
        f"{summary['sent']:,} requests in {summary['seconds']:.1f} s, {rate['achieved']:.1f} a second "
        f"of {rate['wanted']:g} wanted; {summary['answered']:,} answered, {summary['bad_lines']:,} bad lines"
    )
    if summary["answered"]:
        rows = [
            (variant or "not told", f"{n:,}", f"{n / summary['answered']:.1%}")
            for variant, n in summary["variants"].items()
        ]
        print_table(("variant", "answers", "share"), rows)
        quantiles = ", ".join(f"{name} {value:.1f} ms" for name, value in summary["latency_ms"].items())
        say(f"latency: {quantiles}")
    late = summary["late_ms"]["p95"]
    if late is not None and late > 1000 / rate["wanted"] and late > _NOTABLY_LATE_MS:
        say(f"requests were sent up to {late:.0f} ms late (p95): raise --concurrency, or this machine is too slow")
    for code, reason in summary["first_errors"].items():
        say(f"{summary['codes'][code]:,} times {code}, first: {reason}", "red")
    for bad in summary["first_bad_lines"]:
        say(f"line {bad['line']:,}: {bad['reason']}", "yellow")
    if summary["interrupted"]:
        say("interrupted")


def check_answered(tally: Tally, file: Path) -> None:
    """Whether anything came of it.

    Raises:
        DataError: the file holds no request.
        PlatformError: none was answered.
    """
    if not tally.sent:
        why = f": line {tally.first_bad[0].number}: {tally.first_bad[0].reason}" if tally.first_bad else ""
        raise DataError(f"{where(file)} holds no request{why}", file=str(file))
    if not tally.codes[OK]:
        code, reason = next(iter(tally.first_errors.items()))
        raise PlatformError(f"none of {tally.sent} requests was answered: {code}: {reason}", code=code, reason=reason)
