"""Names that become paths and AWS resources: checked here before either is touched."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from staged_rollout.errors import RefusedError

_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_LIMIT = 63


def is_resource_name(name: object) -> bool:
    """Whether SageMaker would accept this as the name of an endpoint, config, model or variant.

    Source: the pattern and length of EndpointName and VariantName in botocore's model of `sagemaker`.
    """
    return isinstance(name, str) and len(name) <= _LIMIT and _NAME.fullmatch(name) is not None


def checked_name(name: str, what: str) -> str:
    """The name itself.

    Args:
        name: What a caller gave.
        what: What it names, for the message (`endpoint`).

    Raises:
        RefusedError: it is not 1 to 63 letters, digits and inner hyphens; it must reach neither path nor service.
    """
    if not is_resource_name(name):
        shown = name if len(name) <= _LIMIT else f"{name[:_LIMIT]}..."
        raise RefusedError(
            f"{what} == {shown!r}, must be 1 to {_LIMIT} letters, digits and hyphens, a letter or digit at both ends",
            name=name,
            what=what,
        )
    return name


def digest_of(text: str, length: int) -> str:
    """The first hexadecimal digits of a text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def slug(text: Any, length: int) -> str:
    """A readable piece of a resource name: letters, digits and single inner hyphens, at most `length` of them."""
    return re.sub(r"[^a-zA-Z0-9]+", "-", str(text))[:length].strip("-") or "x"
