"""A rollout file read key by key: values where they could be read, findings where they could not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.findings import Finding, unknown_key
from staged_rollout.spec.grammar import GrammarError
from staged_rollout.spec.keys import BY_PATH, OPTIONAL_SECTIONS, SECTIONS, Key, children
from staged_rollout.spec.kinds import written
from staged_rollout.spec.metric_file import METRICS, read_metrics
from staged_rollout.spec.yaml_tree import Listing, Mapping, Node, Scalar

Source = Literal["file", "environment", "default"]


class UnreadError(LookupError):
    """A value that could not be read; what depends on it cannot be judged."""


@dataclass
class Draft:
    """What one file says.

    Args:
        file: The file, as it was named.
        environment: Its defaults stand below the file's values and above the models'.
        values: What the file says, by path.
        lines: Lines of keys and sections that are in the file, by path.
        texts: What was written, by path.
        unread: Paths, of keys and sections, that the file should have given readably and did not.
        findings: What is wrong so far.
    """

    file: str
    environment: EnvironmentSpec
    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)

    def __getitem__(self, path: str) -> Any:
        """The resolved value of a key.

        Raises:
            UnreadError: If the file holds it, or ought to, and it could not be read.
        """
        if any(path == gone or path.startswith(f"{gone}.") for gone in self.unread):
            raise UnreadError(path)
        if path in self.values:
            return self.values[path]
        found, value = environment_default(self.environment, path)
        return value if found else BY_PATH[path].default

    def source(self, path: str) -> Source:
        """Where the resolved value of a key comes from."""
        if path in self.values:
            return "file"
        return "environment" if environment_default(self.environment, path)[0] else "default"

    def has(self, path: str) -> bool:
        """Whether the file has the key or section."""
        return path in self.lines

    def line(self, path: str) -> int:
        """Line of the key, or of the nearest section above it that the file has."""
        while path and path not in self.lines:
            path = path.rpartition(".")[0]
        return self.lines.get(path, 1)

    def add(
        self, path: str, problem: str, accepts: str, *, severity: Literal["error", "warning"] = "error", value: str = ""
    ) -> None:
        """Add a finding about a key that was read."""
        shown = value or self.texts.get(path, "")
        if not shown and path in BY_PATH and path not in self.unread:
            shown = f"{BY_PATH[path].kind.render(self[path])} (default)"
        self.findings.append(Finding(self.file, self.line(path), path, shown, problem, accepts, severity))

    def nested(self) -> dict[str, Any]:
        """Every resolved value, in the shape of `RolloutSpec`."""
        whole: dict[str, Any] = {}
        for key in BY_PATH.values():
            section = key.path.rpartition(".")[0]
            if key.model is None or (section in OPTIONAL_SECTIONS and not self.has(section)):
                continue
            place = whole
            for part in key.path.split(".")[:-1]:
                place = place.setdefault(part, {})
            place[key.path.rpartition(".")[2]] = self[key.path]
        return whole


def environment_default(environment: EnvironmentSpec, path: str) -> tuple[bool, Any]:
    """Whether the environment sets a default for a key, and which."""
    value: Any = environment.defaults
    for part in path.split("."):
        if part not in type(value).model_fields:
            return False, None
        value = getattr(value, part)
        if value is None:
            return False, None
    return True, value


def read_draft(tree: Mapping, file: str, environment: EnvironmentSpec) -> Draft:
    """Read every key of a tree; nothing stops at the first finding."""
    draft = Draft(file, environment)
    _read_section(draft, "", tree)
    return draft


def _read_section(draft: Draft, section: str, tree: Mapping) -> None:
    known = children(section)
    for name, line, node in tree.entries:
        path = f"{section}.{name}" if section else name
        if name not in known:
            problem, accepts = unknown_key(name, known)
            draft.findings.append(Finding(draft.file, line, path, name, problem, accepts))
            continue
        draft.lines[path] = line
        if path in BY_PATH:
            _read_key(draft, BY_PATH[path], node)
        elif isinstance(node, Mapping):
            _read_section(draft, path, node)
        else:
            draft.unread.add(path)
            draft.add(path, "is not a mapping", f"the keys {', '.join(children(path))}", value=written(node))
    for path in _missing(draft, section, known):
        draft.unread.add(path)
        draft.add(path, "is missing", BY_PATH[path].kind.accepts)


def _missing(draft: Draft, section: str, known: tuple[str, ...]) -> Iterator[str]:
    for name in known:
        path = f"{section}.{name}" if section else name
        if draft.has(path) or path in OPTIONAL_SECTIONS:
            continue
        if path in SECTIONS:
            yield from _missing(draft, path, children(path))
        elif BY_PATH[path].required:
            yield path


def _read_key(draft: Draft, key: Key, node: Node) -> None:
    kind = key.kind
    before = len(draft.findings)
    value: Any = None
    if kind is METRICS:
        value = read_metrics(node, partial(_refuse_below, draft, key.path))
    elif isinstance(node, Scalar) and node.kind == "null":
        draft.texts[key.path] = "null"
        if not kind.nullable:
            _refuse(draft, key.path, node.line, GrammarError(node.text or "nothing", "stands here", kind.accepts))
    elif kind.item is None:
        draft.texts[key.path] = written(node)
        try:
            value = kind.read(node)
        except GrammarError as error:
            _refuse(draft, key.path, node.line, error)
    elif isinstance(node, Listing):
        value = _read_items(draft, key, node)
    else:
        _refuse(draft, key.path, node.line, GrammarError(written(node), "is not a list", kind.accepts))
    if len(draft.findings) > before:
        draft.unread.add(key.path)
    else:
        draft.values[key.path] = value
        if not isinstance(node, Scalar):
            draft.texts[key.path] = kind.render(value)


def _read_items(draft: Draft, key: Key, listing: Listing) -> tuple[Any, ...]:
    kind = key.kind
    if len(listing.items) < kind.least:
        _refuse(
            draft, key.path, listing.line, GrammarError("[]", "is too short", f"{kind.accepts}; at least {kind.least}")
        )
    values: list[Any] = []
    for index, node in enumerate(listing.items):
        path = f"{key.path}[{index}]"
        draft.lines[path] = node.line
        try:
            value = kind.read(node)
        except GrammarError as error:
            _refuse(draft, path, node.line, error)
            continue
        if kind.schema.get("uniqueItems") and value in values:
            _refuse(draft, path, node.line, GrammarError(written(node), "is here twice", "each item once"))
        values.append(value)
    return tuple(values)


def _refuse_below(draft: Draft, section: str, path: str, line: int, error: GrammarError) -> None:
    _refuse(draft, f"{section}.{path}" if path else section, line, error)


def _refuse(draft: Draft, path: str, line: int, error: GrammarError) -> None:
    draft.findings.append(Finding(draft.file, line, path, error.value, error.problem, error.accepts))
