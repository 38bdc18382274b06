"""YAML read as text with line numbers, from a file that nobody vouches for.

The file is parsed into nodes and never constructed: a tag can build nothing, and the spelling stays as it was written
(`no` is not False, `1:30` is not 90). Size, depth and the number of nodes are limited, and aliases are refused, so that
no small file becomes a large tree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from staged_rollout.spec.findings import Finding

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_NODES = 20_000
_STANDARD = "tag:yaml.org,2002:"
_KINDS: dict[str, Literal["text", "number", "bool", "null"]] = {
    "str": "text",
    "timestamp": "text",
    "int": "number",
    "float": "number",
    "bool": "bool",
    "null": "null",
}
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,20})?")


@dataclass(frozen=True)
class Scalar:
    """One value.

    Args:
        line: Counted from 1.
        text: As written, without its quotes.
        kind: What YAML takes it for. A number is one only in plain decimal digits.
    """

    line: int
    text: str
    kind: Literal["text", "number", "bool", "null"]


@dataclass(frozen=True)
class Listing:
    """A list of nodes."""

    line: int
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Mapping:
    """Keys in the order of the file: (key, line of the key, node). Of repeated keys the first stays."""

    line: int
    entries: tuple[tuple[str, int, Node], ...]

    def get(self, key: str) -> tuple[int, Node] | None:
        """The line of a key and its node."""
        return next(((line, node) for name, line, node in self.entries if name == key), None)


Node = Scalar | Listing | Mapping


class _RefusedYamlError(Exception):
    def __init__(self, line: int, value: str, problem: str, accepts: str) -> None:
        super().__init__(problem)
        self.line, self.value, self.problem, self.accepts = line, value, problem, accepts


class _Loader(yaml.SafeLoader):
    """PyYAML's parser and composer, with limits while nodes are made."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        peek: Callable[[], Any] = self.peek_event
        event = peek()
        line = event.start_mark.line + 1
        self.nodes += 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            name = f"{'*' if isinstance(event, yaml.AliasEvent) else '&'}{event.anchor}"
            raise _RefusedYamlError(line, name, "is an anchor or alias", "the value written out where it belongs")
        if self.nodes > MAX_NODES:
            raise _RefusedYamlError(line, "", f"more than {MAX_NODES:,} values", f"at most {MAX_NODES:,} values")
        if self.depth >= MAX_DEPTH:
            raise _RefusedYamlError(line, "", f"nested deeper than {MAX_DEPTH}", f"at most {MAX_DEPTH} levels")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def read_yaml(path: Path) -> tuple[Mapping | None, tuple[Finding, ...]]:
    """Read one file that holds one mapping.

    Args:
        path: The file; at most 1 MB of UTF-8.

    Returns:
        The tree, or None if the file is no YAML mapping at all, and what was found on the way.
    """
    file = str(path)
    try:
        text = _text(path)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except _RefusedYamlError as error:
        return None, (Finding(file, error.line, "", error.value, error.problem, error.accepts),)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(part for part in (error.context, error.problem) if part)
        return None, (Finding(file, mark.line + 1 if mark else 1, "", "", f"not YAML: {problem}", "one YAML mapping"),)
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        return None, (Finding(file, 1, "", "", f"not YAML: {problem}", "one YAML mapping"),)
    if not isinstance(node, yaml.MappingNode):
        return None, (Finding(file, 1, "", "", "the file is not a mapping of keys to values", "one YAML mapping"),)
    findings: list[Finding] = []
    tree = _Converter(file, findings).mapping(node, "")
    return tree, tuple(findings)


def to_plain(node: Node) -> Any:
    """The tree as dicts, lists, texts, numbers, booleans and None."""
    if isinstance(node, Mapping):
        return {key: to_plain(child) for key, _, child in node.entries}
    if isinstance(node, Listing):
        return [to_plain(child) for child in node.items]
    if node.kind == "number":
        return float(node.text) if "." in node.text else int(node.text)
    return {"bool": node.text.lower() in ("true", "yes", "on"), "null": None}.get(node.kind, node.text)


def _text(path: Path) -> str:
    accepts = f"a UTF-8 file of at most {MAX_BYTES:,} bytes"
    if not path.is_file():
        raise _RefusedYamlError(1, "", "the file does not exist, or is not a file", accepts)
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise _RefusedYamlError(1, "", f"the file cannot be read ({error.strerror})", accepts) from error
    if len(content) > MAX_BYTES:
        raise _RefusedYamlError(1, "", f"the file is larger than {MAX_BYTES:,} bytes", accepts)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _RefusedYamlError(line, "", "the file is not UTF-8", accepts) from error


class _Converter:
    """Turns PyYAML's nodes into ours, and collects what it finds on the way."""

    def __init__(self, file: str, findings: list[Finding]) -> None:
        self.file = file
        self.findings = findings

    def node(self, node: yaml.Node, key: str) -> Node:
        """Any node."""
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, key)
        line = node.start_mark.line + 1
        if isinstance(node, yaml.SequenceNode):
            self._plain_tag(node, "seq", key)
            items = (self.node(child, f"{key}[{index}]") for index, child in enumerate(node.value))
            return Listing(line, tuple(items))
        kind = _KINDS.get(node.tag.removeprefix(_STANDARD), "text")
        if node.tag.removeprefix(_STANDARD) not in (*_KINDS, "merge", "value"):
            self._refuse_tag(node, key)
        if kind == "number" and not _DECIMAL.fullmatch(node.value):
            kind = "text"
        return Scalar(line, node.value, kind)

    def mapping(self, node: yaml.MappingNode, key: str) -> Mapping:
        """A mapping; keys that are no text, or come twice, are findings."""
        self._plain_tag(node, "map", key)
        seen: dict[str, int] = {}
        return Mapping(node.start_mark.line + 1, tuple(self._entries(node, key, seen)))

    def _entries(self, node: yaml.MappingNode, key: str, seen: dict[str, int]) -> Iterator[tuple[str, int, Node]]:
        for name, child in node.value:
            line = name.start_mark.line + 1
            if not isinstance(name, yaml.ScalarNode):
                self._add(line, key, "", "a key is a list or a mapping", "keys that are plain words")
                continue
            path = f"{key}.{name.value}" if key else name.value
            if name.value in seen:
                problem = f"is here twice, first on line {seen[name.value]}"
                self._add(line, path, name.value, problem, "each key once")
                continue
            seen[name.value] = line
            yield name.value, line, self.node(child, path)

    def _plain_tag(self, node: yaml.Node, kind: str, key: str) -> None:
        if node.tag != _STANDARD + kind:
            self._refuse_tag(node, key)

    def _refuse_tag(self, node: yaml.Node, key: str) -> None:
        self._add(node.start_mark.line + 1, key, str(node.tag), "is a tag", "plain YAML without tags")

    def _add(self, line: int, key: str, value: str, problem: str, accepts: str) -> None:
        self.findings.append(Finding(self.file, line, key, value, problem, accepts))
