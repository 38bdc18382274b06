"""One page of a list operation."""

from __future__ import annotations

from typing import Any

from staged_rollout.servers.endpoint.aws_errors import ControlError
from staged_rollout.servers.endpoint.shapes import ListRequest


def page(member: str, rows: dict[str, dict[str, Any]], request: ListRequest) -> dict[str, Any]:
    """The page that a request asks for.

    Args:
        member: The member of the answer that holds the rows.
        rows: Name to row; each with a CreationTime.
        request: Filter, order and position.

    Raises:
        ControlError: the token is not one of ours.
    """
    wanted = request.name_contains.lower()
    found = [(name, row) for name, row in rows.items() if wanted in name.lower()]
    by_name = request.sort_by == "Name"
    found.sort(
        key=lambda item: (0.0 if by_name else item[1]["CreationTime"], item[0]),
        reverse=request.sort_order == "Descending",
    )
    token = request.next_token or "0"
    if not (token.isascii() and token.isdecimal()):
        raise ControlError("NextToken is not one that was given out.")
    start = int(token)
    end = start + request.max_results
    answer: dict[str, Any] = {member: [row for _, row in found[start:end]]}
    if end < len(found):
        answer["NextToken"] = str(end)
    return answer
