"""Files that nobody vouches for."""

from __future__ import annotations

import time

import pytest

from staged_rollout.errors import SpecError
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.load import load_rollout
from staged_rollout.spec.yaml_tree import MAX_BYTES, read_yaml, to_plain

LOCAL = EnvironmentSpec(name="local", local=True)

HOSTILE = {
    "python tag": (b"a: 1\nb: !!python/object/apply:os.system ['true']\n", 2, "is a tag"),
    "own tag": (b"a: !secret x\n", 1, "is a tag"),
    "tag on a key's map": (b"a: !!set {b}\n", 1, "is a tag"),
    "alias": (b"a: &x [1]\nb: *x\n", 1, "anchor or alias"),
    "undefined alias": (b"a: 1\nb: *x\n", 2, "anchor or alias"),
    "billion laughs": (b"a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n", 1, "anchor or alias"),
    "itself": (b"a: &a [*a]\n", 1, "anchor or alias"),
    "deep list": (b"a: " + b"[" * 5000 + b"]" * 5000, 1, "nested deeper than 20"),
    "deep map": (b"".join(b" " * n + b"a:\n" for n in range(60)), 20, "nested deeper than 20"),
    "many values": (b"a: [" + b"1," * 30_000 + b"]", 1, "more than 20,000 values"),
    "large": (b"# " + b"x" * MAX_BYTES, 1, "larger than 1,000,000 bytes"),
    "not utf-8": (b"a: 1\nb: \xff\n", 2, "not UTF-8"),
    "control characters": (b"a: \x00\n", 1, "not YAML"),
    "two documents": (b"a: 1\n---\nb: 2\n", 2, "not YAML"),
    "unclosed": (b"a: [1\nb: 2\n", 2, "not YAML"),
    "tab": (b"a:\n\t- 1\n", 2, "not YAML"),
    "list": (b"- a\n- b\n", 1, "not a mapping"),
    "nothing": (b"", 1, "not a mapping"),
    "number": (b"3\n", 1, "not a mapping"),
    "list as key": (b"a: 1\n? [b, c]\n: 2\n", 2, "a key is a list"),
    "key twice": (b"a: 1\nb: 2\na: 3\n", 3, "twice, first on line 1"),
}


@pytest.mark.parametrize(("content", "line", "problem"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_yaml_is_a_finding_with_a_line(tmp_path, content, line, problem):
    path = tmp_path / "hostile.yaml"
    path.write_bytes(content)
    begun = time.process_time()
    _, findings = read_yaml(path)
    assert time.process_time() - begun < 5
    assert line == findings[0].line
    assert problem in findings[0].problem
    with pytest.raises(SpecError):
        load_rollout(path, environment=LOCAL)


def test_a_file_that_is_not_there_and_a_folder_are_findings(tmp_path):
    for path in (tmp_path / "missing.yaml", tmp_path):
        tree, (finding,) = read_yaml(path)
        assert tree is None
        assert "does not exist, or is not a file" in finding.problem


def test_scalars_keep_their_spelling(tmp_path):
    path = tmp_path / "spelling.yaml"
    path.write_text("a: no\nb: 1:30\nc: 010\nd: 2026-01-01\ne: '5'\nf: 1_000\ng: .inf\nh: 12\n", encoding="utf-8")
    tree, findings = read_yaml(path)
    assert findings == ()
    kinds = {name: (node.text, node.kind) for name, _, node in tree.entries}
    assert kinds == {
        "a": ("no", "bool"),
        "b": ("1:30", "text"),
        "c": ("010", "text"),
        "d": ("2026-01-01", "text"),
        "e": ("5", "text"),
        "f": ("1_000", "text"),
        "g": (".inf", "text"),
        "h": ("12", "number"),
    }


def test_plain_data(tmp_path):
    path = tmp_path / "plain.yaml"
    path.write_text("\ufeffa: {b: [1, 2.5, yes, null, x]}\n", encoding="utf-8")
    tree, findings = read_yaml(path)
    assert findings == ()
    assert to_plain(tree) == {"a": {"b": [1, 2.5, True, None, "x"]}}
