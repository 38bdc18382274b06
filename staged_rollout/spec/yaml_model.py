"""A YAML file read straight into a pydantic model, with every validation error as a finding that has a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from staged_rollout.spec.findings import Finding, spec_error, unknown_key
from staged_rollout.spec.grammar import GrammarError
from staged_rollout.spec.yaml_tree import Listing, Mapping, Node, read_yaml, to_plain

ModelT = TypeVar("ModelT", bound=BaseModel)


def load_model(path: Path, model: type[ModelT]) -> ModelT:
    """Read and validate a file.

    Args:
        path: A YAML file.
        model: What it holds.

    Raises:
        SpecError: With all findings, if the file is not that.
    """
    tree, findings = read_yaml(path)
    if tree is None or findings:
        raise spec_error(str(path), findings)
    try:
        return model.model_validate(to_plain(tree))
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise spec_error(str(path), (_finding(path, tree, model, detail) for detail in details)) from None


def _finding(path: Path, tree: Mapping, model: type[BaseModel], detail: ErrorDetails) -> Finding:
    place = detail["loc"]
    key = ".".join(str(part) for part in place)
    context: dict[str, Any] = detail.get("ctx", {})
    cause = context.get("error")
    value = "" if isinstance(detail["input"], dict | list) else str(detail["input"])
    problem, accepts = detail["msg"][:1].lower() + detail["msg"][1:], _described(model, place)
    if detail["type"] == "missing":
        problem, value = "is missing", ""
    elif detail["type"] == "extra_forbidden":
        name = str(place[-1])
        known = _at(model, place[:-1])
        problem, accepts = unknown_key(name, known.model_fields if known else ())
        value = name
    elif isinstance(cause, GrammarError):
        value, problem, accepts = cause.value, cause.problem, cause.accepts
    elif isinstance(cause, ValueError):
        problem = str(cause)
    elif "expected" in context:
        problem, accepts = "is not one of them", str(context["expected"])
    return Finding(str(path), _line(tree, place), key, value, problem, accepts)


def _line(tree: Mapping, place: tuple[int | str, ...]) -> int:
    node: Node = tree
    line = tree.line
    for part in place:
        if isinstance(node, Mapping) and (found := node.get(str(part))) is not None:
            line, node = found
        elif isinstance(node, Listing) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
            line = node.line
        else:
            break
    return line


def _at(model: type[BaseModel] | None, place: tuple[int | str, ...]) -> type[BaseModel] | None:
    for part in place:
        if isinstance(part, int):
            continue  # an item of a list is of the list's own model
        field = model.model_fields.get(str(part)) if model is not None else None
        annotation = field.annotation if field is not None else None
        choices = [annotation, *getattr(annotation, "__args__", ())]
        model = next((one for one in choices if isinstance(one, type) and issubclass(one, BaseModel)), None)
    return model


def _described(model: type[BaseModel], place: tuple[int | str, ...]) -> str:
    for depth in range(len(place), 0, -1):
        holder = _at(model, place[: depth - 1])
        field = holder.model_fields.get(str(place[depth - 1])) if holder is not None else None
        if field is not None and field.description:
            return field.description
    return "see configs/environments and docs"
