"""The local endpoint's parts that need no process."""

from __future__ import annotations

import errno
import json
import os
import struct
from datetime import UTC, datetime
from pathlib import Path

import botocore.session
import pytest
from pydantic import ValidationError

from staged_rollout.errors import PlatformError
from staged_rollout.servers.endpoint.control_api import OPERATIONS
from staged_rollout.servers.endpoint.shapes import CreateEndpointConfigRequest, ProductionVariant
from staged_rollout.servers.endpoint.state import StateFile
from staged_rollout.servers.line_files import LineFiles
from staged_rollout.servers.simulated_time import HEADER, request_time

MODEL = botocore.session.get_session().get_service_model("sagemaker")


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_every_member_that_is_taken_is_one_of_awss(operation: str):
    """The spoken subset invents nothing: every operation and every member of a request is in botocore's model."""
    shape = MODEL.operation_model(operation).input_shape
    members = {field.alias for field in OPERATIONS[operation][0].model_fields.values()}
    assert members <= set(shape.members)
    assert set(shape.required_members) <= members


def test_weights_are_kept_in_single_precision():
    variant = ProductionVariant(variant_name="v", model_name="m", initial_variant_weight=0.05)
    assert variant.initial_variant_weight == struct.unpack("f", struct.pack("f", 0.05))[0] == 0.05000000074505806


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf"), "1", 1e39])
def test_a_weight_that_is_none_is_refused(weight: object):
    body = {
        "EndpointConfigName": "c",
        "ProductionVariants": [{"VariantName": "v", "ModelName": "m", "InitialVariantWeight": weight}],
    }
    with pytest.raises(ValidationError):
        CreateEndpointConfigRequest.model_validate_json(json.dumps(body).replace("1.0", "1"), strict=True)


def test_a_state_that_is_none_is_an_error_and_not_an_empty_one(tmp_path: Path):
    """An endpoint that forgot everything would let names be taken twice."""
    assert StateFile(tmp_path).load().endpoints == {}
    (tmp_path / "state.json").write_text('{"format": "staged-rollout/serving/2"}')
    with pytest.raises(PlatformError, match="is not a serving state"):
        StateFile(tmp_path).load()


def test_lines_go_to_their_files_and_old_files_are_closed(tmp_path: Path):
    files = LineFiles()
    for number in range(40):
        files.append(tmp_path / f"{number % 20}" / "x.jsonl", f"line {number}".encode())
    assert len(files._open) == 16
    assert (tmp_path / "3" / "x.jsonl").read_bytes() == b"line 3\nline 23\n"
    files.close()
    assert files._open == {}


def test_a_torn_line_does_not_take_the_next_one_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """On a full disk half a line may be written: the line after it still starts on its own."""
    files, path = LineFiles(), tmp_path / "x.jsonl"
    write = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda descriptor, content: write(descriptor, content[:3]))
        with pytest.raises(OSError, match="3 of 5 bytes"):
            files.append(path, b"torn")
    with monkeypatch.context() as full:

        def fail(descriptor: int, content: bytes) -> int:
            raise OSError(errno.ENOSPC, "no space")

        full.setattr(os, "write", fail)
        with pytest.raises(OSError, match="no space"):
            files.append(path, b"lost")
    files.append(path, b"whole")
    files.append(path, b"next")
    files.close()
    assert path.read_bytes() == b"tor\nwhole\nnext\n"


STAMP = "2026-02-14T18:25:49+01:00"


@pytest.mark.parametrize(
    ("client", "enabled", "honoured"),
    [
        ("127.0.0.1", True, True),
        ("::1", True, True),
        ("127.0.0.1", False, False),
        ("10.0.0.7", True, False),
        ("testclient", True, False),
        (None, True, False),
    ],
)
def test_simulated_time_is_honoured_only_from_loopback_and_where_it_is_enabled(client, enabled, honoured):
    """Nobody writes history into a real log."""
    found = request_time({HEADER: STAMP}, client, enabled=enabled)
    assert found == (datetime(2026, 2, 14, 17, 25, 49, tzinfo=UTC) if honoured else None)
    assert request_time({}, client, enabled=enabled) is None


@pytest.mark.parametrize("stamp", ["2026-02-14T18:25:49", "yesterday", ""])
def test_a_time_without_a_zone_is_an_error_where_it_would_be_honoured(stamp: str):
    with pytest.raises(ValueError, match=r"time zone|isoformat"):
        request_time({HEADER: stamp}, "127.0.0.1", enabled=True)
    assert request_time({HEADER: stamp}, "127.0.0.1", enabled=False) is None
