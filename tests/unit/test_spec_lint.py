"""One damaged copy of churn.yaml for each rule, with the line and key of what is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from staged_rollout.errors import SpecError
from staged_rollout.spec.environment import EnvironmentSpec, load_environment
from staged_rollout.spec.lint import lint_rollout
from staged_rollout.spec.load import load_rollout

CONFIGS = Path(__file__).parents[2] / "configs"
CHURN = (CONFIGS / "rollouts" / "churn.yaml").read_text(encoding="utf-8")
LOCAL = EnvironmentSpec(name="local", local=True)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
REMOTE = EnvironmentSpec(name="production", approvers={"growth-ml": {"ana": KEY}})


def lint(tmp_path, text, environment=REMOTE):
    path = tmp_path / "churn.yaml"
    path.write_text(text, encoding="utf-8")
    return lint_rollout(path, environment)


def damaged(old, new):
    assert CHURN.count(old) == 1, f"{old!r} must be in churn.yaml once"
    return CHURN.replace(old, new)


@pytest.mark.parametrize("name", ["local", "demo", "staging", "production"])
def test_churn_lints_in_every_environment(name):
    assert lint_rollout(CONFIGS / "rollouts" / "churn.yaml", load_environment(name, CONFIGS)) == ()


def test_in_a_local_environment_a_bake_may_last_minutes(tmp_path):
    """The law: it lasts until labels are in; a whole day of them is asked where people are served."""
    text = damaged("matures_after: 1d ", "matures_after: 1m ").replace("bake: {for: 2d", "bake: {for: 90s")
    file = tmp_path / "churn.yaml"
    file.write_text(text, encoding="utf-8")
    assert "stages.bake.for" not in {
        finding.key for finding in lint_rollout(file, EnvironmentSpec(name="t", local=True))
    }
    asked = [one for one in lint_rollout(file, EnvironmentSpec(name="t")) if one.key == "stages.bake.for"]
    assert ["at least 1d1m"] == [one.accepts for one in asked]
    file.write_text(text.replace("bake: {for: 90s", "bake: {for: 30s"), encoding="utf-8")
    found = [one for one in lint_rollout(file, EnvironmentSpec(name="t", local=True)) if one.key == "stages.bake.for"]
    assert ["ends before labels are in (matures_after)"] == [one.problem for one in found]


RULES = [
    # what stands in churn.yaml, what stands there instead, key, part of the problem, part of what is accepted
    ("rollout: churn ", "rollout: ../churn ", "rollout", "is not accepted here", "letters, digits"),
    ("rollout: churn ", "rollout: no ", "rollout", "is a bool to YAML", 'in quotes: "no"'),
    ("endpoint: churn-prod", "endpoint: churn_prod", "endpoint", "is not accepted here", "letters, digits"),
    ("endpoint: churn-prod", f"endpoint: {'e' * 64}", "endpoint", "is not accepted here", "at most 63"),
    ("endpoint_kind: realtime", "endpoint_kind: async", "endpoint_kind", "cannot have a shadow", "realtime"),
    ("endpoint_kind: realtime", "endpoint_kind: serverless", "endpoint_kind", "cannot have a shadow", "realtime"),
    ("endpoint_kind: realtime", "endpoint_kind: multi-model", "endpoint_kind", "no variant weight", "realtime"),
    ("endpoint_kind: realtime", "endpoint_kind: multi-container", "endpoint_kind", "TargetVariant", "realtime"),
    ("endpoint_kind: realtime", "endpoint_kind: inference-components", "endpoint_kind", "components", "realtime"),
    ("endpoint_kind: realtime", "endpoint_kind: batch", "endpoint_kind", "is not one of them", "realtime"),
    ("unit: customer_id", "unit: request", "unit", "routed per request", "customer_id"),
    ("sample: 100%", "sample: 0%", "stages.shadow.sample", "out of bounds", "above 0%"),
    ("sample: 100%", "sample: 1", "stages.shadow.sample", "is not a share", "such as 5%"),
    ("for: 2d, min_requests", "for: 0d, min_requests", "stages.shadow.for", "no time at all", "30m"),
    ("for: 2d, min_requests", "for: 2, min_requests", "stages.shadow.for", "is not a duration", "30m"),
    ("min_requests: 500", "min_requests: 0", "stages.shadow.min_requests", "too small", "from 1"),
    ("min_requests: 500", "min_requests: many", "stages.shadow.min_requests", "not a whole number", "from 1"),
    ('agreement: ">= 70%"', 'agreement: ">= 170%"', "stages.shadow.agreement", "beyond 100%", ">= 70%"),
    ("canary: [25% 1d] ", "canary: [] ", "stages.canary", "too short", "at least 1"),
    ("canary: [25% 1d] ", "canary: 25% 1d ", "stages.canary", "is not a list", "a list"),
    ("canary: [25% 1d] ", "canary: [25%] ", "stages.canary[0]", "is not a canary step", "25% 1d"),
    ("canary: [25% 1d] ", "canary: [40% 1d, 25% 1d] ", "stages.canary[1]", "does not rise", "above 40%"),
    ("canary: [25% 1d] ", "canary: [25% 1d, 60% 1d] ", "stages.canary[1]", "part of the split (50%)", "at most 50%"),
    ("canary: [25% 1d] ", "canary: [0% 1d, 25% 1d] ", "stages.canary[0]", "no share or no time", "both above 0"),
    ("canary: [25% 1d] ", "canary: [5% 1d] ", "stages.canary[0]", "below min_units (50)", "about 4d"),
    ("canary: [25% 1d] ", "canary: [0.000000001% 1m] ", "stages.canary[0]", "below min_units", "a larger share, or"),
    ("split: 50/50", "split: 50/60", "stages.live.split", "adds up to 110", "50/50"),
    ("mde: 5pp ", "mde: null ", "success.mde", "is missing", "success.better_or_equal"),
    ("mde: 5pp ", "better_or_equal: 5 ", "success.better_or_equal", "is not a margin", "5pp (absolute)"),
    ("mde: 5pp ", "better_or_equal: 60pp ", "success.better_or_equal", "is no rate", "within 0% to 100%"),
    ("mde: 5pp ", "better_or_equal: 2pp ", "traffic.units_per_day", "an impossible plan", "a larger margin"),
    ("# futility: obrien-fleming ", "futility: linear ", "success.futility", "is not a way to spend", "hsd:-2"),
    ("# futility: obrien-fleming ", "futility: power ", "success.futility", "is not a way to spend", "power:RHO"),
    ("# futility: obrien-fleming ", "futility: power:0 ", "success.futility", "out of bounds", "above 0"),
    ("# futility: obrien-fleming ", "futility: hsd:-21 ", "success.futility", "out of bounds", "-20 to 20"),
    ("# futility: obrien-fleming ", "futility: hsd:20 ", "traffic.units_per_day", "an impossible plan", "larger mde"),
    ("# reestimate: blinded ", "reestimate: open ", "success.reestimate", "is not one of them", "blinded"),
    ("power: 0.8 ", "power: 0.02 ", "success.power", "is not above alpha (0.025)", "0.8"),
    ("looks: daily", "looks: [7d, 7d1m, 14d]", "stages.live.looks", "closer than 0.0001", "at least 3m apart"),
    ("looks: daily", "looks: hourly", "stages.live.looks", "not a plan of looks", "weekly"),
    ("looks: daily", "looks: every 20d", "stages.live.looks", "longer than max", "at most 14d"),
    ("looks: daily", "looks: every 1s", "stages.live.looks", "more than 500 looks", "further apart"),
    ("looks: daily", "looks: [7d, 7d, 14d]", "stages.live.looks", "does not rise", "list of days"),
    ("looks: daily", "looks: [1d, 14d]", "stages.live.looks", "before live.min (7d) has labels", "within 7d to 14d"),
    ("looks: daily", "looks: [7d, 10d]", "stages.live.looks", "not end with the final look", "end with 14d"),
    ("looks: daily", "looks: {every: 1d}", "stages.live.looks", "not a plan of looks", "daily"),
    ("min: 7d", "min: 10d", "stages.live.min", "not whole weeks", "7d, 14d, ..."),
    ("min: 7d", "min: 3w", "stages.live.min", "longer than max (14d)", "at most stages.live.max"),
    ("max: 14d", "max: 91d", "stages.live.max", "longer than 90d", "at most 90d"),
    ("promote: [75% 1d, 95%]", "promote: [50% 1d, 95%]", "stages.promote[0]", "does not rise above", "above 50%"),
    ("promote: [75% 1d, 95%]", "promote: [75% 1d, 60% 1d, 95%]", "stages.promote[1]", "does not rise", "above 75%"),
    ("promote: [75% 1d, 95%]", "promote: [75%, 95%]", "stages.promote[0]", "no time to serve", "75% 1d"),
    ("promote: [75% 1d, 95%]", "promote: [75% 1d, 90%]", "stages.promote[1]", "leaves 10% on the champion", "95%"),
    ("holdback: 5%", "holdback: 10%", "stages.promote[1]", "the holdback is 10%", "90%"),
    ("holdback: 5%", "holdback: 0%", "stages.bake.holdback", "out of bounds", "above 0%"),
    ("bake: {for: 2d", "bake: {for: 1d", "stages.bake.for", "matures_after + 1d", "at least 2d"),
    ("units_per_day: 250", "units_per_day: 240", "traffic.units_per_day", "an impossible plan", "live.max of 15d"),
    ("units_per_day: 250", "units_per_day: 250.5", "traffic.units_per_day", "not a whole number", "such as 250"),
    ("metric: correct ", "metric: clicks ", "success.metric", "is not one of them", "correct"),
    ("better: higher ", "better: bigger ", "success.better", "is not one of them", "higher or lower"),
    ("mde: 5pp ", "mde: 50ms ", "success.mde", "wrong unit (ms)", "5pp (absolute) or 3% (relative)"),
    ("mde: 5pp ", "mde: 5 ", "success.mde", "is not a margin", "5pp"),
    ("mde: 5pp ", "mde: 60pp ", "success.mde", "is no rate", "within 0% to 100%"),
    ("mde: 5pp ", "mde: 2pp ", "traffic.units_per_day", "an impossible plan", "a larger mde"),
    ("alpha: 0.025 ", "alpha: 0.5 ", "success.alpha", "out of bounds", "below 0.5"),
    ("alpha: 0.025 ", "alpha: 2.5% ", "success.alpha", "is not a number", "such as 0.025"),
    ("power: 0.8 ", "power: 1 ", "success.power", "out of bounds", "below 1"),
    ("power: 0.8 ", "power: .inf ", "success.power", "is not a number", "such as 0.8"),
    ("baseline: measured", "baseline: 0.86", "success.baseline", "is not a share", "or measured"),
    (
        "error_rate: {worse_by: 1pp",
        "error_rate: {worse_by: 50ms",
        "guardrails.error_rate.worse_by",
        "wrong unit",
        "5pp",
    ),
    ("error_rate: {worse_by: 1pp, ", "error_rate: {", "guardrails.error_rate.worse_by", "is missing", "5pp"),
    (
        "latency_p95: {worse_by: 50ms",
        "latency_p95: {worse_by: 5%",
        "guardrails.latency_p95.worse_by",
        "wrong unit",
        "50ms",
    ),
    (
        "latency_p95: {",
        "latency_p99: {",
        "guardrails.latency_p99",
        "did you mean 'latency_p95'",
        "error_rate, latency_p95",
    ),
    ("action: watch", "action: shrug", "guardrails.latency_p95.action", "is not one of them", "roll_back or watch"),
    ("signals: [score_drift]", "signals: [moon]", "signals[0]", "is not one of them", "score_drift"),
    ("signals: [score_drift]", "signals: [score_drift, score_drift]", "signals[1]", "is here twice", "each item once"),
    ("quality: predictions", "quality: [predictions]", "quality", "is not accepted here", "letters"),
    ("srm: {alpha: 0.001}", "srm: {alpha: 0}", "srm.alpha", "out of bounds", "above 0"),
    ("srm: {alpha: 0.001}", "srm: 0.001", "srm", "is not a mapping", "the keys alpha"),
    ("segments: [plan]", "segments: [a plan]", "segments[0]", "is not accepted here", "a column's name"),
    ("{win: promote", "{win: ask nobody within 3d", "decide.win", "has no keys in approvers", "growth-ml"),
    ("{win: promote", "{win: celebrate", "decide.win", "is not a rule for a win", "ask NAME within 3d"),
    ("no_win: keep_champion", "no_win: promote", "decide.no_win", "is not one of them", "keep_champion"),
    ("max_usd: 900", "max_usd: -1", "budget.max_usd", "out of bounds", "or null"),
    ("2027-12-20/2028-01-03", "2028-01-03/2027-12-20", "freeze[0]", "ends before it starts", "UTC dates"),
    (
        '["2027-12-20/2028-01-03"]',
        "[2027-12-20/2028-01-03, 2027-01-01/2027-01-02]",
        "freeze[1]",
        "before the window above",
        "in order",
    ),
    ("notify: ml-rollouts", "notify: a b", "notify", "is not accepted here", "or null"),
    ("capture_delay: 30h", "capture_delay:", "capture_delay", "stands here", "a duration"),
    ("blind_after: 36h", "blind_after: soon", "blind_after", "is not a duration", "30m"),
    ("min_units: 50", "min_units: 0", "min_units", "too small", "from 1"),
    ("on_newer: queue", "on_newer: panic", "on_newer", "is not one of them", "queue or supersede"),
    ("type: ml.m5.xlarge", "type: m5.xlarge", "instance.type", "is not accepted here", "ml.m5.xlarge"),
    ("unit: customer_id", "units: customer_id", "units", "did you mean 'unit'", "rollout, hypothesis"),
    (
        "better: higher ",
        "better_or_equal: 1pp ",
        "success.better_or_equal",
        "stands beside mde (5pp)",
        "one of the two",
    ),
    ("owner: growth-ml", "endpoint: other", "endpoint", "is here twice", "each key once"),
]


@pytest.mark.parametrize("case", RULES, ids=lambda case: case[1][:60])
def test_each_rule_names_line_key_value_and_what_is_accepted(tmp_path, case):
    old, new, key, problem, accepts = case
    text = damaged(old, new)
    found = [finding for finding in lint(tmp_path, text) if finding.key == key]
    assert len(found) == 1, found
    finding = found[0]
    name = key.split(".")[-1].split("[")[0]
    lines = text.splitlines()
    parent = key.split(".")[-2] if "." in key else name
    shown = lines[finding.line - 1]
    assert f"{name}:" in shown or f"{parent}:" in shown
    assert problem in finding.problem
    assert accepts in finding.accepts
    assert finding.severity == "error"
    assert str(finding).startswith(f"{tmp_path / 'churn.yaml'}:{finding.line}: {key}: ")
    with pytest.raises(SpecError):
        load_rollout(tmp_path / "churn.yaml", environment=REMOTE)


def test_the_line_is_that_of_the_key_not_of_its_section(tmp_path):
    text = damaged("min: 7d", "min: 10d")
    (finding,) = lint(tmp_path, text)
    due = next(number for number, line in enumerate(text.splitlines(), 1) if "min: 10d" in line)
    assert due == finding.line
    assert f"{tmp_path}/churn.yaml:{due}: stages.live.min: '10d' is not whole weeks" in str(finding)
    assert str(finding).endswith("; accepted: whole weeks (7d, 14d, ...)")


def test_all_errors_are_told_at_once(tmp_path):
    text = CHURN
    planted = {
        "endpoint: churn-prod": "endpoint: churn/prod",
        "min: 7d": "min: 9d",
        "mde: 5pp ": "mde: 5 ",
        "action: watch": "action: whatever",
        "bake: {for: 2d": "bake: {for: 1d",
        "notify: ml-rollouts": "notifi: ml-rollouts",
    }
    for old, new in planted.items():
        text = text.replace(old, new)
    path = tmp_path / "churn.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load_rollout(path, environment=REMOTE)
    findings = caught.value.facts["findings"]
    keys = ["endpoint", "stages.live.min", "stages.bake.for", "success.mde", "guardrails.latency_p95.action", "notifi"]
    assert keys == [finding.key for finding in findings]
    assert [finding.line for finding in findings] == sorted(finding.line for finding in findings)
    assert str(caught.value).startswith(f"{path}: 6 errors\n")
    assert all(str(finding) in str(caught.value) for finding in findings)


def test_an_empty_file_lists_every_required_key(tmp_path):
    required = ["rollout", "hypothesis", "owner", "endpoint", "registry", "unit", "traffic.units_per_day"]
    required += ["success.metric", "success.mde", "success.matures_after"]
    found = lint(tmp_path, "{}\n")
    assert sorted(required) == [finding.key for finding in found]
    assert {"is missing"} == {finding.problem for finding in found}


def test_a_file_of_required_keys_takes_every_default(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(
        "rollout: small\nhypothesis: it is better\nowner: me\nendpoint: e\nregistry: r\nunit: u\n"
        "traffic: {units_per_day: 400}\nsuccess: {metric: correct, mde: 5pp, matures_after: 1d}\n",
        encoding="utf-8",
    )
    spec = load_rollout(path, environment=REMOTE)
    assert spec.guardrails == {}
    assert spec.stages == type(spec.stages)()
    assert spec.decide.win.action == "promote"


def test_a_local_environment_takes_any_days(tmp_path):
    assert lint(tmp_path, damaged("min: 7d", "min: 3d"), LOCAL) == ()


def test_an_approver_without_keys_is_a_warning_in_a_local_environment(tmp_path):
    text = damaged("{win: promote", "{win: ask growth-ml within 3d")
    (finding,) = lint(tmp_path, text, LOCAL)
    assert (finding.key, finding.severity) == ("decide.win", "warning")
    assert ": warning: decide.win: " in str(finding)
    assert load_rollout(tmp_path / "churn.yaml", environment=LOCAL).decide.win.who == "growth-ml"


def test_an_approver_with_keys_may_be_asked(tmp_path):
    assert lint(tmp_path, damaged("{win: promote", "{win: ask growth-ml within 3d")) == ()


def test_a_relative_mde_without_baseline_is_a_warning(tmp_path):
    (finding,) = lint(tmp_path, damaged("mde: 5pp ", "mde: 5% "))
    assert (finding.key, finding.severity) == ("success.baseline", "warning")


def test_a_known_baseline_needs_fewer_units(tmp_path):
    poor = CHURN.replace("units_per_day: 250", "units_per_day: 200")
    assert [finding.key for finding in lint(tmp_path, poor)] == ["traffic.units_per_day"]
    assert lint(tmp_path, poor.replace("baseline: measured", "baseline: 86%")) == ()


def test_a_name_that_is_not_the_files_is_a_warning(tmp_path):
    (finding,) = lint(tmp_path, damaged("rollout: churn ", "rollout: churned "))
    assert (finding.key, finding.severity) == ("rollout", "warning")


def test_a_rule_about_a_default_shows_the_default(tmp_path):
    text = damaged("  bake: {for: 2d, holdback: 5%} ", "  #").replace("matures_after: 1d ", "matures_after: 3d ")
    (finding,) = lint(tmp_path, text)
    assert "stages.bake.for: '2d (default)' ends before" in str(finding)


def test_a_margin_takes_the_place_of_mde(tmp_path):
    assert lint(tmp_path, damaged("mde: 5pp ", "better_or_equal: 5pp ")) == ()
    (finding,) = lint(tmp_path, damaged("mde: 5pp ", "better_or_equal: 5% "))
    assert (finding.key, finding.severity) == ("success.baseline", "warning")
    assert "a relative better_or_equal gives no planned size yet" in finding.problem


@pytest.mark.parametrize("kind", ["none", "null", "obrien-fleming", "hsd:-4", "power:2.5"])
def test_futility_may_be_asked_for(tmp_path, kind):
    text = damaged("# futility: obrien-fleming ", f"futility: {kind} ")
    assert lint(tmp_path, text.replace("units_per_day: 250", "units_per_day: 300")) == ()


def test_futility_needs_a_power_of_more_than_half(tmp_path):
    text = damaged("# futility: obrien-fleming ", "futility: pocock ").replace("power: 0.8 ", "power: 0.5 ")
    (finding,) = lint(tmp_path, text)
    assert (finding.key, finding.severity) == ("success.futility", "error")
    assert lint(tmp_path, CHURN.replace("power: 0.8 ", "power: 0.5 ")) == ()


@pytest.mark.parametrize(
    ("old", "new"), [("futility: obrien-fleming", "futility"), ("reestimate: blinded", "reestimate")]
)
def test_what_acts_before_the_final_look_needs_such_a_look(tmp_path, old, new):
    text = damaged(f"# {old} ", f"{old} ").replace("looks: daily", "looks: [14d]")
    (finding,) = lint(tmp_path, text)
    assert (finding.key, finding.severity) == (f"success.{new}", "warning")
    assert "no other is planned" in finding.problem


def test_many_looks_with_futility_are_linted_quickly(tmp_path):
    """500 looks: their cost is told by a few of them."""
    text = damaged("# futility: obrien-fleming ", "futility: pocock ").replace("looks: daily", "looks: every 21m")
    assert [finding.key for finding in lint(tmp_path, text)] in ([], ["traffic.units_per_day"])
