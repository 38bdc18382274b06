"""The JSON schema of the rollout file, for editors: `configs/rollout.schema.json`.

It describes shapes. What holds between values, and everything about the environment, is judged by lint alone.
"""

from __future__ import annotations

import json
from typing import Any

from staged_rollout.spec.keys import BY_PATH, EITHER, OPTIONAL_SECTIONS, SECTIONS, children, describe

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def file_schema() -> dict[str, Any]:
    """The JSON schema of a rollout file, as plain data."""
    return {
        "$schema": SCHEMA_DIALECT,
        "title": "Staged Rollout: one rollout file",
        **_section(""),
    }


def schema_text() -> str:
    """The schema as it is committed."""
    return json.dumps(file_schema(), indent=2, ensure_ascii=False) + "\n"


def _section(section: str) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required: list[str] = []
    for name in children(section):
        path = f"{section}.{name}" if section else name
        if path in SECTIONS:
            properties[name] = {"description": SECTIONS[path], **_section(path)}
            due = bool(properties[name].get("required")) and path not in OPTIONAL_SECTIONS
        else:
            default, doc = describe(BY_PATH[path])
            due = BY_PATH[path].required
            note = doc if due else f"{doc}. Default: {default}"
            properties[name] = {"description": note, **BY_PATH[path].kind.schema}
        if due:
            required.append(name)
    whole: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
    given = {"not": {"type": "null"}}
    either = [{"required": [name], "properties": {name: given}} for name in EITHER.get(section, ())]
    return whole | ({"required": required} if required else {}) | ({"oneOf": either} if either else {})
