"""The documents say what is true: commands, links, lists and examples are held against the code."""

from __future__ import annotations

import ast
import doctest
import importlib.util
import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from staged_rollout.adapters.ledger_tables import events
from staged_rollout.adapters.local_servers import RunFile
from staged_rollout.adapters.platform import open_platform
from staged_rollout.assignment import AssignmentDocument
from staged_rollout.cli.main import app
from staged_rollout.evidence import Evidence
from staged_rollout.servers.router.prediction_log import PredictionRow
from staged_rollout.servers.simulated_time import HEADER
from staged_rollout.spec.environment import load_environment
from staged_rollout.spec.home import ENV_ENVIRONMENT, ENV_HOME, ENV_LEDGER, Home
from staged_rollout.spec.keys import KEYS, describe
from staged_rollout.spec.locations import ENV_CONFIGS
from staged_rollout.state import EventType, State
from staged_rollout.state.model import TRANSITIONS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "demo").rglob("*.md")])
RECORDS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
PROGRAM = get_command(app)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
ALLOWED_ADDRESSES = ("https://modeldata.tidymodels.org", "s3://BUCKET/")
"""Where the demo's data comes from: its licence asks for naming it; and a place on S3 that is nobody's."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_TEST = re.compile(r"`(tests/\S+\.py)::(test_\w+)`")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
each_record = pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)


def read(page: Path | str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def fences(text: str, *languages: str) -> list[str]:
    return [body for language, body in _FENCE.findall(text) if language in languages]


def without_fences(text: str) -> str:
    return _FENCE.sub("", text)


def inline_code(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", without_fences(text))


def section(page: str, heading: str) -> str:
    """The text below a heading, up to the next one of its level or above."""
    text = read(page)
    found = [match for match in _HEADING.finditer(text) if match[2] == heading]
    assert len(found) == 1, f"{page} has {len(found)} headings {heading!r}"
    rest = text[found[0].end() :]
    after = next((match for match in _HEADING.finditer(rest) if len(match[1]) <= len(found[0][1])), None)
    return rest[: after.start()] if after else rest


def first_column(text: str) -> list[str]:
    """The names in backticks of the first column of the first table, in order."""
    rows = re.findall(r"^\|(.*)\|$", text, re.MULTILINE)
    names: list[str] = []
    for row in rows[2:]:
        names += re.findall(r"`([^`]+)`", row.split("|")[0])
    return names


def shell_lines(text: str) -> Iterator[str]:
    for body in fences(text, "sh"):
        yield from (line for line in body.splitlines() if line.strip())
    for body in fences(text, "console"):
        yield from (line.removeprefix("$ ") for line in body.splitlines() if line.startswith("$ "))


def commands(text: str) -> list[list[str]]:
    """Every `staged-rollout ...` that a page shows, as words; comments are left out."""
    shown = [*shell_lines(text), *inline_code(text)]
    split = [shlex.split(line, comments=True) for line in shown if re.match(r"(\S*/)?staged-rollout\b", line)]
    return [words[1:] for words in split]


def test_there_are_documents():
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md"} <= {page.name for page in PAGES}
    assert 9 <= len(RECORDS)
    assert sum(len(commands(read(page))) for page in PAGES) > 20


@each_page
def test_every_command_that_is_shown_can_be_given(page):
    """Command, options and arguments are parsed by the program itself; nothing is run."""
    for words in commands(read(page)):
        command: Any = PROGRAM
        rest = list(words)
        while rest and hasattr(command, "commands"):
            if rest[0].startswith("--"):
                known = {option for parameter in command.params for option in parameter.opts}
                assert rest[0] in known, words
                rest = rest[2:]
                continue
            assert rest[0] in command.commands, words
            command = command.commands[rest.pop(0)]
        if rest and not hasattr(command, "commands"):
            command.make_context(str(command.name), rest, resilient_parsing=False).close()


@each_page
def test_every_make_target_that_is_shown_exists(page):
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    text = read(page)
    shown = [line for line in (*shell_lines(text), *inline_code(text)) if line.startswith("make ")]
    assert [] == sorted({line for line in shown if line.split()[1] not in targets})
    variables = {name for line in shown for name in re.findall(r"\b([A-Z]+)=", line)}
    assert set() == {name for name in variables if f"$({name}" not in MAKEFILE}


def test_every_command_of_the_program_is_in_the_readme():
    rows = first_column(section("README.md", "The command line"))
    assert set(PROGRAM.commands) == {name.split()[0] for name in rows}


def slugs(text: str) -> set[str]:
    """Anchors of a page's headings, as code hosts make them."""
    titles = [title for _, title in _HEADING.findall(_FENCE.sub("", text))]
    plain = [re.sub(r"[`*\[\]()]", "", title).lower() for title in titles]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in plain}


@each_page
def test_every_link_leads_somewhere(page):
    broken = []
    for target in _LINK.findall(without_fences(read(page))):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in slugs(file.read_text(encoding="utf-8"))):
            broken.append(target)
    assert [] == broken


@each_page
def test_every_file_that_is_named_exists(page):
    """What looks like a path into this repository is one."""
    folders = ("staged_rollout/", "flows/", "tasks/", "demo/", "configs/", "sql/", "tests/", "docs/", ".ci/")
    named = {word.split("::")[0] for word in inline_code(read(page)) if word.startswith(folders)}
    named = {word for word in named if not re.search(r"[A-Z]{3}|[*=]", Path(word).stem) and " " not in word}
    assert [] == sorted(name for name in named if not any(ROOT.glob(name.rstrip("/"))))


@each_page
def test_no_network_address_and_no_path_of_a_machine(page):
    text = read(page)
    addresses = re.findall(r"\b(?:https?|s3)://[^\s)>`]+", text)
    assert [] == [address for address in addresses if not address.startswith(ALLOWED_ADDRESSES)]
    assert [] == re.findall(r"(?<![\w./])/(?:home|root|tmp|work|usr|Users)/\S*", text)


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if ">>> " in page.read_text(encoding="utf-8")],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_examples_run(page):
    failures, tried = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert tried
    assert 0 == failures


@each_page
def test_python_that_is_shown_compiles_and_imports_what_exists(page):
    for body in fences(read(page), "python"):
        if ">>> " in body:
            continue
        for node in ast.walk(ast.parse(body)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("staged_rollout"):
                module = __import__(str(node.module), fromlist=["x"])
                assert [] == [alias.name for alias in node.names if not hasattr(module, alias.name)]


@each_record
def test_a_decision_record_has_its_parts_and_names_tests_that_exist(record):
    text = read(record)
    assert re.match(rf"# {record.stem[:4]}: \S", text)
    assert ["Context", "Options", "Decision", "Consequences", "Guarded by"] == re.findall(
        r"^## (.+)$", text, re.MULTILINE
    )
    tests = _TEST.findall(section(record.relative_to(ROOT).as_posix(), "Guarded by"))
    assert tests
    for file, name in tests:
        defined = {node.name for node in ast.walk(ast.parse(read(file))) if isinstance(node, ast.FunctionDef)}
        assert name in defined, f"{file}::{name}"


def test_every_decision_record_is_listed():
    assert [record.name for record in RECORDS] == re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", read("docs/adr/README.md"))


def test_pins_are_those_of_the_project():
    """A pin whose reason is told is a pin that is there."""
    import tomllib

    declared = tomllib.loads(read("pyproject.toml"))["project"]["dependencies"]
    for pin in first_column(section("docs/adr/0002-pins.md", "Decision")):
        name, bound = re.match(r"([\w-]+)(.+)", pin).groups()
        (found,) = [entry for entry in declared if re.match(rf"{name}\b", entry)]
        assert found.endswith(bound), (pin, found)


def pinned(page: str, heading: str) -> list[str]:
    return first_column(section(page, heading))


def test_ledger_columns_are_pinned():
    assert [column.name for column in events.columns] == pinned("docs/ledger.md", "Columns")


def test_event_types_are_pinned():
    assert [str(kind) for kind in EventType] == pinned("docs/ledger.md", "Event types")


def test_router_log_columns_are_pinned():
    assert list(PredictionRow.__annotations__) == pinned("docs/architecture.md", "Router log")


def test_assignment_document_is_pinned():
    assert list(AssignmentDocument.model_fields) == pinned("docs/architecture.md", "Assignment document")
    assert f"`{AssignmentDocument.model_fields['document'].default}`" in section(
        "docs/architecture.md", "Assignment document"
    )


def test_evidence_schema_is_pinned():
    assert list(Evidence.model_fields) == pinned("docs/architecture.md", "Evidence")
    assert f"version {Evidence.model_fields['version'].default}," in section("docs/architecture.md", "Evidence")


def test_run_file_is_pinned(tmp_path):
    RunFile("http", "http", {}).write(Home(tmp_path))
    assert list(yaml.safe_load(Home(tmp_path).run_file.read_text())) == pinned("docs/architecture.md", "run.json")


def test_environment_variables_and_options_are_pinned():
    text = section("docs/architecture.md", "Options and environment variables")
    assert {ENV_ENVIRONMENT, ENV_HOME, ENV_CONFIGS, ENV_LEDGER} == set(first_column(text))
    options = {option for parameter in PROGRAM.params for option in parameter.opts}
    shown = {name for name in inline_code(text) if name.startswith("--")}
    assert shown
    assert shown <= options


def test_layout_below_the_home_is_pinned(tmp_path):
    home = Home(tmp_path)
    places = {name: getattr(home, name) for name, kind in vars(Home).items() if isinstance(kind, property)}
    notifications: Any = open_platform(load_environment("local", ROOT / "configs"), home).notifier
    files = {*places.values(), Path(home.ledger_url().removeprefix("sqlite:///")), notifications._path}
    names = {path.relative_to(tmp_path).as_posix() for path in files}
    assert names == set(pinned("docs/architecture.md", "Below the home"))


def test_header_of_simulated_time_is_pinned():
    assert f"`{HEADER}`" in section("docs/architecture.md", "Simulated time")


def test_layers_are_those_that_the_tool_holds():
    import tomllib

    contracts = tomllib.loads(read("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    (inner,) = [contract["layers"] for contract in contracts if contract.get("containers") == ["staged_rollout"]]
    (shown,) = fences(section("docs/architecture.md", "Layers"), "text")
    assert inner == shown.split("\n")[:-1]


def test_states_and_their_moves_are_drawn_as_they_are():
    (drawn,) = fences(section("docs/architecture.md", "States"), "mermaid")
    arrows = set(re.findall(r"^ +(\w+) --> (\w+)$", drawn, re.MULTILINE))
    assert {(str(begin), str(end)) for begin, ends in TRANSITIONS.items() for end in ends} == arrows
    told = section("docs/architecture.md", "States")
    assert [] == [str(state) for state in State if not re.search(rf"^\|[^|]*\b{state}\b", told, re.MULTILINE)]


def test_flows_are_those_that_are_deployed():
    deployments = yaml.safe_load(read("prefect.yaml"))["deployments"]
    deployed = [(entry["name"], entry["entrypoint"].rpartition(":")[2]) for entry in deployments]
    shown = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", section("docs/architecture.md", "Flows"), re.MULTILINE)
    assert deployed == shown


def rollout_keys() -> Iterable[str]:
    for key in KEYS:
        default, meaning = describe(key)
        shown = default if key.required else f"`{default}`"
        yield f"| `{key.path}` | {shown} | {key.kind.accepts} | {meaning} |"


def test_every_key_of_the_rollout_file_is_told_as_it_is():
    rows = re.findall(r"^\| `.*$", section("docs/rollout-file.md", "Every key"), re.MULTILINE)
    assert list(rollout_keys()) == rows


def test_grammar_that_is_shown_is_read():
    from staged_rollout.spec import grammar

    readers: dict[str, Any] = {
        "duration": grammar.parse_duration,
        "share": grammar.parse_share,
        "split": grammar.parse_split,
        "canary step": grammar.parse_canary_step,
        "promote step": grammar.parse_promote_step,
        "looks": grammar.parse_looks,
        "margin": lambda text: grammar.parse_margin(text, ("absolute", "relative", "ms", "value")),
        "lower limit": lambda text: grammar.parse_threshold(text.strip('"')),
        "what a win does": grammar.parse_win,
        "spending": grammar.parse_spending,
        "freeze window": grammar.parse_freeze,
    }
    table = section("docs/rollout-file.md", "Grammar")
    rows = [[cell.strip() for cell in row.split("|")] for row in re.findall(r"^\|(.*)\|$", table, re.MULTILINE)[2:]]
    assert list(readers) == [row[0] for row in rows]
    for what, written, _ in rows:
        for text in re.findall(r"`([^`\[]+)`", written):
            readers[what](text)


def test_wheel_has_a_licence_and_a_readme():
    assert "Apache License" in read("LICENSE")
    assert "limitations under the License." in read("LICENSE")


def test_modules_that_are_started_by_name_exist():
    shown = {name for page in PAGES for name in re.findall(r"python -m ([\w.]+)", read(page))}
    assert [] == sorted(name for name in shown if importlib.util.find_spec(name) is None)
