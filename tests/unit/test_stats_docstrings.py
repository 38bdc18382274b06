"""The examples in the docstrings of the statistics run, and say what the code answers."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from staged_rollout import stats

MODULES = sorted(module.name for module in pkgutil.iter_modules(stats.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_hold(name):
    failures, _ = doctest.testmod(importlib.import_module(f"staged_rollout.stats.{name}"))
    assert 0 == failures


def test_there_are_examples():
    """Law: the modules of effects each show one."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in ("cuped", "effect_size", "lift", "means", "moments", "stratified", "winsorise"):
        found = finder.find(importlib.import_module(f"staged_rollout.stats.{name}"))
        assert any(test.examples for test in found), name
