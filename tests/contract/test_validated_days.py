"""Days that are validated by the real suite over real statements, with their Data Docs."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest

from staged_rollout.adapters.checks_gx import GreatExpectations
from staged_rollout.operations import quality_docs
from staged_rollout.operations.journal import load
from staged_rollout.operations.validate import due_days, reference_day, validate
from staged_rollout.ports import CheckReport, ExpectationResult, SkippedExpectation
from staged_rollout.state import EventType, State
from tests.fakes.platform import ROLLOUT, TICK, reached
from tests.fakes.ports import MemoryLake
from tests.fakes.tables import DAY, Tables


class TablesLake(MemoryLake):
    """Answers by the real statements."""

    tables: Tables

    def query(self, name, parameters, *, batch):
        self.asked.append((name, {**parameters, "batch": batch.number}))
        return self.tables.ask(name, **parameters)


@pytest.fixture
def world(tmp_path, churn):
    platform = reached(tmp_path, churn, State.SHADOW)
    platform.lake, platform.checks = TablesLake(), GreatExpectations()
    platform.lake.tables = Tables(tmp_path)
    return platform


def serve(platform, day, units=30, **values):
    state = load(platform, ROLLOUT)
    common = {"endpoint": state.spec.endpoint, "rollout": ROLLOUT, "epoch": max(state.epochs)}
    for number in range(units):
        champion = state.champion.variant
        at = day + timedelta(minutes=40 * number)
        platform.lake.tables.serve(f"u{number}", champion, at=at, **{**common, **values})


def test_a_day_is_judged_once_and_a_missing_one_fails(world):
    """Law: a day with rows passes, a day without any is a failure and not a pass, and both have a page."""
    midnight = world.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    serve(world, midnight)
    world.clock.set(midnight + 2 * DAY + timedelta(minutes=1))
    checked = validate(world, load(world, ROLLOUT), TICK)
    state = load(world, ROLLOUT)
    first, second = midnight.date(), (midnight + DAY).date()

    assert [(first, True), (second, False)] == [(day, report.passed) for day, report in checked]
    assert {first: True, second: False} == state.quality
    assert ("rows exist",) == tuple(failure.name for failure in checked[1][1].failures)
    events = [event for event in world.ledger.events(ROLLOUT) if event.type is EventType.QUALITY_CHECKED]
    assert {"name": "rows exist", "observed": "0", "accepted": "at least 1"} == events[-1].payload["failures"][0]
    assert {"name", "why"} == set(events[0].payload["skipped"][0])
    pages = sorted(page.name for page in (world.home.quality / ROLLOUT).iterdir())
    assert [f"{first}.html", f"{second}.html"] == pages
    index = (world.home.quality / "index.html").read_text()
    assert f'<a href="{ROLLOUT}/{first}.html">{first}</a> <span>passed</span>' in index
    assert re.search(rf"{second}</a> <span [^>]*>failed</span>", index)

    serve(world, midnight + DAY)
    assert [(second, True)] == [(day, report.passed) for day, report in validate(world, load(world, ROLLOUT), TICK)]
    assert [] == validate(world, load(world, ROLLOUT), TICK)


def test_where_stages_last_minutes_the_day_so_far_is_judged(tmp_path, churn):
    """Law: in a local environment the present day counts once it has rows, by its ended hours; elsewhere it waits."""
    shadow = churn["stages"]["shadow"] | {"for": "10m"}
    world = reached(tmp_path, churn, State.SHADOW, stages=churn["stages"] | {"shadow": shadow})
    world.lake, world.checks = TablesLake(), GreatExpectations()
    world.lake.tables = Tables(tmp_path)
    midnight = world.clock.now().replace(hour=0, minute=0, second=0, microsecond=0) + DAY
    world.clock.set(midnight + timedelta(hours=3))
    assert [midnight.date() - DAY] == [day for day, _ in validate(world, load(world, ROLLOUT), TICK)]

    serve(world, midnight, units=4)
    assert midnight.date() in {day for day, report in validate(world, load(world, ROLLOUT), TICK) if report.passed}
    assert midnight.date() not in {day for day, _ in validate(world, load(world, ROLLOUT), TICK)}

    world.environment = world.environment.model_copy(update={"local": False, "clock": "real"})
    assert [] == [day for day in due_days(load(world, ROLLOUT), world.clock.now()) if day >= midnight.date()]


def test_each_statement_names_its_days(world):
    """Law: no statement of the suite is without a day, so that its cost does not follow history."""
    midnight = world.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    serve(world, midnight)
    world.clock.set(midnight + DAY + timedelta(minutes=1))
    validate(world, load(world, ROLLOUT), TICK)

    for name, parameters in world.lake.asked:
        assert name.startswith("quality_")
        assert parameters["day"] == midnight.date()
        assert midnight.date() - timedelta(days=7) <= parameters["reference"] < midnight.date()


def test_the_reference_is_the_newest_day_that_passed(rollouts):
    """Law: a fault never becomes the norm; a day that passed more than a week ago is none either."""
    built = rollouts().at(State.SHADOW)
    assert date(2026, 3, 19) == reference_day(built.state, date(2026, 3, 20))
    built.quality("2026-03-16").quality("2026-03-17").quality("2026-03-18", "x").quality("2026-03-19", "x")
    assert date(2026, 3, 17) == reference_day(built.state, date(2026, 3, 20))
    assert date(2026, 3, 24) == reference_day(built.state, date(2026, 3, 25))


HOSTILE = "<script>alert(1)</script>"


def test_pages_are_inert_without_network_and_bounded(world, monkeypatch):
    """Law: what a log says is text on the page; nothing is fetched; the oldest pages go."""
    monkeypatch.setattr(quality_docs, "DAYS_KEPT", 3)
    state = load(world, ROLLOUT)
    results = (
        ExpectationResult("variant is known", passed=False, observed=HOSTILE, accepted="v1", reason="why"),
        ExpectationResult("rows exist", passed=True, observed="5", accepted="at least 1"),
    )
    report = CheckReport("predictions", 5, results, (SkippedExpectation("volume", f"no {HOSTILE}"),))
    for day in range(1, 6):
        page = quality_docs.write_docs(world.home, state, date(2026, 3, day), 7, report, world.clock.now())
    text = page.read_text()

    assert "Data Docs" in text
    assert "1 of 2 expectations failed" in text
    assert 2 == text.count("&lt;script&gt;")
    assert "<script" not in text
    assert not re.search(r"(src|href)=\"(https?:)?//", text)
    assert ["2026-03-03.html", "2026-03-04.html", "2026-03-05.html"] == sorted(p.name for p in page.parent.iterdir())
    assert "2026-03-02" not in (world.home.quality / "index.html").read_text()


def test_pages_that_cannot_be_written_stop_nothing(world, caplog):
    """Law: the ledger holds the verdict; a page is for people."""
    world.home.quality.write_text("a file where the folder should be")
    state = load(world, ROLLOUT)

    report = CheckReport("predictions", 0, ())
    assert quality_docs.write_docs(world.home, state, date(2026, 3, 1), 7, report, world.clock.now()) is None
    assert "not written" in caplog.text
