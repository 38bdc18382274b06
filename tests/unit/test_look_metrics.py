"""A look at a declared metric: figures, bounds, interval and plan against formulas written out here."""

from __future__ import annotations

import json
import math
import random
from datetime import timedelta
from statistics import fmean, variance
from types import SimpleNamespace
from typing import Any

import pytest

from staged_rollout.evidence import BaselineFigures, Evidence, sealed
from staged_rollout.operations.look import _baseline
from staged_rollout.operations.look_success import bake, take
from staged_rollout.operations.plan import freeze_plan
from staged_rollout.operations.window import Window
from staged_rollout.policy import decide
from staged_rollout.ports import Batch
from staged_rollout.report.html_charts import estimates_chart, rates_chart
from staged_rollout.report.sections import success as success_section
from staged_rollout.state import EventType, LookKind, PlannedLook, State, fold, to_payload
from staged_rollout.stats import score_z
from tests.fakes import figures
from tests.fakes.tables import Tables

MEAN = {"mean": "revenue", "resolution": 0.01}
RATIO = {"ratio": ["revenue", "orders"], "resolution": 0.01}
RATE = {"rate": "orders > 0"}


def row(variant: str, ys: list[int], ds: list[int] | None = None, holds: int = 0) -> dict[str, Any]:
    """One row as sql/moments.sql answers it."""
    ds = ds or [0] * len(ys)
    pairs = list(zip(ys, ds, strict=True))
    sums = {
        "sy": sum(ys),
        "syy": sum(y * y for y in ys),
        "sd": sum(ds),
        "sdd": sum(d * d for d in ds),
        "syd": sum(y * d for y, d in pairs),
    }
    counts = {"units": len(ys), "closed": len(ys), "n": len(ys), "holds": holds, "capped": 0, "too_large": 0}
    return {"assigned_variant": variant, **counts, **{key: str(value) for key, value in sums.items()}}


class Moments:
    """A lake that knows the moments of one metric, and nothing else."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def query(self, name: str, *_: Any, **__: Any) -> list[dict[str, Any]]:
        return {"moments": self.rows}[name]


def built_live(rollouts: Any, churn: dict[str, Any], metric: dict[str, Any], known: Any = None, **success: Any) -> Any:
    spec = churn | {
        "metrics": {"m": metric},
        "success": churn["success"] | {"metric": "m", "mde": {"value": 1.0, "kind": "value"}} | success,
        "guardrails": {},
    }
    built = rollouts(spec).at(State.LIVE)
    known = known or BaselineFigures(given=None, units=1000, successes=0, mean=20.0, sd=10.0)
    evidence = figures.good(fold(rollouts(spec).at(State.CANARY).events), built.now, baseline=known)
    return built.add(EventType.PLAN_FROZEN, **to_payload(freeze_plan(built.spec, evidence)))


def window(state: Any, *rows: dict[str, Any]) -> Window:
    lake: Any = SimpleNamespace(lake=Moments(list(rows)))
    return Window(lake, state, Batch(1, {}, state.last_at), state.last_at)


def looked(state: Any, *rows: dict[str, Any], kind: str = "efficacy") -> Any:
    return take(window(state, *rows), PlannedLook(7, LookKind(kind), state.last_at + timedelta(days=7), 1))


def drawn(seed: int, mean: float, n: int = 400) -> list[int]:
    source = random.Random(seed)
    return [round(100 * source.gauss(mean, 10.0)) for _ in range(n)]


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_a_mean_is_tested_by_its_own_standard_error(rollouts: Any, churn: dict[str, Any], better: str) -> None:
    """Welch, in the metric's unit, and positive in the good direction; the interval is estimate +- c se."""
    champion, candidate = drawn(1, 20.0), drawn(2, 22.0, 500)
    look = looked(built_live(rollouts, churn, MEAN, better=better).state, row("v2", champion), row("v3", candidate))
    apart = (fmean(candidate) - fmean(champion)) / 100
    se = math.sqrt(variance(candidate) / 500 + variance(champion) / 400) / 100
    sign = 1 if better == "higher" else -1

    assert apart == pytest.approx(look.success.estimate, rel=1e-12)
    assert se == pytest.approx(look.success.se, rel=1e-12)
    assert sign * apart / se == pytest.approx(look.success.z, rel=1e-12)
    assert (apart - look.efficacy.z * se, apart + look.efficacy.z * se) == pytest.approx(look.interval, rel=1e-12)
    assert (400, 500) == (look.success.mean.champion.n, look.success.mean.candidate.n)


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_non_inferiority_of_a_mean_counts_from_its_margin(rollouts: Any, churn: dict[str, Any], better: str) -> None:
    """A win is an interval on the right side of the margin, and harm is beyond it."""
    claim = {"mde": None, "better_or_equal": {"value": 2.0, "kind": "value"}}
    state = built_live(rollouts, churn, MEAN, better=better, **claim).state
    look = looked(state, row("v2", drawn(1, 20.0)), row("v3", drawn(2, 20.5)))
    sign = 1 if better == "higher" else -1
    assert (sign * look.success.estimate + 2.0) / look.success.se == pytest.approx(look.success.z, rel=1e-12)
    low, high = look.interval
    assert look.crossed == (low > -2.0 if better == "higher" else high < 2.0)


def test_a_ratio_is_tested_by_the_delta_method(rollouts: Any, churn: dict[str, Any]) -> None:
    """Residuals y - R d over the mean denominator, unit by unit."""
    source = random.Random(5)
    samples = []
    for mean in (20.0, 22.0):
        ds = [100 * source.randint(1, 4) for _ in range(400)]
        samples.append(([round(d * source.gauss(mean, 6.0)) for d in ds], ds))
    look = looked(built_live(rollouts, churn, RATIO).state, row("v2", *samples[0]), row("v3", *samples[1]))
    ratios, variances = [], []
    for ys, ds in samples:
        ratio = sum(ys) / sum(ds)
        ratios.append(ratio)
        residuals = [y - ratio * d for y, d in zip(ys, ds, strict=True)]
        variances.append(sum(r * r for r in residuals) / 399 / 400 / fmean(ds) ** 2)

    assert ratios[1] - ratios[0] == pytest.approx(look.success.estimate, rel=1e-9)
    assert math.sqrt(sum(variances)) == pytest.approx(look.success.se, rel=1e-9)


def test_a_declared_rate_is_tested_by_the_score(rollouts: Any, churn: dict[str, Any]) -> None:
    """As `correct`: the same statistic, and evidence without sums of its own."""
    known = BaselineFigures(given=0.8, units=0, successes=0)
    state = built_live(rollouts, churn, RATE, known, mde={"value": 0.05, "kind": "absolute"}, baseline=0.8).state
    look = looked(state, row("v2", [0] * 400, holds=320), row("v3", [0] * 400, holds=350))
    assert score_z(350, 400, 320, 400) == pytest.approx(look.success.z, abs=1e-12)
    assert look.success.mean is None
    assert (320, 350) == (look.success.x_champion, look.success.x_candidate)


def test_days_add_up(rollouts: Any, churn: dict[str, Any]) -> None:
    """Moments of days are those of all units together, to the last bit."""
    state = built_live(rollouts, churn, MEAN).state
    champion, candidate = drawn(1, 20.0), drawn(2, 22.0)
    whole = looked(state, row("v2", champion), row("v3", candidate))
    parts = [row(v, ys[a : a + 100]) for v, ys in (("v3", candidate), ("v2", champion)) for a in (300, 0, 200, 100)]
    assert whole == looked(state, *parts)


def test_no_variance_is_no_test(rollouts: Any, churn: dict[str, Any]) -> None:
    look = looked(built_live(rollouts, churn, MEAN).state, row("v2", [5] * 200), row("v3", [5] * 200))
    assert "no variance" in look.insufficient
    assert look.success.z is None
    assert 0.05 == look.success.mean.value_champion


def test_few_units_are_no_test(rollouts: Any, churn: dict[str, Any]) -> None:
    look = looked(built_live(rollouts, churn, MEAN).state, row("v2", drawn(1, 20.0, 99)), row("v3", drawn(2, 22.0)))
    assert "99 of 100 closed units" in look.insufficient


def test_the_plan_of_a_mean_is_that_of_two_means(rollouts: Any, churn: dict[str, Any]) -> None:
    """n_eff = R ((z_alpha + z_power) sd / effect)^2, with no rate in it."""
    plan = built_live(rollouts, churn, MEAN).state.plan
    fixed = ((1.959963984540054 + 0.8416212335729143) * 10.0 / 1.0) ** 2
    assert plan.inflation * fixed == pytest.approx(plan.n_eff_max, rel=1e-9)
    assert plan.planned_rate is None
    assert (20.0, 1000, 1.0) == (plan.baseline, plan.baseline_units, plan.mde)


def test_a_relative_effect_is_of_the_baselines_size(rollouts: Any, churn: dict[str, Any]) -> None:
    """5% of a mean of -20 is 1, whichever side of 0 it lies on."""
    known = BaselineFigures(given=None, units=1000, successes=0, mean=-20.0, sd=10.0)
    state = built_live(rollouts, churn, MEAN, known, mde={"value": 0.05, "kind": "relative"}).state
    assert 1.0 == pytest.approx(state.plan.mde)


def test_evidence_of_a_mean_is_stored_and_read_as_the_same_bytes(rollouts: Any, churn: dict[str, Any]) -> None:
    """Sums beyond 64 bits too."""
    built = built_live(rollouts, churn, MEAN)
    look = looked(built.state, row("v2", [2**40, 1] * 100), row("v3", [2**40 - 5, 7] * 100))
    known = sealed(figures.good(built.state, built.now, look=look))
    stored = json.dumps(known.model_dump(mode="json"))
    assert known == Evidence.model_validate(json.loads(stored))
    assert 100 * (2**80 + 1) == known.look.success.mean.champion.syy


def test_harm_to_a_mean_rolls_back_and_says_so_in_its_unit(rollouts: Any, churn: dict[str, Any]) -> None:
    built = built_live(rollouts, churn, MEAN)
    look = looked(built.state, row("v2", drawn(1, 20.0)), row("v3", drawn(2, 12.0)), kind="harm")
    decision = decide(built.spec, built.state, sealed(figures.good(built.state, built.now, look=look)))
    assert look.harmful
    assert decision.reasons[0].startswith("look 7: m is worse by 9.27")
    assert "%" not in decision.reasons[0]


def test_a_report_shows_means_and_never_points(rollouts: Any, churn: dict[str, Any]) -> None:
    built = built_live(rollouts, churn, MEAN)
    look = looked(built.state, row("v2", drawn(1, 20.0)), row("v3", drawn(2, 26.0)))
    text = success_section(look, built.state)
    assert "mean of a unit" in text
    assert " pp" not in text
    assert "successes" not in text


@pytest.mark.parametrize("metric", [MEAN, RATIO], ids=["mean", "ratio"])
def test_the_bake_guards_a_mean(rollouts: Any, churn: dict[str, Any], metric: dict[str, Any]) -> None:
    """Much worse alarms; equal does not; too few units say nothing."""
    built = built_live(rollouts, churn, metric)
    built.enter(State.PROMOTING, 1).publish().enter(State.PROMOTING, 2).publish().enter(State.BAKING).publish()

    def alarm(mean: float, n: int) -> bool:
        rows = (row(v, drawn(s, m, n), [100] * n) for v, s, m in (("v2", 1, 20.0), ("v3", 2, mean)))
        return bake(window(built.state, *rows)).alarm

    assert alarm(15.0, 500)
    assert not alarm(20.0, 500)
    assert not alarm(15.0, 50)


class Answering:
    """A lake of hand-made tables: the real statements, run by the real engine."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    def query(self, name: str, parameters: Any, **_: Any) -> list[dict[str, Any]]:
        return self.tables.ask(name, **parameters)


METRICS_OF_ROWS = [
    (MEAN, {"value": 1.0, "kind": "value"}),
    (MEAN | {"winsorise": 30.0}, {"value": 1.0, "kind": "value"}),
    (RATIO, {"value": 1.0, "kind": "value"}),
    (RATE, {"value": 0.05, "kind": "absolute"}),
]


@pytest.mark.parametrize(("metric", "mde"), METRICS_OF_ROWS, ids=["mean", "winsorised", "ratio", "rate"])
def test_rows_become_the_figures_of_a_look(
    rollouts: Any, churn: dict[str, Any], tmp_path: Any, metric: dict[str, Any], mde: dict[str, Any]
) -> None:
    """From rows in Parquet through the statements to z: the look's means are those of the rows."""
    known = BaselineFigures(given=0.5, units=0, successes=0) if "rate" in metric else None
    state = built_live(rollouts, churn, metric, known, mde=mde).state
    (epoch,) = state.epochs_of(State.LIVE)
    tables, source = Tables(tmp_path), random.Random(9)
    totals: dict[str, list[tuple[float, int]]] = {"v2": [], "v3": []}
    for number in range(300):
        variant = ("v2", "v3")[number % 2]
        orders = source.randint(0, 3)
        spent = [round(source.uniform(5, 25), 2) for _ in range(orders)]
        totals[variant].append((sum(spent), orders))
        shared = {"endpoint": state.spec.endpoint, "rollout": state.rollout, "epoch": epoch, "variant": variant}
        for step in range(4):
            measures = json.dumps({"revenue": spent[step], "orders": 1} if step < orders else {})
            at = state.last_at + timedelta(minutes=number, hours=step)
            tables.serve(f"u{number}", variant, at, measures=measures, **shared)
    lake: Any = SimpleNamespace(lake=Answering(tables))
    cut_off = state.last_at + timedelta(days=7)
    seen = Window(lake, state, Batch(1, {}, cut_off), cut_off)
    found = take(seen, PlannedLook(7, LookKind("efficacy"), cut_off, 1)).success
    cap = metric.get("winsorise", math.inf)

    def value(variant: str) -> float:
        units = totals[variant]
        if "ratio" in metric:
            return sum(y for y, _ in units) / sum(d for _, d in units)
        if "rate" in metric:
            return sum(d > 0 for _, d in units) / len(units)
        return fmean(min(y, cap) for y, _ in units)

    assert (150, 150) == (found.n_champion, found.n_candidate)
    assert value("v3") - value("v2") == pytest.approx(found.estimate, abs=1e-9)
    assert found.z * found.se == pytest.approx(found.estimate, rel=1e-9)


def test_the_baseline_of_a_mean_is_measured_with_its_deviation(
    rollouts: Any, churn: dict[str, Any], tmp_path: Any
) -> None:
    """The champion's units before LIVE: their mean and the standard deviation of one of them."""
    spec = churn | {
        "metrics": {"m": MEAN},
        "success": churn["success"] | {"metric": "m", "mde": {"value": 0.05, "kind": "relative"}},
    }
    state = rollouts(spec).at(State.CANARY).state
    tables, source, spent = Tables(tmp_path), random.Random(4), []
    (epoch,) = state.epochs_of(State.CANARY)
    for number in range(40):
        spent.append(round(source.uniform(5, 25), 2))
        shared = {"endpoint": state.spec.endpoint, "rollout": state.rollout, "epoch": epoch, "variant": "v2"}
        tables.serve(f"u{number}", "v2", state.last_at, measures=json.dumps({"revenue": spent[-1]}), **shared)
    cut_off = state.last_at + timedelta(days=7)
    lake: Any = SimpleNamespace(lake=Answering(tables))
    found = _baseline(Window(lake, state, Batch(1, {}, cut_off), cut_off))

    assert (40, None) == (found.units, found.given)
    assert (fmean(spent), math.sqrt(variance(spent))) == pytest.approx((found.value, found.sd), rel=1e-12)


def test_charts_of_a_mean_are_drawn(rollouts: Any, churn: dict[str, Any]) -> None:
    """Means beyond 100, which are no shares, and negative ones, too."""
    built = built_live(rollouts, churn, MEAN)
    for mean in (20.0, 2000.0, -3.0):
        look = looked(built.state, row("v2", drawn(1, mean)), row("v3", drawn(2, mean)))
        assert str(rates_chart(look.success)).startswith("<svg")
        assert str(estimates_chart((look,), 0.0)).startswith("<svg")
