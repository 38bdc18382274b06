"""Metrics that the rollout file declares: the closed grammar, what lint says of each key, and stored forms."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from staged_rollout.cli.files import _say_units, _units
from staged_rollout.errors import SpecError
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.explain import explain
from staged_rollout.spec.grammar import GrammarError
from staged_rollout.spec.lint import lint_rollout
from staged_rollout.spec.load import load_rollout
from staged_rollout.spec.metric import Metric, measure_names
from staged_rollout.spec.metric_grammar import parse_condition, parse_field
from staged_rollout.spec.model import RolloutSpec, canonical_json
from staged_rollout.spec.schema import file_schema

CHURN = Path("configs/rollouts/churn.yaml")
LOCAL = EnvironmentSpec(name="local", local=True)
REVENUE = "metrics: {revenue: {mean: revenue, resolution: 0.01}}\n"
SMALL = """\
rollout: shop
hypothesis: It sells more
owner: growth
endpoint: shop-prod
registry: shop
unit: customer_id
traffic: {units_per_day: 5000}
"""


def lint(folder, text):
    path = folder / "shop.yaml"
    path.write_text(SMALL + text, encoding="utf-8")
    return lint_rollout(path, LOCAL)


def loaded(folder, text):
    path = folder / "shop.yaml"
    path.write_text(SMALL + text, encoding="utf-8")
    return load_rollout(path, environment=LOCAL)


@pytest.mark.parametrize(
    "text", ["prediction", "latency_ms", "status", "requests", "outcome", "rating", "features.plan"]
)
def test_a_field_reads_back_as_it_was_written(text):
    assert text == str(parse_field(text))


@pytest.mark.parametrize(
    "text", ["converted = 1", "orders >= 2.5", "features.plan != 'pro'", "outcome < -3", "status > 499"]
)
def test_a_condition_reads_back_as_it_was_written(text):
    assert text == str(parse_condition(text))
    assert parse_condition(text) == parse_condition(text.replace(" ", ""))


@pytest.mark.parametrize(
    "text",
    [
        "revenue; DROP TABLE predictions",
        "revenue = 1 OR 1 = 1",
        "a b = 1",
        "features.a.b = 1",
        'x" = 1',
        "revenue = pro",
        "revenue = 'pro'",
        "features.plan > 'pro'",
        "revenue == 1",
        "revenue",
        "= 1",
        "revenue = 1e999",
        "revenue = 'it''s'",
        "",
    ],
)
def test_what_is_no_condition_is_refused_with_what_is_accepted(text):
    with pytest.raises(GrammarError, match="accepted: "):
        parse_condition(text)


@pytest.mark.parametrize(
    ("metric", "key", "problem"),
    [
        ("{mean: revenue}", "metrics.m.resolution", "is missing"),
        ("{mean: revenue, resolution: 0}", "metrics.m.resolution", "is out of bounds"),
        ("{mean: 'a b', resolution: 1}", "metrics.m.mean", "is not a field"),
        ("{mean: revenue, rate: 'a = 1', resolution: 1}", "metrics.m.mean", "stands beside rate"),
        ("{resolution: 1}", "metrics.m.rate", "is missing"),
        ("{rate: 'a = 1', resolution: 1}", "metrics.m.resolution", "stands in a rate, which counts units"),
        ("{rate: 'a = 1', winsorise: 5}", "metrics.m.winsorise", "stands in a rate"),
        ("{ratio: [a, b], resolution: 1, unit_total: sum}", "metrics.m.unit_total", "stands in a ratio"),
        ("{ratio: [a], resolution: 1}", "metrics.m.ratio", "is not a pair of fields"),
        ("{ratio: [a, a], resolution: 1}", "metrics.m.ratio", "divides a by itself"),
        ("{mean: a, resolution: 0.001, winsorise: 1000000000000}", "metrics.m.winsorise", "steps of the resolution"),
        ("{mean: a, resolution: 1, unit_total: last}", "metrics.m.unit_total", "is not one of them"),
        ("{mean: a, resolution: 1, cap: 5}", "metrics.m.cap", "is not a key here"),
        ("[a]", "metrics.m", "is not a mapping"),
    ],
)
def test_each_fault_of_a_metric_is_a_finding_at_its_key(tmp_path, metric, key, problem):
    findings = lint(tmp_path, f"metrics:\n  m: {metric}\nsuccess: {{metric: m, mde: 5%, matures_after: 1d}}\n")
    (found,) = [finding for finding in findings if finding.key.startswith("metrics")]
    assert key == found.key
    assert problem in found.problem
    assert found.accepts
    assert 9 == found.line


def test_all_faults_are_told_at_once(tmp_path):
    findings = lint(tmp_path, "metrics: {correct: {rate: 'a = 1'}, x: {mean: '?', resolution: no}}\n")
    assert {"metrics.correct", "metrics.x.mean", "metrics.x.resolution"} <= {finding.key for finding in findings}


@pytest.mark.parametrize(
    ("success", "key"),
    [
        ("metric: revenu, mde: 5%", "success.metric"),
        ("metric: revenue, mde: 5pp", "success.mde"),
        ("metric: correct, mde: 0.05", "success.mde"),
        ("metric: revenue, better_or_equal: 1pp", "success.better_or_equal"),
        ("metric: revenue, mde: 5%, baseline: 80%, sd: 3", "success.baseline"),
        ("metric: correct, mde: 5pp, baseline: 0.8", "success.baseline"),
        ("metric: correct, mde: 5pp, sd: 0.4", "success.sd"),
        ("metric: revenue, mde: 0.5, sd: 3, reestimate: blinded", "success.reestimate"),
    ],
)
def test_success_has_to_fit_its_metric(tmp_path, success, key):
    """Shares and percentage points belong to rates, numbers to means and ratios."""
    findings = lint(tmp_path, REVENUE + f"success: {{{success}, matures_after: 1d}}\n")
    assert [key] == [finding.key for finding in findings if finding.severity == "error"]


def test_a_mean_plans_its_size_from_baseline_and_deviation(tmp_path):
    """0.5 at a deviation of 10 needs 2 * 2 (z_.025 + z_.2)^2 * 400 units, a tenth more for the looks."""
    text = REVENUE + "success: {metric: revenue, mde: 5%, matures_after: 1d, baseline: 10, sd: %s}\n"
    assert () == lint(tmp_path, text.replace("%s", "10"))
    (found,) = lint(tmp_path, text.replace("%s", "40"))
    assert "traffic.units_per_day" == found.key
    assert "needs 221,0" in found.problem
    (unknown,) = lint(tmp_path, REVENUE + "success: {metric: revenue, mde: 0.5, matures_after: 1d}\n")
    assert ("success.sd", "warning") == (unknown.key, unknown.severity)


def test_a_spec_with_metrics_survives_the_ledger(tmp_path):
    spec = loaded(
        tmp_path, REVENUE + "success: {metric: revenue, mde: 0.75, matures_after: 1d, baseline: 12.5, sd: 25}\n"
    )
    stored = spec.model_dump(mode="json")
    assert spec == RolloutSpec.model_validate(stored)
    assert {"revenue": {"mean": "revenue", "resolution": 0.01}} == stored["metrics"]
    assert not spec.in_shares
    assert "0.75" == str(spec.success.mde)


def test_a_rollout_without_metrics_is_stored_as_before_there_were_any():
    spec = load_rollout(CHURN, environment=LOCAL)
    assert '"metrics"' not in canonical_json(spec)
    assert '"sd"' not in canonical_json(spec)


def test_explain_shows_metrics_and_values_in_the_files_form(tmp_path):
    loaded(tmp_path, REVENUE + "success: {metric: revenue, mde: 0.75, matures_after: 1d, baseline: 12.5, sd: 25}\n")
    rows = {row.key: row.value for row in explain(tmp_path / "shop.yaml", LOCAL)}
    assert "{revenue: {mean: revenue, resolution: 0.01}}" == rows["metrics"]
    assert ("0.75", "12.5", "25") == tuple(rows[f"success.{key}"] for key in ("mde", "baseline", "sd"))


def test_a_stored_metric_is_judged_again():
    """A ledger that was tampered with, or a caller in Python, cannot bring a metric that lint would refuse."""
    for given in ({}, {"mean": "a"}, {"rate": "a = 1 OR 1 = 1"}, {"mean": "a", "resolution": 1, "rate": "a = 1"}):
        with pytest.raises(ValueError, match=r"accepted|exactly one"):
            Metric(**given)


def test_the_schema_takes_what_lint_takes(tmp_path):
    text = SMALL + REVENUE + "success: {metric: revenue, mde: 0.5, matures_after: 1d}\n"
    jsonschema.validate(yaml.safe_load(text), file_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text.replace("mean:", "median:")), file_schema())


def test_ingest_can_ask_which_measures_to_keep():
    metrics = {
        "a": Metric(mean="revenue", resolution=1.0),
        "b": Metric(ratio=("revenue", "orders"), resolution=1.0),
        "c": Metric(rate="features.plan = 'pro'"),
        "d": Metric(mean="latency_ms", resolution=1.0),
    }
    assert ("orders", "revenue") == measure_names(metrics)


def test_a_metric_of_a_name_that_nobody_declared_does_not_load(tmp_path):
    with pytest.raises(SpecError, match=r"correct, revenue, or a metric declared under metrics"):
        loaded(tmp_path, REVENUE + "success: {metric: sales, mde: 5%, matures_after: 1d}\n")


@pytest.mark.parametrize("known", ["", ", baseline: 12.5", ", baseline: 12.5, sd: 10"])
def test_explain_of_a_mean_says_its_size_where_it_is_known(tmp_path, capsys, known):
    """Units are told from the standard deviation; without one nothing is made up."""
    (tmp_path / "configs" / "rollouts").mkdir(parents=True)
    file = tmp_path / "configs" / "rollouts" / "shop.yaml"
    success = f"success: {{metric: revenue, mde: 5%, matures_after: 1d{known}}}\n"
    file.write_text(SMALL + REVENUE + success, encoding="utf-8")
    shown = _units(load_rollout(file, environment=LOCAL))
    _say_units(shown)

    assert (shown["needed"] is not None) is ("sd" in known)
    assert ("a standard deviation of 10 a unit" in capsys.readouterr().out) is ("sd" in known)


def test_a_spec_made_by_hand_is_never_measured_as_another_metric():
    spec = load_rollout(CHURN, environment=LOCAL)
    other = spec.model_copy(update={"success": spec.success.model_copy(update={"metric": "sales"})})
    with pytest.raises(SpecError, match=r"success\.metric == 'sales', must be one of correct"):
        _ = other.declared
