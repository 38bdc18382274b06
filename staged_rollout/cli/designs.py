"""Commands about group-sequential designs: boundaries and infer."""

from __future__ import annotations

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
    naming,
    number,
    numbers,
    plot_file,
    refuse,
    say_drawn,
    write_plot,
)

if TYPE_CHECKING:
    from staged_rollout.stats.designs import Design
    from staged_rollout.stats.inference import Inference

InfoOption = Annotated[
    str, typer.Option("--info", metavar="T,T", help="Information fractions of the looks, rising; the plan ends at 1.")
]
EitherSpendingOption = Annotated[
    str | None,
    typer.Option(
        "--spending",
        metavar="KIND",
        help="How alpha is spent: obrien-fleming, pocock, power:RHO or hsd:GAMMA. [default: obrien-fleming]",
    ),
]
ClassicOption = Annotated[
    str | None,
    typer.Option("--classic", metavar="KIND", help="One constant for all looks: obrien-fleming or pocock."),
]
BetaOption = Annotated[
    float | None,
    typer.Option("--beta", metavar="B", help="1 - power; gives the inflation. [default: 0.2 with --futility]"),
]
FinalOption = Annotated[
    bool,
    typer.Option("--final", help="The last look is the last one whatever its information: spend all that is left."),
]
MaxInformationOption = Annotated[
    str, typer.Option("--max-information", metavar="I", help="1 / variance of the estimate at information fraction 1.")
]
ZOption = Annotated[
    str, typer.Option("--z", metavar="Z,Z", help="The statistic at each look so far, positive in the good direction.")
]
DEFAULT_SPENDING = "obrien-fleming"
DEFAULT_BETA = 0.2
_NAMES = {
    "information": "--info",
    "looks": "--info",
    "look": "--info",
    "spending": "--spending",
    "parameter": "--spending",
    "classic": "--classic",
    "alpha": "--alpha",
    "alpha spent before": "--spending",
    "beta": "--beta",
    "power": "--beta",
    "binding": "--binding",
    "sides": "--sides",
}


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("boundaries")(shared(boundaries))
    app.command("infer")(shared(infer))


def boundaries(
    session: Session,
    info: InfoOption,
    alpha: AlphaOption = 0.025,
    sides: SidesOption = 1,
    spending: EitherSpendingOption = None,
    classic: ClassicOption = None,
    futility: FutilityOption = None,
    beta: BetaOption = None,
    binding: BindingOption = False,
    final: FinalOption = False,
    plot: PlotOption = None,
) -> None:
    """Bounds of a group-sequential design, look by look.

    z at or above efficacy wins; with --sides 2 also z at or below its negative. z at or below futility gives up. Past
    bounds never depend on later looks, except with --classic, whose constant is made for all looks together, and with
    --futility, whose bounds depend on the whole plan.

    JSON: {"information", "efficacy", "futility", "alpha_spent", "beta_spent", "inflation"}: one number per look, alpha
    and beta cumulative; futility and beta_spent are null without --futility; inflation is how much more information
    the planned end needs than a fixed test of the same alpha and power, null without --beta and --futility.

    Example: staged-rollout boundaries --info 0.2,0.4,0.6,0.8,1 --alpha 0.025
    """
    target = plot_file(plot)
    information = numbers("--info", info, "0.2,0.4,0.6,0.8,1")
    with waiting("bounds", as_json=session.as_json):
        design = _designed(information, alpha, sides, spending, classic, futility, beta, binding=binding, final=final)
    from staged_rollout.report.design_charts import boundaries_chart

    drawn = write_plot(target, lambda kind: boundaries_chart(design, kind))
    if session.as_json:
        columns = ("information", "efficacy", "futility", "alpha_spent", "beta_spent", "inflation")
        print_json({name: getattr(design, name) for name in columns})
        return
    _print_design(design, information, 1 - (DEFAULT_BETA if beta is None else beta))
    say_drawn(drawn)


def infer(
    session: Session,
    info: InfoOption,
    max_information: MaxInformationOption,
    z: ZOption,
    alpha: AlphaOption = 0.025,
    sides: SidesOption = 1,
    spending: EitherSpendingOption = None,
    classic: ClassicOption = None,
    futility: FutilityOption = None,
    beta: BetaOption = None,
    binding: BindingOption = False,
    final: FinalOption = False,
    plot: PlotOption = None,
) -> None:
    """What the looks so far allow to say.

    Repeated intervals and p-values hold at every look, under any rule for stopping. The stage-wise p-value, the
    median-unbiased estimate and its interval hold where the design stopped: at the first crossing, or at its last look.
    --info may name more looks than --z has statistics.

    JSON: {"stopped_at", "p_value", "estimate", "median_unbiased_estimate", "confidence_interval",
    "repeated_confidence_intervals", "repeated_p_values"}; stopped_at counts from 1; it, p_value,
    median_unbiased_estimate and confidence_interval are null while the design goes on; the repeated figures have one
    entry per statistic; p-values are one-sided with --sides 1 and two-sided with --sides 2.

    Example: staged-rollout infer --info 0.3,0.6 --max-information 100 --z 1.917,3.4976
    """
    target = plot_file(plot)
    information = numbers("--info", info, "0.3,0.6")
    full = number("--max-information", max_information, "100")
    statistics = numbers("--z", z, "1.917,3.4976")
    from staged_rollout.report.design_charts import inference_chart
    from staged_rollout.stats.inference import infer as infer_from

    with waiting("inference", as_json=session.as_json):
        design = _designed(information, alpha, sides, spending, classic, futility, beta, binding=binding, final=final)
        with naming(max_information="--max-information", statistics="--z", z="--z"):
            found = infer_from(design, statistics, full)
    drawn = write_plot(target, lambda kind: inference_chart(design, found, kind))
    if session.as_json:
        columns = ("stopped_at", "p_value", "estimate", "median_unbiased_estimate", "confidence_interval")
        repeated = ("repeated_confidence_intervals", "repeated_p_values")
        print_json({name: getattr(found, name) for name in (*columns, *repeated)})
        return
    _print_inference(design, found)
    say_drawn(drawn)


def _designed(
    information: tuple[float, ...],
    alpha: float,
    sides: int,
    spending: str | None,
    classic: str | None,
    futility: str | None,
    beta: float | None,
    *,
    binding: bool,
    final: bool,
) -> Design:
    """The design that the options describe; its errors name them."""
    if classic is not None and spending is not None:
        refuse("--classic", f"{classic} and --spending {spending} exclude one another; accepted: one of them")
    from staged_rollout.stats import Spending, classic_design, design
    from staged_rollout.stats.inputs import inside, per_side_alpha

    with naming(**_NAMES):
        per_side_alpha(alpha)
        if beta is not None:
            inside("beta", beta, 0.0, 1.0 - alpha, "beta is 1 - power, such as 0.2")
        with naming(spending="--futility", parameter="--futility", alpha="--beta"):
            gives_up = None if futility is None else Spending.parse(futility, DEFAULT_BETA if beta is None else beta)
        options: dict[str, Any] = {"sides": sides, "binding": binding, "futility": gives_up}
        if beta is not None and futility is None:
            options["power"] = 1 - beta
        with naming(futility="--futility"):
            if classic is not None:
                return classic_design(information, classic, alpha, **options)  # type: ignore[arg-type]  # checked there
            efficacy = Spending.parse(spending or DEFAULT_SPENDING, alpha)
            return design(information, efficacy, final=final, **options)


def _print_design(design: Design, asked: tuple[float, ...], power: float) -> None:
    from scipy.special import ndtr

    header = ["look", "information", "efficacy", "nominal p", "alpha spent"]
    columns: list[list[str]] = [
        [str(k) for k in range(1, len(design) + 1)],
        [f"{t:.6g}" for t in design.information],
        [f"{z:.6f}" for z in design.efficacy],
        [f"{design.sides * float(ndtr(-z)):.4g}" for z in design.efficacy],
        [f"{spent:.4g}" for spent in design.alpha_spent],
    ]
    if design.futility is not None and design.beta_spent is not None:
        header += ["futility", "beta spent"]
        columns += [[f"{z:.6f}" for z in design.futility], [f"{spent:.4g}" for spent in design.beta_spent]]
    print_table(header, list(zip(*columns, strict=True)))
    notes = []
    if design.sides == 2:
        notes.append(f"z at or above efficacy, or at or below its negative; alpha {design.alpha:g} on each side")
    if len(design) < len(asked):
        notes.append(
            f"the bounds meet at look {len(design)}: whatever does not win there gives up, and no look follows"
        )
    if design.drift is not None and design.inflation is not None:
        cost = f"{design.inflation:.6f} times the information of one test at the end"
        notes.append(f"power {power:.4g} at the planned end, where E[Z] = {design.drift:.4f}: {cost}")
    for note in ("", *notes) if notes else ():
        say(note)


def _print_inference(design: Design, found: Inference) -> None:
    columns = zip(
        design.information,
        found.z,
        design.efficacy,
        found.se,
        found.repeated_confidence_intervals,
        found.repeated_p_values,
        strict=False,
    )
    print_table(
        ("look", "information", "z", "efficacy", "estimate", "repeated interval", "repeated p"),
        [
            (str(k), f"{t:.6g}", f"{z:.4f}", f"{c:.4f}", f"{z * se:.6g}", f"[{low:.6g}, {high:.6g}]", f"{p:.4g}")
            for k, (t, z, c, se, (low, high), p) in enumerate(columns, start=1)
        ],
    )
    say("")
    if found.stopped_at is None or found.confidence_interval is None:
        say(f"not stopped: the repeated interval is what may be said, with confidence {1 - 2 * design.alpha:.4g}")
        return
    low, high = found.confidence_interval
    reasons = {"efficacy": "an efficacy bound is crossed", "futility": "futility", "final": "the last look"}
    say(f"stopped at look {found.stopped_at}: {reasons[found.stopped_for or 'final']}", "bold")
    say(f"stage-wise: p {found.p_value:.4g}, median-unbiased estimate {found.median_unbiased_estimate:.6g}")
    say(f"interval [{low:.6g}, {high:.6g}] with confidence {1 - 2 * design.alpha:.4g}")
