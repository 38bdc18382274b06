"""Commands about samples and repeated looks: srm and simulate-test."""

from __future__ import annotations

import math
import sys
from typing import Annotated

import typer

from staged_rollout.cli.output import counting, print_json, print_table, say
from staged_rollout.cli.session import Session, shared
from staged_rollout.cli.statistics_options import (
    AlphaOption,
    PlotOption,
    SidesOption,
    SpendingOption,
    counts,
    naming,
    numbers,
    plot_file,
    say_drawn,
    write_plot,
)
from staged_rollout.errors import StatisticsError

ObservedOption = Annotated[
    str, typer.Option("--observed", metavar="N,N", help="Units counted per variant, two or more variants.")
]
WeightsOption = Annotated[
    str | None, typer.Option("--weights", metavar="W,W", help="Planned weights per variant. [default: all the same]")
]
AlarmOption = Annotated[
    float, typer.Option("--alpha", metavar="A", help="Probability of a false alarm, however often it is looked at.")
]
LooksOption = Annotated[
    int, typer.Option("--looks", metavar="K", min=1, max=365, help="Looks, equally spaced in information.")
]
RunsOption = Annotated[
    int, typer.Option("--runs", metavar="N", help="Simulated runs, at least 100; four times as many halve the error.")
]
SeedOption = Annotated[int, typer.Option("--seed", metavar="N", help="Of the random numbers.")]
PowerOption = Annotated[
    float, typer.Option("--power", metavar="P", help="Of one test at the end; that sets the effect.")
]
LARGEST_E_VALUE = sys.float_info.max


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("srm")(shared(srm))
    app.command("simulate-test")(shared(simulate))


def srm(
    session: Session,
    observed: ObservedOption,
    weights: WeightsOption = None,
    alpha: AlarmOption = 0.001,
    plot: PlotOption = None,
) -> None:
    """Say whether units per variant contradict the planned weights.

    The e-value decides: it may be read after every unit, and errs with probability alpha at most. The chi-squared and
    its p-value are shown beside it, and are right at one look only.

    JSON: {"chi_squared", "p_value", "e_value", "mismatch"}; an e-value above 1.797e308 is given as that.

    Example: staged-rollout srm --observed 48912,51088 --weights 1,1
    """
    target = plot_file(plot)
    found = counts("--observed", observed, "48912,51088")
    planned = (1.0,) * len(found) if weights is None else numbers("--weights", weights, "1,1 or 90,10")
    if not any(found):
        raise StatisticsError(
            f"--observed: {observed} sums to 0, must be > 0", hint="count units at their first exposure", counts=found
        )
    from staged_rollout.report.statistics_charts import srm_chart, standard_errors
    from staged_rollout.stats import sequential_srm

    with naming(counts="--observed", weights="--weights", alpha="--alpha"):
        result = sequential_srm(found, planned, alpha=alpha)
    drawn = write_plot(target, lambda kind: srm_chart(result, kind))
    if session.as_json:
        print_json(
            {
                "chi_squared": result.chi_squared,
                "p_value": result.p_value,
                "e_value": _e_value(result.log_e),
                "mismatch": result.alarm,
            }
        )
        return
    total = sum(result.counts)
    rows = zip(result.counts, result.weights, standard_errors(result), strict=True)
    print_table(
        ("variant", "observed", "share", "planned", "standard errors off"),
        [
            (str(number), f"{n:,}", f"{n / total:.2%}", f"{weight:.2%}", f"{deviation:+.2f}")
            for number, (n, weight, deviation) in enumerate(rows, start=1)
        ],
    )
    say("")
    verdict = "a sample-ratio mismatch" if result.alarm else "no sample-ratio mismatch"
    from staged_rollout.report.statistics_charts import e_value_text

    comparison = f"{e_value_text(result.log_e)} {'>=' if result.alarm else '<'} {1 / alpha:,.0f}"
    say(f"{verdict}: e-value {comparison} (1 / alpha)", "bold red" if result.alarm else "bold")
    say(f"at one look only: chi-squared {result.chi_squared:.2f}, p {result.p_value:.3g}")
    say_drawn(drawn)


def simulate(
    session: Session,
    looks: LooksOption = 14,
    alpha: AlphaOption = 0.025,
    sides: SidesOption = 1,
    spending: SpendingOption = "obrien-fleming",
    power: PowerOption = 0.8,
    runs: RunsOption = 100_000,
    seed: SeedOption = 1,
    plot: PlotOption = None,
) -> None:
    """Show by simulation what repeated looks do to a test.

    This design beside peeking (p < alpha at any look), the spent alpha taken as a level (p < alpha(t) at any look),
    Bonferroni (p < alpha / looks), and one test at the end, on the same runs. Type I error counts both sides when
    there are two. Every figure has its Monte-Carlo standard error; expected_information is the mean share of the
    planned units at which a run with the effect ends.

    JSON: {"looks", "alpha", "sides", "spending", "drift", "runs", "seed", "rules": [{"rule", "type_one_error",
    "type_one_error_se", "power", "power_se", "expected_information", "expected_information_se"}]}; rule is design,
    peeking, spent-alpha-as-p, bonferroni or fixed; drift is E[Z] at the end under the effect.

    Example: staged-rollout simulate-test --looks 14 --alpha 0.025 --sides 2
    """
    target = plot_file(plot)
    from staged_rollout.report.statistics_charts import RULES, simulation_chart
    from staged_rollout.stats import Spending
    from staged_rollout.stats.simulation import simulate_test

    information = [k / looks for k in range(1, looks + 1)]
    options = {name: f"--{name}" for name in ("alpha", "spending", "power", "runs", "seed", "sides")}
    with (
        naming(**options, parameter="--spending"),
        counting(f"{runs:,} runs of {looks} looks", runs, as_json=session.as_json) as progress,
    ):
        design = Spending.parse(spending, alpha)
        found = simulate_test(information, design, sides=sides, power=power, runs=runs, seed=seed, progress=progress)
    drawn = write_plot(target, lambda kind: simulation_chart(found, kind))
    if session.as_json:
        head = {"looks": looks, "alpha": alpha, "sides": sides, "spending": spending, "drift": found.drift}
        print_json({**head, "runs": runs, "seed": seed, "rules": found.rules})
        return
    print_table(
        ("rule", "type I error", "+-", "power", "+-", "mean information"),
        [
            (
                RULES[rule.rule],
                *(f"{rule.type_one_error:.4f}", f"{rule.type_one_error_se:.4f}"),
                *(f"{rule.power:.4f}", f"{rule.power_se:.4f}"),
                f"{rule.expected_information:.1%}",
            )
            for rule in found.rules
        ],
    )
    say("")
    nominal = f"{sides * alpha:g}, {'two-sided' if sides == 2 else 'one-sided'}"
    say(f"{looks} looks at a nominal {nominal}; {runs:,} runs, seed {seed}; +- is one Monte-Carlo standard error")
    say(f"the effect gives one test at the end a power of {power:g}; this design spends alpha by {design.name}")
    say_drawn(drawn)


def _e_value(log_e: float) -> float:
    """The e-value, cut at the largest float: less than the e-value is still a valid one."""
    return math.exp(log_e) if log_e < math.log(LARGEST_E_VALUE) else LARGEST_E_VALUE
