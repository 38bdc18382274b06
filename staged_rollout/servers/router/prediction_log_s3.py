"""The flat prediction log on S3, for a router that has no disk of its own: one object per request."""

from __future__ import annotations

import sys
import uuid
from datetime import datetime

import orjson

from staged_rollout.adapters.resource_names import checked_name
from staged_rollout.adapters.s3_place import S3Place
from staged_rollout.errors import PlatformError
from staged_rollout.servers.router.prediction_log import PredictionRow

NOT_ON_S3 = "staged_rollout_row"
"""The member under which a row that S3 did not take is printed, with `endpoint` beside it."""
_ATTEMPTS = 2


class S3PredictionLog:
    """Writes each row as an object of its own, `predictions/ENDPOINT/yyyy-mm-dd/UUID.jsonl`, before it is answered.

    A row that S3 does not take is printed on standard output, which Lambda hands to CloudWatch Logs: it is late then,
    and not lost.

    Args:
        place: Where logs lie (`aws.logs` of the environment).
    """

    def __init__(self, place: S3Place) -> None:
        self._place = place

    def write(self, endpoint: str, at: datetime, row: PredictionRow) -> None:
        """Write a row.

        Raises:
            OSError: S3 did not take it, and it was printed.
        """
        folder = f"predictions/{checked_name(endpoint, 'endpoint')}/{at:%Y-%m-%d}"
        line = orjson.dumps(row) + b"\n"
        try:
            for _ in range(_ATTEMPTS):
                # A name of its own for each attempt: containers that are started from one snapshot share all state.
                # When the first one was written after all, ingest takes one of two rows with one request_id.
                if self._place.put(f"{folder}/{uuid.uuid4().hex}.jsonl", line, expected=None) is not None:
                    return
        except PlatformError as error:
            reason = str(error)
        else:
            reason = f"{self._place.uri(folder)}: two new names were taken"
        sys.stdout.write(orjson.dumps({NOT_ON_S3: row, "endpoint": endpoint}).decode() + "\n")
        sys.stdout.flush()
        raise OSError(reason)
