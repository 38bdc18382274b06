"""Flows are thin, load as Prefect loads them, and each is deployed once."""

from __future__ import annotations

import ast
import importlib.machinery
import inspect
import re
import sys
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint

ROOT = Path(__file__).parents[2]
FLOW_FILES = sorted(path for path in (ROOT / "flows").glob("*.py") if path.stem != "__init__")
TASK_FILES = sorted(path for path in (ROOT / "tasks").glob("*.py") if path.stem != "__init__")
PREFECT_YAML: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
DEPLOYMENTS: dict[str, dict[str, Any]] = {entry["name"]: entry for entry in PREFECT_YAML["deployments"]}
TICKS = {"sweep", "watch", "poll", "maintain"}

each_flow_file = pytest.mark.parametrize("path", FLOW_FILES, ids=lambda path: path.stem)
each_deployment = pytest.mark.parametrize("name", sorted(DEPLOYMENTS))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def decorated(tree: ast.Module, decorator: str) -> list[str]:
    """Names of module-level functions that carry a decorator, bare or called."""
    names = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            used = [mark.func if isinstance(mark, ast.Call) else mark for mark in node.decorator_list]
            if any(isinstance(mark, ast.Name) and mark.id == decorator for mark in used):
                names.append(node.name)
    return names


def imports_of(tree: ast.Module) -> set[str]:
    """Every module that a file imports, at any depth of its code, with the names taken from it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def flow_of(name: str) -> Flow[..., Any]:
    """The flow of a deployment, loaded by path as a worker loads it."""
    file, function = DEPLOYMENTS[name]["entrypoint"].split(":")
    return load_flow_from_entrypoint(f"{ROOT / file}:{function}")


@each_flow_file
def test_flow_file_name_is_unclaimed(path):
    """Prefect puts flows/ first on sys.path: a flow file must not hide another module."""
    search = [folder for folder in sys.path if not folder.rstrip("/").endswith("/flows")]
    assert path.stem not in sys.stdlib_module_names
    assert importlib.machinery.PathFinder.find_spec(path.stem, search) is None


@each_flow_file
def test_flow_file_has_one_flow_named_after_it_and_one_deployment(path):
    assert [path.stem] == decorated(tree_of(path), "flow")
    entrypoint = f"flows/{path.name}:{path.stem}"
    assert 1 == sum(entry["entrypoint"] == entrypoint for entry in DEPLOYMENTS.values())


@each_flow_file
def test_flow_file_holds_order_and_branching_only(path):
    tree = tree_of(path)
    assert [] == [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    heavy = ("pandas", "boto3", "sagemaker", "mlflow", "staged_rollout.adapters", "staged_rollout.operations")
    assert [] == sorted(name for name in imports_of(tree) if name.startswith(heavy))


@each_deployment
def test_every_entrypoint_loads_as_a_worker_loads_it(name):
    flow = flow_of(name)
    file, function = DEPLOYMENTS[name]["entrypoint"].split(":")
    assert function == flow.fn.__name__
    assert Path(file).stem.replace("_", "-") == flow.name
    given = set(DEPLOYMENTS[name]["parameters"])
    assert given <= set(inspect.signature(flow.fn).parameters)


@each_deployment
def test_every_deployment_says_what_it_is_for(name):
    entry = DEPLOYMENTS[name]
    assert entry["description"]
    assert entry["tags"]
    assert "rollouts" == entry["work_pool"]["name"]
    assert entry["parameters"]["environment"].startswith("{{ $STAGED_ROLLOUT_ENVIRONMENT")


def test_names_of_deployments_are_unique():
    assert len(PREFECT_YAML["deployments"]) == len(DEPLOYMENTS)


def test_prefect_yaml_names_the_locked_prefect():
    import prefect

    assert prefect.__version__ == PREFECT_YAML["prefect-version"]


def _cron(text: str) -> str:
    """A schedule as `make deploy` sends it: its variable's default stands in the Makefile."""
    variable = re.fullmatch(r"\{\{ \$(\w+) \}\}", text)
    if variable is None:
        return text
    default = re.search(rf"{variable[1]}:-([^}}]+)\}}", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert default, f"make deploy gives {variable[1]} no default"
    return default[1]


def test_ticks_have_schedules_with_a_time_zone_and_a_slug():
    assert TICKS == {name for name, entry in DEPLOYMENTS.items() if entry.get("schedules")}
    for name in TICKS:
        for schedule in DEPLOYMENTS[name]["schedules"]:
            assert ZoneInfo(schedule["timezone"])
            assert schedule["slug"]
            assert 5 == len(_cron(schedule["cron"]).split())


def test_ticks_never_overlap_with_themselves():
    """CANCEL_NEW: a tick that finds the one before still at work gives way to it."""
    for name in TICKS:
        assert {"limit": 1, "collision_strategy": "CANCEL_NEW"} == DEPLOYMENTS[name]["concurrency_limit"]


@pytest.mark.parametrize("name", ["operate", "restore", "advance", "register"])
def test_what_serves_one_rollout_has_no_concurrency_limit(name):
    """With a limit, one rollout's run would cancel or delay another's rollback."""
    assert "concurrency_limit" not in DEPLOYMENTS[name]
    assert "concurrency_limit" not in DEPLOYMENTS[name]["work_pool"]


def test_a_new_model_version_starts_register_with_plain_strings():
    """A parameter that a trigger fills must be text that the flow accepts, or the event starts no run."""
    (trigger,) = DEPLOYMENTS["register"]["triggers"]
    assert ["model-registry.version.created"] == trigger["expect"]
    assert trigger["enabled"]
    assert ["register"] == [name for name, entry in DEPLOYMENTS.items() if entry.get("triggers")]
    parameters = trigger["parameters"]
    assert "{{ event.payload.rollout_file }}" == parameters["rollout_file"]
    assert "{{ event.payload.version }}" == parameters["version"]
    assert all(isinstance(value, str) for value in parameters.values())
    signature = inspect.signature(flow_of("register").fn)
    assert set(signature.parameters) == set(parameters)


@pytest.mark.parametrize("name", ["operate", "restore", "register"])
def test_every_field_of_a_form_has_a_description(name):
    properties = flow_of(name).parameters.properties
    assert [] == [field for field, schema in properties.items() if not schema.get("description")]


def test_every_task_is_used_by_a_flow():
    """A task exists only if a flow needs it."""
    used: set[str] = set()
    for path in FLOW_FILES:
        used |= imports_of(tree_of(path))
    tasks = {f"tasks.{path.stem}.{name}" for path in TASK_FILES for name in decorated(tree_of(path), "task")}
    assert tasks
    assert set() == tasks - used


def test_tasks_call_operations_and_never_adapters_but_for_the_one_place_that_opens_a_platform():
    adapters = {
        path.stem: sorted(name for name in imports_of(tree_of(path)) if name.startswith("staged_rollout.adapters"))
        for path in TASK_FILES
    }
    users = {stem: names for stem, names in adapters.items() if names}
    assert {
        "platforms": ["staged_rollout.adapters.platform", "staged_rollout.adapters.platform.open_platform"]
    } == users
