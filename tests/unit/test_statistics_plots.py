"""Charts: what they say, that they are the same each time, and that nothing of the user's style leaks in or out."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest

from staged_rollout.report.charts import chart
from staged_rollout.report.design_charts import boundaries_chart, inference_chart, plan_chart
from staged_rollout.report.statistics_charts import e_value_text, simulation_chart, srm_chart
from staged_rollout.stats import Spending, design, sequential_srm
from staged_rollout.stats.inference import infer
from staged_rollout.stats.plan import plan_means, plan_rates
from staged_rollout.stats.simulation import simulate_test

OBF = Spending("obrien-fleming", 0.025)
EQUAL_14 = [k / 14 for k in range(1, 15)]


def words(svg: bytes) -> str:
    """All text of a chart: matplotlib writes each string as a comment before its outlines."""
    ET.fromstring(svg)
    return "\n".join(re.findall(r"<!-- (.*?) -->", svg.decode(), re.DOTALL))


@pytest.mark.parametrize(
    ("looks", "options", "said"),
    [
        ((0.5, 1), {}, "the last bound is 1.969"),
        (EQUAL_14, {"sides": 2}, "above the axis: 8.30 at 0.0714"),
        (EQUAL_14, {"futility": Spending("obrien-fleming", 0.2)}, "futility (non-binding): z at or below"),
        ((0.5, 1), {"futility": Spending("hsd", 0.2, -4), "binding": True}, "futility (binding): z at or below"),
        ((0.5, 1), {"harm": Spending("pocock", 0.02)}, "harm: z at or below"),
        ([k / 100 for k in range(1, 101)], {}, "and 12 more"),
        ((1.0,), {}, "1 look, one-sided"),
    ],
)
def test_boundaries_are_drawn_with_what_they_are(looks, options, said):
    text = words(boundaries_chart(design(looks, OBF, **options), "svg"))
    assert said in text
    assert "information fraction" in text
    assert "error probability spent" in text


def test_inference_is_headed_by_its_result():
    planned = design((0.3, 0.6, 1.0))
    stopped = words(inference_chart(planned, infer(planned, (1.917, 3.4976), 100), "svg"))
    assert "Stopped at look 2 (efficacy): 0.4507" in stopped
    assert "stage-wise, median-unbiased" in stopped
    going_on = words(inference_chart(planned, infer(planned, (1.917,), 100), "svg"))
    assert "Not stopped at look 1 of 3" in going_on
    assert "stage-wise" not in going_on


@pytest.mark.parametrize(
    "plan", [plan_rates(0.1, 0.02, looks=5), plan_rates(0.9, 0.08, looks=3), plan_means(12, 4, 0.2)]
)
def test_a_plan_is_drawn_with_its_units(plan):
    text = words(plan_chart(plan, "svg", unit="percentage points", scale=100))
    assert f"{plan.total:,} units" in text
    assert f"planned: {100 * plan.mde:.4g}" in text


@pytest.mark.parametrize(("counts", "said"), [((48912, 51088), "Sample-ratio mismatch"), ((50, 50, 51), "No sample-")])
def test_srm_is_headed_by_its_verdict(counts, said):
    text = words(srm_chart(sequential_srm(counts, (1,) * len(counts), alpha=0.001), "svg"))
    assert said in text
    assert f"variant {len(counts)}" in text


def test_simulation_is_headed_by_its_finding_and_has_every_rule():
    found = simulate_test((0.5, 1.0), OBF, sides=2, runs=1000)
    text = words(simulation_chart(found, "svg"))
    assert f"peeking errs {found.rules[1].type_one_error:.3f}" in text
    assert "Bonferroni" in text
    assert "nominal 0.05" in text


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_chart_is_the_same_each_time_whatever_style_is_set(kind):
    planned = design((0.5, 1.0))
    before = boundaries_chart(planned, kind)
    with mpl.rc_context({"axes.facecolor": "black", "font.size": 30.0}):
        assert before == boundaries_chart(planned, kind)
        assert mpl.rcParams["axes.facecolor"] == "black"


def test_a_long_title_goes_on_below():
    title = "word " * 40
    assert "\n" not in title
    assert len(words(chart(lambda figure: figure.subplots(), "svg", title=title, size=(6, 4))).splitlines()) > 2


@pytest.mark.parametrize(("log_e", "text"), [(0.0, "1"), (710.0, "10^308"), (1e6, "10^434294"), (-800.0, "0")])
def test_an_e_value_of_any_size_can_be_said(log_e, text):
    assert text == e_value_text(log_e)
