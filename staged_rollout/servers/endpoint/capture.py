"""Data Capture: one JSON line per call, in SageMaker's key layout.

`HOME/capture/ENDPOINT/VARIANT/yyyy/mm/dd/hh/FILE.jsonl`. A shadow's calls lie under the shadow variant's name. A line
is in the kernel's hands before the call is answered, so killing the process loses none that was.
"""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from staged_rollout.servers.endpoint.shapes import CaptureContentTypeHeader, DataCaptureConfig
from staged_rollout.servers.line_files import LineFiles

OUTPUT_TYPE = "application/json"


@dataclass(frozen=True)
class Call:
    """One call of an endpoint, as it is captured.

    Attributes:
        endpoint: Its name.
        event_id: The call's own id.
        content_type: Of the body.
        body: What was sent.
        inference_id: The caller's id, or None.
        custom_attributes: The caller's text, or None.
        at: When it came, UTC.
    """

    endpoint: str
    event_id: str
    content_type: str
    body: bytes
    inference_id: str | None
    custom_attributes: str | None
    at: datetime


class Capture:
    """Writes calls and answers.

    Args:
        folder: Where they lie (`Home.capture`).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = LineFiles()
        self._name = f"{uuid.uuid4()}.jsonl"

    def record(self, variant: str, config: DataCaptureConfig, call: Call, output: bytes) -> None:
        """Write one line.

        Raises:
            OSError: it could not be written.
        """
        modes = {option.capture_mode for option in config.capture_options}
        types = config.capture_content_type_header
        captured: dict[str, Any] = {}
        if modes & {"Input", "InputAndOutput"}:
            captured["endpointInput"] = _side(types, "INPUT", call.content_type, call.body)
        if modes & {"Output", "InputAndOutput"}:
            captured["endpointOutput"] = _side(types, "OUTPUT", OUTPUT_TYPE, output)
        event: dict[str, Any] = {"eventId": call.event_id, "inferenceTime": f"{call.at:%Y-%m-%dT%H:%M:%SZ}"}
        if call.inference_id is not None:
            event["inferenceId"] = call.inference_id
        if call.custom_attributes is not None:
            event["customAttributes"] = [call.custom_attributes]
        line = orjson.dumps({"captureData": captured, "eventMetadata": event, "eventVersion": "0"})
        self._files.append(self._folder / call.endpoint / variant / f"{call.at:%Y/%m/%d/%H}" / self._name, line)

    def close(self) -> None:
        """Close all files."""
        self._files.close()


def _side(types: CaptureContentTypeHeader, mode: str, content_type: str, data: bytes) -> dict[str, str]:
    media_type = content_type.partition(";")[0].strip()
    encoding = "BASE64"
    if media_type in types.json_content_types:
        encoding = "JSON"
    elif media_type in types.csv_content_types:
        encoding = "CSV"
    text: str | None = None
    if encoding != "BASE64":
        try:
            text = data.decode()
        except UnicodeDecodeError:
            encoding = "BASE64"
    return {
        "observedContentType": content_type,
        "mode": mode,
        "data": base64.b64encode(data).decode() if text is None else text,
        "encoding": encoding,
    }
