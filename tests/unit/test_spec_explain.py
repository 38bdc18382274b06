from __future__ import annotations

import doctest
import importlib
import json
import pkgutil
from pathlib import Path

import jsonschema
import pytest
import yaml

import staged_rollout.spec
from staged_rollout.spec.environment import EnvironmentDefaults, EnvironmentSpec
from staged_rollout.spec.explain import explain
from staged_rollout.spec.keys import BY_PATH, KEYS, SECTIONS
from staged_rollout.spec.load import load_rollout
from staged_rollout.spec.model import Instance
from staged_rollout.spec.schema import file_schema, schema_text

CONFIGS = Path(__file__).parents[2] / "configs"
CHURN = CONFIGS / "rollouts" / "churn.yaml"
SMALL = """rollout: small
hypothesis: it is better
owner: me
endpoint: e
registry: r
unit: u
traffic: {units_per_day: 400}
success: {metric: correct, mde: 5pp, matures_after: 1d}
blind_after: 45m
"""


@pytest.fixture(name="small")
def _small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return path


def test_every_key_has_value_source_and_documentation():
    rows = explain(CHURN, EnvironmentSpec(name="local", local=True))
    assert [key.path for key in KEYS] == [row.key for row in rows]
    assert all(row.value and row.doc for row in rows)
    unused = {"success.better_or_equal", "success.futility", "success.reestimate", "success.sd", "metrics"}
    assert unused == {row.key for row in rows if row.source != "file"}


def test_sources_in_order_of_precedence(small):
    environment = EnvironmentSpec(
        name="e",
        defaults=EnvironmentDefaults(blind_after="1h", capture_delay="6h", instance=Instance(count=2)),
    )
    rows = {row.key: (row.value, row.source) for row in explain(small, environment)}
    assert rows["blind_after"] == ("45m", "file")
    assert rows["capture_delay"] == ("6h", "environment")
    assert rows["instance.count"] == ("2", "environment")
    assert rows["min_units"] == ("50", "default")
    assert rows["stages.promote"] == ("[75% 1d, 95%]", "default")
    assert not any(key.startswith("guardrails.") for key in rows)
    spec = load_rollout(small, environment=environment)
    assert spec.instance.count == 2


def test_what_is_explained_can_be_written_as_a_file(tmp_path):
    """A file made of the explained values resolves to the same spec."""
    environment = EnvironmentSpec(name="local", local=True)
    whole: dict = {}
    for row in explain(CHURN, environment):
        place = whole
        *above, name = row.key.split(".")
        for part in above:
            place = place.setdefault(part, {})
        place[name] = row.value if row.value.startswith(">=") else yaml.safe_load(row.value)
    path = tmp_path / "churn.yaml"
    path.write_text(yaml.safe_dump(whole), encoding="utf-8")
    assert load_rollout(CHURN, environment=environment) == load_rollout(path, environment=environment)


def test_the_committed_schema_is_the_generated_one():
    assert schema_text() == (CONFIGS / "rollout.schema.json").read_text(encoding="utf-8")


def test_the_schema_is_one_and_accepts_churn_and_a_small_file():
    jsonschema.Draft202012Validator.check_schema(file_schema())
    for text in (CHURN.read_text(encoding="utf-8"), SMALL):
        jsonschema.validate(json.loads(json.dumps(yaml.safe_load(text))), file_schema())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("rollout",), "../churn"),
        (("surprise",), 1),
        (("stages", "live", "min"), 7),
        (("success", "mde"), "50ms"),
        (("guardrails", "error_rate"), {}),
        (("success",), {"metric": "correct"}),
    ],
)
def test_the_schema_refuses_what_lint_refuses(path, value):
    content = yaml.safe_load(CHURN.read_text(encoding="utf-8"))
    place = content
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, file_schema())


def test_the_commented_file_has_every_key_with_a_comment():
    lines = [line.strip().removeprefix("# ") for line in CHURN.read_text(encoding="utf-8").splitlines()]
    names = {part for path in (*BY_PATH, *SECTIONS) for part in path.split(".")}
    for name in names:
        holding = [index for index, line in enumerate(lines) if f"{name}:" in line.split(" #")[0]]
        assert holding, f"{name} is not in churn.yaml"
        blocks = ("stages", "live", "success", "guardrails")
        assert name in blocks or any("#" in lines[index] for index in holding), f"{name} has no comment"


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(staged_rollout.spec.__path__)])
def test_examples_in_docstrings_are_true(name):
    result = doctest.testmod(importlib.import_module(f"staged_rollout.spec.{name}"))
    assert result.failed == 0
