"""The validator of AWS shapes finds what is planted, and nothing in what fits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest

from tests.aws_model import violations

MODEL = botocore.session.get_session().get_service_model("sagemaker")
FITS: dict[str, Any] = {
    "EndpointName": "churn-prod",
    "EndpointArn": "arn:aws:sagemaker:local:000000000000:endpoint/churn-prod",
    "EndpointStatus": "InService",
    "CreationTime": 1.5,
    "LastModifiedTime": 2.5,
    "ProductionVariants": [{"VariantName": "v1", "CurrentWeight": 0.5, "CurrentInstanceCount": 1}],
}


def found(value: dict[str, Any]) -> list[str]:
    return violations(MODEL.operation_model("DescribeEndpoint").output_shape, value, "answer")


def test_what_fits_has_no_violations():
    assert found(FITS) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"EndpointStatus": "Ready"}, "is not among"),
        ({"EndpointName": "churn_prod"}, "does not match"),
        ({"EndpointName": "c" * 64}, "must be <= 63"),
        ({"CreationTime": "2026-01-01"}, "seconds since the epoch"),
        ({"Colour": "red"}, "is not a member"),
        ({"ProductionVariants": []}, "must be >= 1"),
        ({"ProductionVariants": [{"VariantName": "v1", "CurrentWeight": -1.0}]}, "must be >= 0"),
        ({"ProductionVariants": [{"VariantName": "v1", "CurrentInstanceCount": 1.5}]}, "whole number"),
        ({"ProductionVariants": [{"CurrentWeight": 1.0}]}, "VariantName is missing"),
        ({"ProductionVariants": [{"VariantName": 1}]}, "is not text"),
    ],
)
def test_each_planted_fault_is_found(change: dict[str, Any], word: str):
    assert [text for text in found(FITS | change) if word in text]


def test_timestamps_maps_and_bytes_as_boto3_takes_them_fit():
    """The law: what boto3 itself accepts in a request is no violation, and what it does not is one."""
    shape = MODEL.operation_model("ListModelPackages").input_shape
    assert [] == violations(shape, {"CreationTimeAfter": datetime(2026, 1, 1, tzinfo=UTC)}, "request")
    (found_one,) = violations(shape, {"CreationTimeAfter": "yesterday"}, "request")
    assert "seconds since the epoch" in found_one
    update = MODEL.operation_model("UpdateModelPackage").input_shape
    arn = "arn:aws:sagemaker:us-east-1:123456789012:model-package/churn/1"
    metadata = {"ModelPackageArn": arn, "CustomerMetadataProperties": {"rollout": "Tür 7"}}
    assert [] == violations(update, metadata, "request")
    assert 1 == len(violations(update, metadata | {"CustomerMetadataProperties": {"a": "#"}}, "request"))
    assert 1 == len(violations(update, metadata | {"CustomerMetadataProperties": ["a"]}, "request"))
    put = botocore.session.get_session().get_service_model("s3").operation_model("PutObject").input_shape
    assert [] == violations(put, {"Bucket": "b", "Key": "k", "Body": b"1"}, "request")
    assert 1 == len(violations(put, {"Bucket": "b", "Key": "k", "Body": 1}, "request"))
