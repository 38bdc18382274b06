"""The command plan: units, looks and days that a test needs, before it begins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from staged_rollout.cli.output import print_json, print_table, say, waiting
from staged_rollout.cli.session import Session, shared
from staged_rollout.cli.statistics_options import (
    AlphaOption,
    BindingOption,
    FutilityOption,
    PlotOption,
    SidesOption,
    SpendingOption,
    naming,
    number,
    plot_file,
    refuse,
    say_drawn,
    write_plot,
)
from staged_rollout.report.charts import ChartKind
from staged_rollout.report.figures import count, days, share
from staged_rollout.spec.grammar import GrammarError, MarginKind, parse_duration, parse_margin, parse_share

if TYPE_CHECKING:
    from staged_rollout.stats.sample_plan import SamplePlan

RateOption = Annotated[
    str | None, typer.Option("--rate", metavar="R", help="The champion's rate, such as 0.10 or 10%.")
]
MeanOption = Annotated[
    str | None, typer.Option("--mean", metavar="M", help="The champion's mean; with --sd instead of --rate.")
]
SdOption = Annotated[str | None, typer.Option("--sd", metavar="S", help="Standard deviation of one unit's value.")]
MdeOption = Annotated[
    str,
    typer.Option(
        "--mde",
        metavar="D",
        help="Smallest improvement worth finding: 20% of the rate or mean, 2pp of a rate, a number for a mean.",
    ),
]
LooksOption = Annotated[
    int, typer.Option("--looks", metavar="K", min=1, max=365, help="Looks, equally spaced in information.")
]
PowerOption = Annotated[float, typer.Option("--power", metavar="P", help="Probability to find that improvement.")]
SplitOption = Annotated[
    str, typer.Option("--split", metavar="C/T", help="Shares in percent, champion first: 50/50, or 40/30/30.")
]
DailyOption = Annotated[
    str | None, typer.Option("--daily-units", metavar="N", help="Units a day, all variants together.")
]
MaturesOption = Annotated[
    str | None, typer.Option("--matures-after", metavar="TIME", help="From exposure to outcome, such as 1d or 12h.")
]
BetterOption = Annotated[
    str, typer.Option("--better", metavar="higher|lower", help="Which direction of a rate is better.")
]
_ACCEPTS_SPLIT = "shares in percent that add up to 100, such as 50/50 or 40/30/30"


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("plan")(shared(plan))


def plan(
    session: Session,
    mde: MdeOption,
    rate: RateOption = None,
    mean: MeanOption = None,
    sd: SdOption = None,
    alpha: AlphaOption = 0.025,
    power: PowerOption = 0.8,
    looks: LooksOption = 1,
    sides: SidesOption = 1,
    spending: SpendingOption = "obrien-fleming",
    futility: FutilityOption = None,
    binding: BindingOption = False,
    split: SplitOption = "50/50",
    better: BetterOption = "higher",
    daily_units: DailyOption = None,
    matures_after: MaturesOption = None,
    plot: PlotOption = None,
) -> None:
    """How many units a test with looks needs, and how long it takes.

    With two or more candidates in --split each is tested against the champion at alpha over their number. --futility
    spends 1 - power below.

    JSON: {"units_per_variant", "total", "fixed_sample_total", "inflation", "looks", "days", "expected_units": {"h0",
    "h1"}}; units_per_variant has the champion first; total is what the last look needs, fixed_sample_total what one
    test at the end would; expected_units is the mean of units when the test stops, without an effect and with the one
    planned for; days is null without --daily-units, and counts from the first unit to the last outcome.

    Example: staged-rollout plan --rate 0.10 --mde 20% --looks 14 --daily-units 5000 --matures-after 1d
    """
    target = plot_file(plot)
    known = _known(rate, mean, sd)
    improvement = _improvement(mde, known, rate=rate is not None)
    options: dict[str, Any] = {"alpha": alpha, "power": power, "looks": looks, "sides": sides, "binding": binding}
    options["split"] = _split(split)
    options["daily_units"] = None if daily_units is None else number("--daily-units", daily_units, "5000")
    options["matures_after_days"] = days(_duration(matures_after))
    if better not in {"higher", "lower"}:
        refuse("--better", f"{better!r} is neither higher nor lower")
    if rate is None and better == "lower":
        refuse("--better", "lower is for rates; the units for a mean are the same in both directions")
    from staged_rollout.stats import Spending
    from staged_rollout.stats.inputs import inside, per_side_alpha
    from staged_rollout.stats.plan import plan_means, plan_rates

    names = ("alpha", "power", "looks", "sides", "binding", "split", "rate", "mean", "sd", "mde", "spending")
    more = {"daily_units": "--daily-units", "matures_after_days": "--matures-after", "parameter": "--spending"}
    more |= {"beta": "--power", "alpha spent before": "--spending", "rate + effect": "--mde", "rate - effect": "--mde"}
    with waiting("plan", as_json=session.as_json), naming(**{name: f"--{name}" for name in names}, **more):
        per_side_alpha(alpha)
        inside("power", power, alpha, 1.0, "the probability to find the effect planned for, such as 0.8")
        options["efficacy"] = Spending.parse(spending, alpha)
        with naming(spending="--futility", parameter="--futility", alpha="--power"):
            options["futility"] = None if futility is None else Spending.parse(futility, 1 - power)
        with naming(futility="--futility"):
            if rate is None:
                planned = plan_means(known[0], known[1], improvement, **options)
            else:
                planned = plan_rates(
                    known[0], improvement, better="lower" if better == "lower" else "higher", **options
                )
    drawn = write_plot(target, lambda kind: _chart(planned, kind, rate=rate is not None))
    if session.as_json:
        columns = ("units_per_variant", "total", "fixed_sample_total", "inflation", "looks", "days")
        expected = {"h0": planned.expected_units_h0, "h1": planned.expected_units_h1}
        print_json({**{name: getattr(planned, name) for name in columns}, "expected_units": expected})
        return
    _print_plan(planned, rate=rate is not None)
    say_drawn(drawn)


def _known(rate: str | None, mean: str | None, sd: str | None) -> tuple[float, ...]:
    """The rate, or mean and standard deviation."""
    accepted = "accepted: --rate R, or --mean M --sd S"
    if rate is not None:
        if mean is not None or sd is not None:
            refuse("--rate", f"goes with neither --mean nor --sd; {accepted}")
        if rate.endswith("%"):
            with _grammar("--rate"):
                return (parse_share(rate),)
        return (number("--rate", rate, "0.10 or 10%"),)
    if mean is None or sd is None:
        missing = " and ".join(name for name, given in (("--mean", mean), ("--sd", sd)) if given is None)
        refuse("--rate", f"is not given, and {missing} neither; {accepted}")
    return number("--mean", mean, "12.5"), number("--sd", sd, "4")


def _improvement(mde: str, known: tuple[float, ...], *, rate: bool) -> float:
    """The smallest improvement worth finding, absolute."""
    if not rate and not mde.endswith("%"):
        return number("--mde", mde, "0.5 in the metric's unit, or 3% of the mean")
    kinds: tuple[MarginKind, ...] = ("relative", "absolute") if rate else ("relative",)
    with _grammar("--mde"):
        value, kind = parse_margin(mde, kinds)
    return value * abs(known[0]) if kind == "relative" else value


def _split(text: str) -> tuple[float, ...]:
    """Shares of the variants, champion first."""
    try:
        shares = [Decimal(word.strip()) for word in text.split("/")]
    except ArithmeticError:
        refuse("--split", f"{text!r} is not a split; accepted: {_ACCEPTS_SPLIT}")
    if len(shares) < 2 or any(not part.is_finite() or part <= 0 for part in shares) or sum(shares) != 100:
        refuse("--split", f"{text!r} is not a split; accepted: {_ACCEPTS_SPLIT}")
    return tuple(float(part / 100) for part in shares)


def _duration(text: str | None) -> timedelta:
    if text is None:
        return timedelta()
    with _grammar("--matures-after"):
        return parse_duration(text)


@contextmanager
def _grammar(option: str) -> Iterator[None]:
    """Let an error of the grammar name its option."""
    try:
        yield
    except GrammarError as error:
        refuse(option, error.message)


def _unit(*, rate: bool) -> tuple[str, float]:
    """What an effect is shown in, and what it is multiplied by for that."""
    return ("percentage points", 100.0) if rate else ("metric's unit", 1.0)


def _chart(planned: SamplePlan, kind: ChartKind, *, rate: bool) -> bytes:
    from staged_rollout.report.design_charts import plan_chart

    unit, scale = _unit(rate=rate)
    return plan_chart(planned, kind, unit=unit, scale=scale)


def _print_plan(planned: SamplePlan, *, rate: bool) -> None:
    names = ("champion", *(f"candidate {k}" for k in range(1, len(planned.split))))
    names = names if len(names) > 2 else ("champion", "candidate")
    rows = zip(names, planned.split, planned.units_per_variant, strict=True)
    print_table(
        ("variant", "share", "units at the last look"),
        [(name, share(part), f"{units:,}") for name, part, units in rows],
    )
    unit, scale = _unit(rate=rate)
    within = f" {unit}" if rate else ""
    looks = count(planned.looks, "look")
    until = "" if planned.days is None else f", {count(planned.days, 'day')}"
    say("")
    say(f"{planned.total:,} units in {looks}{until} find an improvement of {scale * planned.mde:.6g}{within}", "bold")
    say(f"with power {planned.power:.4g} and alpha {planned.alpha:.4g} per side")
    say(f"one test at the end: {planned.fixed_sample_total:,.2f} units; the looks' inflation {planned.inflation:.6f}")
    end = ""
    if planned.expected_days_h0 is not None and planned.expected_days_h1 is not None:
        end = f"; days {planned.expected_days_h0:.1f} and {planned.expected_days_h1:.1f}"
    without, found = planned.expected_units_h0, planned.expected_units_h1
    say(f"units when it stops, on average: {without:,.0f} without an effect, {found:,.0f} with it{end}")
