"""`staged-rollout analyze`: the looks that a rollout file plans, on logs that are already there."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from staged_rollout.cli.lake_option import LakeOption, home_with
from staged_rollout.cli.output import as_data, counting, print_json, print_table, say, where
from staged_rollout.cli.session import DEFAULT_ENVIRONMENT, Session, shared
from staged_rollout.cli.times import given_time
from staged_rollout.errors import NotFoundError, PlatformError, SpecError
from staged_rollout.ports import Platform
from staged_rollout.report.figures import NONE, count, interval, moment, p_value, points, score, share
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.load import load_rollout
from staged_rollout.spec.locations import config_file, configs_dir
from staged_rollout.state import fold

if TYPE_CHECKING:
    from staged_rollout.operations.analyze import Analysis, Step

HEADER = ("look", "cut-off (UTC)", "units", "difference", "repeated interval", "z", "bound", "harm", "info", "decision")

FileArgument = Annotated[
    str, typer.Argument(metavar="ROLLOUT.yaml", help="A rollout file, by path or by its name in configs/rollouts.")
]
AsOfOption = Annotated[
    str | None,
    typer.Option("--as-of", metavar="TIME", help="No later row counts. [default: the last event of the log]"),
]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="When LIVE begins. [default: when both variants are served]"),
]
RolloutOption = Annotated[
    str | None, typer.Option("--rollout", metavar="ID", help="The rollout in the log. [default: the only one]")
]
ChampionOption = Annotated[str | None, typer.Option("--champion", metavar="NAME", help="The champion's variant.")]
CandidateOption = Annotated[str | None, typer.Option("--candidate", metavar="NAME", help="The candidate's variant.")]
PlotOption = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE", help="Write z against its bounds as a picture (.svg).")
]


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("analyze")(shared(analyze))


def analyze(
    session: Session,
    rollout_file: FileArgument,
    *,
    lake: LakeOption = None,
    as_of: AsOfOption = None,
    since: SinceOption = None,
    rollout: RolloutOption = None,
    champion: ChampionOption = None,
    candidate: CandidateOption = None,
    plot: PlotOption = None,
) -> None:
    """Try a rollout file on logs that are already there.

    Takes every look that the file plans on what the lake holds, and says what would have been decided, and when.
    Nothing is served and nothing is written. A TIME is a day (its first moment, UTC) or a moment with its zone.

    JSON: {"rollout", "endpoint", "champion", "candidate", "live_from", "as_of", "plan": {"baseline", "baseline_units",
    "mde", "margin", "n_eff_max", "inflation"}, "looks": [{"slot", "kind", "cut_off", "closed", "units", "successes",
    "estimate", "interval", "z", "se", "information", "efficacy", "harm", "futility", "repeated_p_value", "stage_wise",
    "insufficient", "mean", "srm", "guardrails", "quality", "segments", "decision": {"action", "to", "reasons",
    "would_flip", "holds"}}], "verdict", "ended", "reasons", "success_alone", "next_look", "notes"}; pairs are champion,
    then candidate.

    Example: staged-rollout analyze churn --lake lake --champion control --candidate treatment
    """
    from staged_rollout.operations.analyze import analyze as analyze_log
    from staged_rollout.operations.analyze_log import Asked

    environment = _environment(session)
    spec = load_rollout(_file(session, rollout_file), environment=environment)
    asked = Asked(rollout, champion, candidate, given_time("--since", since), given_time("--as-of", as_of))
    if plot is not None and plot.suffix != ".svg":
        raise SpecError(f"--plot {plot.name} is not a picture that can be written", hint="a name that ends in .svg")
    platform = _existing(session, environment, lake)
    with counting(f"{spec.rollout}: looks", 100, as_json=session.as_json) as show:
        found = analyze_log(
            platform.lake,
            platform.checks,
            spec,
            environment,
            asked=asked,
            progress=lambda done, total: show(100 * done // total),
        )
    if plot is not None:
        _draw(found, plot)
    if session.as_json:
        print_json(document(found))
    else:
        _say(found, plot)


def document(found: Analysis) -> dict[str, Any]:
    """The answer for programs."""
    lens, plan = found.comparison.lens, found.plan
    return {
        "rollout": lens.logged_rollout if lens.logged_rollout is not None else lens.rollout,
        "endpoint": lens.logged_endpoint,
        "champion": lens.variants[0],
        "candidate": lens.variants[1],
        "live_from": lens.since,
        "as_of": found.comparison.as_of,
        "plan": {
            name: getattr(plan, name)
            for name in ("baseline", "baseline_units", "mde", "margin", "n_eff_max", "inflation")
        },
        "looks": [_look(step) for step in found.looks],
        "verdict": str(found.decision.action),
        "ended": found.ended,
        "reasons": found.decision.reasons,
        "success_alone": found.alone,
        "next_look": found.next_look,
        "notes": found.notes,
    }


def _look(step: Step) -> dict[str, Any]:
    evidence, look = step.evidence, step.look
    if look is None:
        raise AssertionError
    figures = look.model_dump(mode="json")
    success = figures.pop("success")
    known = evidence.model_dump(mode="json")
    decision = as_data(step.decision)
    return {
        "slot": look.slot,
        "kind": look.kind,
        "cut_off": look.cut_off,
        "closed": [success.pop("closed_champion"), success.pop("closed_candidate")],
        "units": [success.pop("n_champion"), success.pop("n_candidate")],
        "successes": [success.pop("x_champion"), success.pop("x_candidate")],
        **success,
        "mean": success.get("mean"),
        **{name: figures.get(name) for name in ("futility", "repeated_p_value", "stage_wise")},
        **{name: value for name, value in figures.items() if name not in {"slot", "kind", "cut_off"}},
        **{name: known[name] for name in ("srm", "guardrails", "quality", "segments")},
        "decision": {name: decision[name] for name in ("action", "to", "reasons", "would_flip", "holds")},
    }


def _say(found: Analysis, plot: Path | None) -> None:
    lens = found.comparison.lens
    champion, candidate = lens.variants
    say(f"{lens.rollout}: candidate {candidate} against champion {champion}, LIVE from {moment(lens.since)}", "bold")
    print_table(HEADER, [_cells(step) for step in found.steps])
    say("")
    _say_trust(found)
    say("")
    decision = found.decision
    running = "" if found.ended else f"still running at {moment(found.comparison.as_of)}: "
    say(f"Verdict: {running}{decision.action}", "bold")
    for reason in decision.reasons:
        say(f"  {reason}")
    say(f"On {found.spec.success.metric} alone: {found.alone}.")
    if found.next_look is not None:
        say(
            f"The next look is due at {moment(found.next_look)}. When nothing more will be logged, take it with "
            f"--as-of {found.next_look.isoformat()}"
        )
    for note in found.notes:
        say(f"note: {note}")
    if plot is not None:
        say(where(plot.absolute()))


def _cells(step: Step) -> tuple[str, ...]:
    look, action = step.look, str(step.decision.action)
    if look is None:
        return (NONE, f"{step.at.astimezone(UTC):%Y-%m-%d %H:%M}", *[NONE] * 7, action)
    success = look.success
    return (
        f"{look.slot} {look.kind}",
        f"{look.cut_off.astimezone(UTC):%Y-%m-%d %H:%M}",
        f"{success.n_champion:,} : {success.n_candidate:,}",
        points(success.estimate, success.unit),
        interval(look.interval, success.unit),
        score(success.z),
        score(look.efficacy.z if look.efficacy else None),
        score(-look.harm.z if look.harm else None),
        share(look.information, 0),
        f"{action}: {look.insufficient}" if look.insufficient else action,
    )


def _say_trust(found: Analysis) -> None:
    """Sample ratio, guardrails and quality at the last moment, and what may be said of the effect."""
    evidence = found.steps[-1].evidence
    for test in evidence.srm:
        verdict = "MISMATCH" if test.alarm else "as designed"
        say(
            f"sample ratio, {test.name}: {test.counts[0]:,} : {test.counts[1]:,}, designed {test.weights[0]:g} : "
            f"{test.weights[1]:g}: {verdict} (chi-squared p {p_value(test.p_value)})",
            "red" if test.alarm else "",
        )
    for guard in evidence.guardrails:
        if guard.method == "not logged":
            say(f"guardrail {guard.name}: not measured", "yellow")
            continue
        proven = f"z {score(guard.z_non_inferiority)} for being within its margin"
        say(f"guardrail {guard.name}: {proven}{', ALARM' if guard.alarm else ''}", "red" if guard.alarm else "")
    days = fold(found.events).quality
    failed = [str(day) for day, passed in sorted(days.items()) if not passed]
    checked = f"{count(len(days), 'event day')} checked, {len(days) - len(failed)} passed"
    say(f"quality: {checked}" + (f"; failed: {', '.join(failed)}" if failed else ""), "red" if failed else "")
    for step in found.looks:
        stop = step.look.stage_wise if step.look is not None else None
        if step.look is not None and stop is not None:
            unit = step.look.success.unit
            say(
                f"stage-wise, at the first stop of the test: p {p_value(stop.p_value)} one-sided, median-unbiased "
                f"difference {points(stop.estimate, unit)}, interval {interval(stop.interval, unit)}"
            )


def _draw(found: Analysis, file: Path) -> None:
    from staged_rollout.adapters.atomic_file import replace_file
    from staged_rollout.report.look import plotted
    from staged_rollout.report.plot import boundary_plot

    heading = f"{found.comparison.lens.rollout}, {found.spec.success.metric}"
    picture = boundary_plot(plotted(found.events, len(found.events)), heading)
    try:
        replace_file(file, picture.encode(), durable=False)
        file.chmod(0o644)
    except OSError as error:
        raise PlatformError(f"the plot cannot be written to {where(file)}: {error.strerror}", file=str(file)) from error


def _environment(session: Session) -> EnvironmentSpec:
    """The session's environment; without a configs folder and a name for one, a local one with its defaults."""
    if session.settings.environment is None:
        try:
            folder = configs_dir(session.settings.configs)
        except NotFoundError:
            if session.settings.configs is not None:
                raise
            return EnvironmentSpec(name=DEFAULT_ENVIRONMENT, local=True)
        if not (folder / "environments" / f"{DEFAULT_ENVIRONMENT}.yaml").is_file():
            return EnvironmentSpec(name=DEFAULT_ENVIRONMENT, local=True)
    return session.environment


def _file(session: Session, name: str) -> Path:
    """The rollout file: a path needs no configs folder."""
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        return config_file("rollouts", path, path.parent)
    return config_file("rollouts", name, session.configs)


def _existing(session: Session, environment: EnvironmentSpec, lake: Path | None) -> Platform:
    """The platform around a lake that is there; nothing is made."""
    from staged_rollout.adapters.platform import open_platform

    home = home_with(session, lake)
    if not (home.lake / "batches.db").is_file():
        raise NotFoundError(
            f"there is no lake in {where(home.lake)}",
            hint="staged-rollout ingest makes one; --lake DIR names its folder",
            lake=str(home.lake),
        )
    return open_platform(environment, home)
