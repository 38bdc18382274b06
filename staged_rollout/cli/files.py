"""Commands about rollout files: lint and explain."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import typer

from staged_rollout.cli.output import print_json, print_table, say, where
from staged_rollout.cli.session import Session, shared
from staged_rollout.errors import SpecError, StagedRolloutError
from staged_rollout.report.figures import count, span, usd
from staged_rollout.spec.cost import CostForecast, forecast, stage_times
from staged_rollout.spec.explain import explain as explain_keys
from staged_rollout.spec.findings import Finding, errors_among
from staged_rollout.spec.lint import lint_rollout
from staged_rollout.spec.load import load_rollout
from staged_rollout.spec.locations import find_rollout
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.spec.plan import WORST_RATE, planned_mean_units, planned_units
from staged_rollout.spec.prices import PriceTable, load_prices

FilesArgument = Annotated[
    list[str], typer.Argument(metavar="FILE", help="Rollout files, by path or by their name in configs/rollouts.")
]
FileArgument = Annotated[
    str, typer.Argument(metavar="ROLLOUT", help="A rollout file, by path or by its name in configs/rollouts.")
]


@dataclass(frozen=True)
class PlannedSlot:
    """One planned look: when, counted from LIVE's begin, and what it may conclude."""

    slot: int
    after: timedelta
    kind: str


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("lint")(shared(lint))
    app.command("explain")(shared(explain))


def lint(session: Session, files: FilesArgument) -> None:
    """Say all that is wrong with rollout files.

    Findings are printed as FILE:LINE: KEY: what is wrong; accepted: what would be.

    Leaves with 2 when any is an error. Warnings alone leave with 0.

    JSON: {"environment", "files": [{"file", "errors", "warnings", "findings": [{"file", "line", "key", "value",
    "problem", "accepts", "severity"}]}]}.

    Example: staged-rollout lint churn configs/rollouts/pricing.yaml
    """
    linted = {name: _findings(session, name) for name in dict.fromkeys(files)}
    errors = sum(len(errors_among(findings)) for findings in linted.values())
    if session.as_json:
        reports = [_file_report(name, findings) for name, findings in linted.items()]
        print_json({"environment": session.environment.name, "files": reports})
    else:
        for name, findings in linted.items():
            for finding in findings:
                say(str(finding), "red" if finding.severity == "error" else "yellow")
            if not errors_among(findings):
                say(f"{name}: fine for environment {session.environment.name}")
    if errors:
        wrong = sum(1 for findings in linted.values() if errors_among(findings))
        raise SpecError(f"{count(errors, 'error')} in {count(wrong, 'file')}", errors=errors)


def explain(session: Session, rollout: FileArgument) -> None:
    """A rollout file as it will run, and what it costs.

    Every key with its value and where that comes from, the planned looks, and the cost forecast.

    JSON: {"rollout", "environment", "keys": [{"key", "value", "source", "doc"}], "looks": [{"slot", "after", "kind"}],
    "units": {"needed", "expected", "assumed_rate"}, "cost": {"items", "total_usd", "champion_usd", "extra_usd",
    "max_usd"}}; after is in seconds from LIVE's begin; of a mean, units
    has assumed_sd too.

    Example: staged-rollout explain churn --environment production
    """
    path, environment = find_rollout(rollout, session.configs), session.environment
    spec = load_rollout(path, environment=environment)
    keys = explain_keys(path, environment)
    cost = forecast(spec, prices_of(session))
    looks, units = planned_looks(spec), _units(spec)
    if session.as_json:
        answer = {
            "rollout": spec.rollout,
            "environment": environment.name,
            "keys": keys,
            "looks": looks,
            "units": units,
        }
        print_json({**answer, "cost": cost.model_dump(mode="json")})
        return
    say(f"{where(path)} in environment {environment.name}", "bold")
    print_table(("key", "value", "from", "what it means"), [(row.key, row.value, row.source, row.doc) for row in keys])
    say("")
    say("Planned looks, counted from the begin of LIVE", "bold")
    print_table(("look", "after", "may conclude"), [(str(look.slot), span(look.after), look.kind) for look in looks])
    _say_units(units)
    say("")
    _print_cost(spec, cost)


def planned_looks(spec: RolloutSpec) -> list[PlannedSlot]:
    """Every slot; harm is tested at each of them."""
    efficacy = spec.look_slots()
    slots = sorted({*efficacy, *spec.harm_slots()})

    def kind(after: timedelta) -> str:
        if after == efficacy[-1]:
            return "harm, or a win: the last look"
        return "harm, or a win" if after in efficacy else "harm"

    return [PlannedSlot(number, after, kind(after)) for number, after in enumerate(slots, start=1)]


def prices_of(session: Session) -> PriceTable:
    """The price table with the environment's own prices in place."""
    return load_prices(session.configs / "prices.yaml").overridden(session.environment.prices)


def _findings(session: Session, name: str) -> tuple[Finding, ...]:
    """Findings of one file; a file that cannot be found is one, so that the others are still read."""
    environment = session.environment
    try:
        path = find_rollout(name, session.configs)
    except StagedRolloutError as error:
        return (Finding(name, 1, "", "", error.message, error.hint or "a rollout file"),)
    return lint_rollout(path, environment)


def _file_report(name: str, findings: tuple[Finding, ...]) -> dict[str, Any]:
    errors = len(errors_among(findings))
    return {"file": name, "errors": errors, "warnings": len(findings) - errors, "findings": findings}


def _units(spec: RolloutSpec) -> dict[str, float | None]:
    """Units that the test needs, and those that the planned traffic brings until enrolment ends."""
    success, live = spec.success, spec.stages.live
    expected = spec.traffic.units_per_day * (live.max / timedelta(days=1))
    if not spec.in_shares:
        return {"needed": _mean_units(spec), "expected": expected, "assumed_rate": None, "assumed_sd": success.sd}
    rate = WORST_RATE if success.baseline is None else success.baseline
    needed = planned_units(
        baseline=rate,
        mde=success.mde,
        better_or_equal=success.better_or_equal,
        better=success.better,
        alpha=success.alpha,
        power=success.power,
        split=live.split,
    )
    return {"needed": needed, "expected": expected, "assumed_rate": rate}


def _mean_units(spec: RolloutSpec) -> float | None:
    """Units that the test of a mean or a ratio needs; None while its variance or baseline is not known."""
    success, distance = spec.success, spec.success.distance
    apart = distance.absolute(abs(success.baseline or 0.0))
    if success.sd is None or apart <= 0:
        return None
    return planned_mean_units(
        sd=success.sd,
        effect=apart if success.better_or_equal is None else 0.0,
        margin=0.0 if success.better_or_equal is None else apart,
        alpha=success.alpha,
        power=success.power,
        split=spec.stages.live.split,
    )


def _say_units(units: dict[str, float | None]) -> None:
    needed, expected = units["needed"], units["expected"] or 0.0
    if needed is None:
        return
    sd = units.get("assumed_sd")
    at = f"a rate of {units['assumed_rate'] or 0.0:.1%}" if sd is None else f"a standard deviation of {sd:g} a unit"
    say(f"The test needs about {needed:,.0f} units (at {at}); {expected:,.0f} are expected in LIVE.")


def _print_cost(spec: RolloutSpec, cost: CostForecast) -> None:
    days = sum((time for _, time in stage_times(spec)), timedelta())
    say(f"Cost if every stage takes its planned time ({span(days)} in all)", "bold")
    rows = [(item.what, f"{item.hours:,.1f}", f"{item.rate_usd:,.4f}", usd(item.usd)) for item in cost.items]
    print_table(("what", "hours", "usd an hour", "usd"), rows)
    limit = f"; budget {usd(cost.max_usd)}" if cost.max_usd is not None else "; no budget"
    say(f"Total {usd(cost.total_usd)}, of which the rollout adds {usd(cost.extra_usd)}{limit}.")
    if not cost.within_budget:
        say("Over budget: registration will refuse it.", "red")
