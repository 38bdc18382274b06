"""The demo's own parts: its edits of the rollout file, its candidates, its stopwatch, its frequencies."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from demo import models
from demo.candidates import CANDIDATES, candidate_after
from demo.rules import Edit, edited, write_rules
from demo.seeds import Seen, frequencies, seeds_of
from demo.stopwatch import OTHER, Stopwatch, measured_at_the_seams
from staged_rollout.errors import SpecError
from staged_rollout.spec.environment import load_environment
from staged_rollout.spec.load import load_rollout

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda one: f"v{one.version}")
def test_every_owners_file_lints_and_its_plan_is_carried_by_the_traffic(candidate, tmp_path):
    """Each edit fits the file that is shipped, and the result loads without a finding."""
    file = write_rules(CONFIGS, tmp_path, candidate.rules)
    spec = load_rollout(file, environment=load_environment("demo", tmp_path))
    assert (spec.success.better_or_equal is not None) == (candidate.version in {5, 6})
    assert ("ask" if candidate.version == 6 else "promote") == spec.decide.win.action


def test_the_owners_edits_are_undone_for_the_next_candidate(tmp_path):
    """Edits count from the shipped file, never from the last owner's."""
    write_rules(CONFIGS, tmp_path, CANDIDATES[-1].rules)
    file = write_rules(CONFIGS, tmp_path, ())
    assert (CONFIGS / "rollouts" / "churn.yaml").read_bytes() == file.read_bytes()


@pytest.mark.parametrize(("text", "times"), [("a: 1\n", 0), ("mde: 5pp\nmde: 5pp\n", 2)])
def test_an_edit_that_does_not_fit_once_is_refused(text, times):
    with pytest.raises(SpecError, match=f"'mde: 5pp' stands in it {times} times"):
        edited(text, (Edit("mde: 5pp", "mde: 4pp"),), "churn.yaml")


def test_candidates_come_one_after_another_up_to_the_last():
    assert [2, 3, 4, 5, 6] == [one.version for one in CANDIDATES]
    following = candidate_after(3, 6)
    assert following is not None
    assert 4 == following.version
    assert candidate_after(3, 3) is None
    assert candidate_after(6, 6) is None


def test_the_models_are_what_their_words_say():
    """v4 answers nearly as v2 does, and is no better; v5 takes nine columns, v6 two more; both are as right as v2."""
    customers = models.load_customers(7)
    rows, left = customers.matrix[customers.traffic], customers.left[customers.traffic]

    def answers(fitted):
        model, features = fitted
        return model.predict(rows[:, [customers.names.index(name) for name in features]]), features

    two, all_columns = answers(models.candidate_v2(customers))
    four, _ = answers(models.candidate_v4(customers, 7))
    five, telling = answers(models.candidate_v5(customers))
    six, placed = answers(models.candidate_v6(customers))
    assert (19, 9, 11) == (len(all_columns), len(telling), len(placed))
    assert 0 < np.mean(four != two) < 0.035
    assert np.mean(four == left) < np.mean(two == left)
    for answer in (five, six):
        assert abs(np.mean(answer == left) - np.mean(two == left)) < 0.01


def test_each_second_is_charged_to_the_innermost_component():
    now = [0.0]
    watch = Stopwatch(clock=lambda: now[0])

    def ingest() -> str:
        now[0] += 5
        return "done"

    now[0] = 1.0
    with watch.running("Prefect"):
        now[0] += 2
        assert "done" == watch.timed("ingest", ingest)()
        now[0] += 3
    now[0] += 7
    assert "traffic 0 s, Prefect 5 s, ingest 5 s, quality 0 s, statistics 0 s, reconcile 0 s, other 8 s" == watch.told()
    assert now[0] == sum(watch.seconds.values())


def test_a_failure_is_charged_too():
    now = [0.0]
    watch = Stopwatch(clock=lambda: now[0])

    def failing() -> None:
        now[0] += 4
        raise ValueError("no quality")

    with pytest.raises(ValueError, match="no quality"):
        watch.timed("quality", failing)()
    now[0] += 1
    watch.told()
    assert (4.0, 1.0) == (watch.seconds["quality"], watch.seconds[OTHER])


def test_the_seams_are_there_and_are_put_back():
    """What is timed exists under its name in the tasks, is replaced while it is timed, and is itself again after."""
    from tasks import advance, operate, registry

    def seams():
        return advance.ingest_new, advance.validate, advance.gather, advance.settle, operate.watch, registry.poll

    before = seams()
    with measured_at_the_seams(Stopwatch()):
        assert all(one is not other for one, other in zip(before, seams(), strict=True))
    assert before == seams()


@pytest.mark.parametrize(
    ("text", "seeds"), [("1-4", [1, 2, 3, 4]), ("7", [7]), ("1,3-4,3", [1, 3, 4]), ("0", [0]), ("5-4", [])]
)
def test_seeds_are_read(text, seeds):
    assert seeds == seeds_of(text)


@pytest.mark.parametrize("text", ["", "a", "1-", "-3", "1..4", "1,,2", "²"])
def test_what_is_no_seed_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="accepted: 1-20, or 1,4,9"):
        seeds_of(text)


def test_frequencies_count_what_was_expected_beside_what_is_promised():
    """Runs that failed do not count; a version that was not tried has no line; P(X <= 1 | 2, 0.95) = 0.0975."""
    seen = [Seen(1, {2: "PROMOTED", 3: "ROLLED_BACK"}), Seen(2, {2: "KEPT_CHAMPION", 3: "ROLLED_BACK"}), Seen(3, {})]
    lines = frequencies(seen, 3)
    assert "2 runs" == lines[0]
    assert ["v2", "PROMOTED", "1", "of", "2", ">=", "95%", "0.10", "1", "KEPT_CHAMPION"] == lines[2].split()
    assert ["v3", "ROLLED_BACK", "2", "of", "2", ">=", "90%", "1.00"] == lines[3].split()
    assert 4 == len(lines)


def test_every_seam_of_the_stopwatch_is_there():
    """The law: what the demo times is what the tasks call; a renamed one is noticed here."""
    with measured_at_the_seams(Stopwatch()):
        pass
