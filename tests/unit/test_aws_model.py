"""The validator of AWS shapes finds what is planted, and nothing in what fits."""

from __future__ import annotations

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
