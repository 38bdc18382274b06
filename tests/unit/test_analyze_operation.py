"""Analyses of generated logs, through the real ingest and the real lake, against an independent calculation."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from staged_rollout.adapters.lake_iceberg import IcebergLake
from staged_rollout.adapters.log_folder import LogFolder
from staged_rollout.adapters.log_paths import LogEntry, LogPaths
from staged_rollout.errors import DataError, NotFoundError
from staged_rollout.operations.analyze import analyze
from staged_rollout.operations.analyze_log import Asked
from staged_rollout.operations.ingest import ingest
from staged_rollout.ports import CheckReport
from staged_rollout.ports.checks import ExpectationResult
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.home import Home
from staged_rollout.spec.load import load_rollout
from tests.fakes.logged_experiment import BEGIN, ROLLOUT_FILE, Experiment

LOCAL = EnvironmentSpec(name="local", local=True)
WHOLE = Asked(as_of=BEGIN + timedelta(days=10))
DAY = timedelta(days=1)


class Clock:
    """Long after every log."""

    simulated = True

    def now(self):
        return BEGIN + timedelta(days=60)

    def wall(self):
        return 0.0


class RowsExist:
    """The port with one expectation: what is tested is the analysis, and Great Expectations takes seconds to import."""

    def __init__(self):
        self.days = []

    def run(self, suite, facts):
        self.days.append(facts.day)
        rows = facts.count("rows")
        return CheckReport(suite, rows, (ExpectationResult("rows exist", rows > 0, f"{rows}", "at least 1"),))


class Log:
    """A log in a lake of its own, and a rollout file beside it."""

    def __init__(self, folder):
        self.home = Home(folder)
        self.lake = IcebergLake(self.home)
        self.checks = RowsExist()
        self.frame = None

    def of(self, experiment=None, **changes):
        self.frame = (experiment or Experiment()).write(self.home, **changes)
        self.ingest()
        return self

    def foreign(self, experiment=None):
        """The same log in other people's words, through the field map."""
        folder = self.home.root / "theirs"
        self.frame = (experiment or Experiment()).write_foreign(folder)
        names = dict.fromkeys(("request_id", "rollout", "model_version", "latency_ms", "status", "features"))
        theirs = {"unit_id": "user.id", "timestamp": "ts", "variant": "group", "prediction": "answer"}
        logs = LogPaths(
            [
                LogEntry(str(folder / "clicks.jsonl"), "predictions", None, None, {**names, **theirs}),
                LogEntry(str(folder / "truth.jsonl"), "outcomes", None, None, {"unit_id": "user", "outcome": "truth"}),
            ],
            folder,
        )
        ingest(logs=logs, lake=self.lake, clock=Clock())

    def ingest(self):
        ingest(logs=LogFolder(self.home), lake=self.lake, clock=Clock())

    def analyze(self, asked=WHOLE, text=ROLLOUT_FILE):
        file = self.home.root / "churn.yaml"
        file.write_text(text, encoding="utf-8")
        spec = load_rollout(file, environment=LOCAL)
        return analyze(self.lake, self.checks, spec, LOCAL, asked=asked)

    def independent(self, look, since):
        """Units, successes and score z of closed units at a look's cut-off, from the frame."""
        seconds = (look.cut_off - BEGIN).total_seconds()
        closed = self.frame[(self.frame["at"] + 43_200 <= seconds) & (self.frame["at"] >= since)]
        told = closed[closed["labelled"] <= seconds]
        n = {name: int((told["variant"] == name).sum()) for name in ("v1", "v2")}
        x = {name: int(told[told["variant"] == name]["right"].sum()) for name in ("v1", "v2")}
        pooled = (x["v1"] + x["v2"]) / (n["v1"] + n["v2"])
        difference = x["v2"] / n["v2"] - x["v1"] / n["v1"]
        return n, x, difference, difference / math.sqrt(pooled * (1 - pooled) * (1 / n["v1"] + 1 / n["v2"]))


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """A log with a candidate like its champion, for tests that only read; `whole` is its analysis."""
    found = Log(tmp_path_factory.mktemp("usual")).of()
    found.whole = found.analyze()
    yield found
    found.lake.close()


@pytest.fixture
def log(tmp_path):
    found = Log(tmp_path)
    yield found
    found.lake.close()


def test_every_figure_of_every_look_is_that_of_an_independent_calculation(usual):
    """Counts are exact; z is the pooled score z, which Farrington-Manning is where the margin is 0."""
    found = usual.whole

    first = float(usual.frame["at"].min())
    assert BEGIN + timedelta(seconds=first) == found.comparison.lens.since
    assert [1, 2, 3, 4, 5] == [step.look.slot for step in found.looks]
    for step in found.looks:
        look, success = step.look, step.look.success
        n, x, difference, z = usual.independent(look, first)
        assert (n["v1"], n["v2"]) == (success.n_champion, success.n_candidate)
        assert (x["v1"], x["v2"]) == (success.x_champion, success.x_candidate)
        assert difference == pytest.approx(success.estimate, abs=1e-9)
        # Great samples differ by n / (n - 1) at most: some score tests count with the unbiased variance.
        assert z == pytest.approx(success.z, rel=2e-3)
        size = 1 / (1 / n["v1"] + 1 / n["v2"])
        assert size / found.plan.n_eff_max == pytest.approx(look.information, rel=1e-9)


def test_bounds_are_those_of_the_published_spending_function(usual):
    """Lan and DeMets' O'Brien-Fleming spending of .025: alpha at the first efficacy look has a closed form."""
    from scipy.stats import norm

    found = usual.whole
    efficacy = [step.look.efficacy for step in found.looks if step.look.efficacy is not None]
    first = efficacy[0]
    spent = 2 * norm.sf(norm.isf(0.0125) / math.sqrt(first.information))
    assert spent == pytest.approx(first.alpha_spent, abs=1e-8)
    assert norm.isf(spent) == pytest.approx(first.z, abs=1e-5)
    critical = [bound.z for bound in efficacy[:-1]]
    assert sorted(critical, reverse=True) == critical
    assert efficacy[-1].alpha_spent == pytest.approx(0.025)


def test_the_interval_ends_where_the_score_test_meets_the_bound(usual):
    """Each limit of a repeated interval, taken as the difference under test, gives z = -/+ the look's bound."""
    from staged_rollout.stats import score_z

    found = usual.whole
    for step in found.looks:
        look = step.look
        bound = (look.efficacy or look.harm).z
        s = look.success
        low, high = (
            score_z(s.x_candidate, s.n_candidate, s.x_champion, s.n_champion, delta0=limit) for limit in look.interval
        )
        assert (bound, -bound) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


@pytest.mark.parametrize(
    ("rates", "action", "alone"),
    [
        ((0.70, 0.82), "promote", "a win"),
        ((0.70, 0.70), "keep champion", "no win"),
        ((0.75, 0.60), "roll back", "harm"),
    ],
)
def test_the_truth_is_found_and_ends_the_test(log, rates, action, alone):
    """A much better candidate wins, and a much worse one does harm; both before the final look."""
    found = log.of(Experiment(rates=rates, seed=3)).analyze()
    assert found.ended
    assert action == str(found.decision.action)
    assert found.alone.startswith(alone)
    assert all(step.decision.to is None for step in found.steps[:-1])
    assert found.next_look is None


def test_a_look_knows_nothing_of_what_comes_later(usual):
    """An earlier as-of takes fewer looks, and those it takes say the same, byte for byte."""
    whole = usual.whole
    for looks in (2, 4):
        at = whole.looks[looks - 1].at
        part = usual.analyze(Asked(as_of=at))
        assert [step.evidence for step in whole.steps[:looks]] == [step.evidence for step in part.steps]
        assert (False, whole.looks[looks].at) == (part.ended, part.next_look)


def test_rows_that_come_later_change_no_look(usual, tmp_path):
    """The same rows, with and without everything after the third look, in two lakes."""
    whole = usual.whole
    cut = (whole.looks[2].at - BEGIN).total_seconds()
    experiment = Experiment()
    before = Log(tmp_path / "before")
    frame = experiment.frame()

    class Cut(Experiment):
        def frame(self):
            return frame[frame["at"] <= cut]

    before.of(Cut())
    part = before.analyze(Asked(as_of=whole.looks[2].at))
    figures = [[(step.look, step.evidence.srm, step.evidence.guardrails) for step in a.steps] for a in (whole, part)]
    assert figures[0][:3] == figures[1]
    before.lake.close()


def test_the_same_log_gives_the_same_events(usual):
    """An analysis is deterministic: the hash of its imagined ledger is the same again."""
    assert usual.whole.events[-1].hash == usual.analyze().events[-1].hash


def test_a_log_without_statuses_does_not_promote(log):
    """Missing data is never a pass: an acting guardrail without a figure blocks a win, and the metric alone is told."""
    log.foreign(Experiment(rates=(0.70, 0.82), seed=3))
    found = log.analyze()
    assert ("control", "treatment") == found.comparison.lens.variants
    assert (None, "churn") == (found.comparison.lens.logged_rollout, found.comparison.lens.rollout)
    assert ("local", "churn-prod") == (found.comparison.lens.logged_endpoint, found.comparison.lens.endpoint)
    assert any("error_rate was not measured" in note for note in found.notes)
    assert all(None is step.evidence.guardrails[0].z_non_inferiority for step in found.steps)
    assert all("not logged" == step.evidence.guardrails[0].method for step in found.steps)
    assert "keep champion" == str(found.decision.action)
    assert "error_rate not proven within its margin" in found.decision.reasons[0]
    assert found.alone.startswith("a win at look 2")


def test_a_foreign_log_gives_the_figures_of_our_own(log, usual):
    """Other people's names, no request ids, no epochs, no rollout: the same units and successes at each look."""
    log.foreign()
    found = log.analyze()
    figures = [
        [(step.look.success, step.look.harm, step.look.interval) for step in one.looks] for one in (usual.whole, found)
    ]
    assert [success for success, *_ in figures[0]] == [success for success, *_ in figures[1]]
    assert str(usual.whole.decision.action) == str(found.decision.action)
    assert found.ended


def test_days_after_the_log_are_no_missing_days(usual):
    """Only days that had ended when the log did are checked; a missing one among them fails."""
    found = usual.whole
    last = found.comparison.last_row_at.date()
    assert set(usual.checks.days) == {BEGIN.date() + number * DAY for number in range((last - BEGIN.date()).days)}
    assert not any(step.decision.holds for step in found.steps)


def test_a_time_when_only_the_champion_was_served_is_before_live(log):
    """LIVE begins with the candidate's first row; units of the champion before it measure the baseline."""
    lead = Experiment(units=3000, days=4.0, seed=9)
    rows = lead.frame()

    class Lead(Experiment):
        def frame(self):
            later = Experiment(units=4000, days=5.0, seed=2).frame()
            both = later.assign(at=later["at"] + 5 * 86_400, labelled=later["labelled"] + 5 * 86_400)
            both["unit"] = "n" + both["unit"]
            import pandas as pd

            return pd.concat([rows.assign(variant="v1"), both], ignore_index=True)

    log.of(Lead())
    found = log.analyze(Asked(as_of=BEGIN + timedelta(days=20)))
    first = float(log.frame[log.frame["variant"] == "v2"]["at"].min())
    assert BEGIN + timedelta(seconds=first) == found.comparison.lens.since
    assert any("LIVE begins with the first row of v2" in note for note in found.notes)
    assert any(note.startswith("baseline measured before LIVE") for note in found.notes)
    for step in found.looks:
        n, x, *_ = log.independent(step.look, first)
        s = step.look.success
        assert (n["v1"], n["v2"], x["v1"], x["v2"]) == (s.n_champion, s.n_candidate, s.x_champion, s.x_candidate)


def test_since_moves_the_begin_and_leaves_out_what_was_before(usual):
    """--since: units whose rows lie before it are not LIVE's, and slots count from it."""
    since = BEGIN + timedelta(days=1)
    found = usual.analyze(Asked(as_of=WHOLE.as_of, since=since))
    assert since == found.comparison.lens.since
    n, *_ = usual.independent(found.looks[1].look, 86_400.0)
    assert (n["v1"], n["v2"]) == (found.looks[1].look.success.n_champion, found.looks[1].look.success.n_candidate)


def test_what_is_not_there_is_named_with_what_is(log, usual):
    """Each error says what the lake has instead."""
    with pytest.raises(NotFoundError, match="the lake has no predictions"):
        log.analyze()
    log = usual
    with pytest.raises(NotFoundError, match=r"no rows of rollout 'other' in the lake; it has churn-v2 \(4,000 rows\)"):
        log.analyze(Asked(rollout="other"))
    with pytest.raises(NotFoundError, match=r"no rows of variant 'v9' \(--champion\); the log has v2"):
        log.analyze(Asked(champion="v9"))
    with pytest.raises(DataError, match="champion and candidate are both v1"):
        log.analyze(Asked(champion="v1", candidate="v1"))
    with pytest.raises(DataError, match="the first look is due at 2026-03-03T18:01"):
        log.analyze(Asked(as_of=BEGIN + DAY))
    with pytest.raises(DataError, match="no baseline: the first look that may win is due at 2026-03-04"):
        log.analyze(Asked(as_of=BEGIN + 1.8 * DAY))
    with pytest.raises(NotFoundError, match="the lake has no predictions up to 2026-03-01"):
        log.analyze(Asked(as_of=datetime(2026, 3, 1, tzinfo=UTC)))
    with pytest.raises(DataError, match="no row of v1 or v2 from 2027"):
        log.analyze(Asked(since=datetime(2027, 1, 1, tzinfo=UTC), as_of=datetime(2027, 3, 1, tzinfo=UTC)))


def test_variants_are_inferred_only_when_their_names_say_it(log):
    """Control is the champion; two other names need to be told."""
    log.of(rollout="churn-spring")
    with pytest.raises(DataError, match="which variant is the champion"):
        log.analyze()
    named = log.analyze(Asked(as_of=WHOLE.as_of, candidate="v1"))
    assert ("v2", "v1") == named.comparison.lens.variants


def test_one_variant_compares_nothing(log):
    """A log of the champion alone is an error, not a look without units."""
    log.of(assigned_variant="v1")
    with pytest.raises(DataError, match=r"one variant only: v1 \(4,000 rows\)"):
        log.analyze()


def test_two_rollouts_need_a_name(log, tmp_path):
    """More than one rollout in a lake: the error lists them, the option chooses."""
    log.of(rollout="spring")
    other = tmp_path / "logs" / "predictions" / "churn-prod" / "2026-03-02" / "router.jsonl"
    text = other.read_text(encoding="utf-8").replace('"spring"', '"autumn"').replace('"r-u', '"q-u')
    other.with_name("second.jsonl").write_text(text, encoding="utf-8")
    log.ingest()
    with pytest.raises(NotFoundError, match=r"2 rollouts are in the lake: autumn \(4,000 rows\), spring"):
        log.analyze()
    found = log.analyze(Asked(rollout="spring", champion="v1", as_of=WHOLE.as_of))
    assert "spring" == found.comparison.lens.rollout


def test_labels_that_are_missing_are_asked_for(log):
    """`correct` needs outcomes: without a single one, the error says what to ingest."""
    log.frame = Experiment().write(log.home)
    (log.home.root / "logs" / "outcomes" / "churn-prod" / "labels.jsonl").unlink()
    log.ingest()
    with pytest.raises(DataError, match="no outcome of endpoint churn-prod is in the lake") as caught:
        log.analyze()
    assert "--format outcomes" in caught.value.hint


def test_epochs_tell_live_from_canary_and_promotion(log, tmp_path):
    """Of epochs with both variants, LIVE is the one that enrols everybody at the file's split."""
    log.frame = Experiment(units=6000, days=6.0).write(log.home)
    file = log.home.root / "logs" / "predictions" / "churn-prod" / "2026-03-02" / "router.jsonl"
    import json

    lines = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines()):
        row = json.loads(line)
        day = (datetime.fromisoformat(row["timestamp"]) - BEGIN) / DAY
        row["epoch"] = 3 if day < 0.5 else 4 if day < 5.5 else 5
        if row["epoch"] == 3 and number % 2:  # half of the canary's units are not enrolled
            row |= {"assigned_variant": None, "rollout": None, "variant": "v1"}
        if row["epoch"] == 5 and number % 4:  # promoting: most on the candidate
            row |= {"assigned_variant": "v2", "variant": "v2"}
        lines.append(json.dumps(row))
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    log.ingest()
    found = log.analyze(Asked(as_of=BEGIN + timedelta(days=20)))
    assert (4,) == found.comparison.lens.live_epochs
    first = float(log.frame[log.frame["at"] >= 0.5 * 86_400]["at"].min())
    assert BEGIN + timedelta(seconds=first) == found.comparison.lens.since


def test_a_name_that_is_no_id_stays_a_name(log):
    """Whatever a log calls its rollout, nothing outside the analysis is named after it; rows are found all the same."""
    log.of(rollout="../../landing v1; --")
    found = log.analyze(Asked(as_of=WHOLE.as_of, champion="v1"))
    assert ("../../landing v1; --", "churn") == (found.comparison.lens.logged_rollout, found.comparison.lens.rollout)
    n, *_ = log.independent(found.looks[0].look, 0.0)
    assert (n["v1"], n["v2"]) == (found.looks[0].look.success.n_champion, found.looks[0].look.success.n_candidate)
