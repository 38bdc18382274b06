"""Where a sample-ratio mismatch sits, asked of real statements over real rows."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from staged_rollout.evidence import Evidence, SrmCellFigures
from staged_rollout.operations import look_srm
from staged_rollout.operations.window import Window
from staged_rollout.report.html import rollout_html
from staged_rollout.report.sections import health
from staged_rollout.state import EventType, State
from tests.fakes import figures as fig
from tests.fakes.tables import DAY, HOUR, T0, Tables


@pytest.fixture
def window(tmp_path, rollouts):
    """A rollout in LIVE whose candidate loses two thirds of one plan's units."""
    built = rollouts({**rollouts().spec.model_dump(mode="json"), "segments": ["plan"]}).at(State.LIVE)
    state, tables = built.state, Tables(tmp_path)
    champion, candidate = state.champion.variant, state.candidate.variant
    epoch = state.epochs_of(State.LIVE)[0]
    for number in range(180):
        variant, plan = (champion, candidate)[number % 2], ("free", "pro")[number // 2 % 2]
        if plan == "pro" and variant == candidate and number % 3:
            continue
        at = T0 + number // 4 % 4 * DAY + number // 16 % 5 * HOUR
        features = f'{{"plan": "{plan}"}}'
        common = {"endpoint": state.spec.endpoint, "rollout": state.rollout, "epoch": epoch, "features": features}
        tables.serve(f"u{number}", variant, at=at, **common)
        tables.know(at + HOUR, unit_id=f"u{number}", endpoint=state.spec.endpoint)

    class Lake:
        asked: list[str] = []  # noqa: RUF012 - one per test

        def query(self, name, parameters, *, batch):
            del batch
            self.asked.append(name)
            return tables.ask(name, **parameters)

    return Window(SimpleNamespace(lake=Lake()), state, None, T0 + 30 * DAY)


def test_the_segment_that_loses_units_comes_first(window):
    cells = look_srm.cells(window, (fig.srm((90, 60), alarm=True),))

    assert ("plan", "pro") == (cells[0].dimension, cells[0].value)
    assert cells[0].residual < -3
    assert cells[0].p_holm < 0.05
    assert {"plan", "day", "hour", "epoch"} >= {cell.dimension for cell in cells}
    assert len(cells) <= look_srm.CELLS_KEPT < cells[0].cells


def test_the_outcome_test_is_located_among_units_with_an_outcome(window):
    test = fig.srm((90, 60), alarm=True).model_copy(update={"name": "closed with outcome"})
    cells = look_srm.cells(window, (test,))

    assert ("closed with outcome", "plan", "pro") == (cells[0].test, cells[0].dimension, cells[0].value)


def test_nothing_is_asked_unless_a_test_alarms(window):
    """Law: a look without a mismatch costs and keeps nothing: its evidence has the bytes that it had before."""
    window.platform.lake.asked.clear()
    assert look_srm.cells(window, (fig.srm(),)) is None
    assert [] == window.platform.lake.asked
    assert "srm_cells" not in fig.good(window.state, T0).model_dump(mode="json")


def test_evidence_and_reports_tell_where(rollouts):
    """Law: what was found is read again as it was stored, is told on both pages, and is inert there."""
    built = rollouts().at(State.LIVE)
    cell = SrmCellFigures(
        test="first exposure",
        dimension="plan",
        value="<b>pro</b>",
        counts=(210, 120),
        residual=-4.9,
        p_holm=0.00012,
        cells=31,
    )
    known = fig.good(built.state, built.now, srm=(fig.srm((700, 500), alarm=True),), srm_cells=(cell,))
    assert known == Evidence.model_validate(known.model_dump(mode="json"))
    built.add(
        EventType.DECIDED,
        action="hold",
        to=None,
        reasons=["srm"],
        hashes={"evidence": "e" * 64},
        evidence=known.model_dump(mode="json"),
    )
    page = rollout_html(built.events)

    assert "mismatch sits in `plan` = `‹b›pro‹/b›`: 210 against 120 units, -4.9 standard errors" in health(known)
    assert "Where the sample-ratio mismatch sits" in page
    assert "&lt;b&gt;pro&lt;/b&gt;" in page
    assert "<b>pro" not in page
