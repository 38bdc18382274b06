"""Service Quotas of SageMaker endpoints, and the usage metric that AWS publishes of them: moto knows only those of VPC.

The `quotas` setting names instance types. Usage is counted from the endpoints that are there, and told as the
CloudWatch metric that the quota names (`AWS/Usage`, ResourceCount).
"""

from __future__ import annotations

import json
from typing import Any

from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.responses import ServiceQuotasResponse

from tests.moto_gaps import SETTINGS

_PAGE = 100
_list = ServiceQuotasResponse.list_aws_default_service_quotas
_get = ServiceQuotasResponse.get_service_quota


def _quotas(region: str, account: str) -> list[dict[str, Any]]:
    return [
        {
            "ServiceCode": "sagemaker",
            "ServiceName": "Amazon SageMaker",
            "QuotaArn": f"arn:aws:servicequotas:{region}:{account}:sagemaker/{_code(kind)}",
            "QuotaCode": _code(kind),
            "QuotaName": f"{kind} for endpoint usage",
            "Value": value,
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
            "UsageMetric": {
                "MetricNamespace": "AWS/Usage",
                "MetricName": "ResourceCount",
                "MetricDimensions": {
                    "Class": "None",
                    "Resource": f"endpoint/{kind}",
                    "Service": "SageMaker",
                    "Type": "Resource",
                },
                "MetricStatisticRecommendation": "Maximum",
            },
        }
        for kind, value in sorted(SETTINGS.now.quotas.items())
    ]


def _code(kind: str) -> str:
    return f"L-{abs(hash_of(kind)):08X}"


def hash_of(text: str) -> int:
    """A number that is the same in every process."""
    import zlib

    return zlib.crc32(text.encode())


def list_service_quotas(self: Any) -> str:
    asked = json.loads(self.body)
    if asked.get("ServiceCode") != "sagemaker":
        raise NoSuchResource
    rows = _quotas(self.region, self.current_account)
    start = int(asked.get("NextToken") or 0)
    end = start + int(asked.get("MaxResults") or _PAGE)
    told: dict[str, Any] = {"Quotas": rows[start:end]}
    if end < len(rows):
        told["NextToken"] = str(end)
    return json.dumps(told)


def get_service_quota(self: Any) -> str:
    asked = json.loads(self.body)
    if asked.get("ServiceCode") != "sagemaker":
        return str(_get(self))
    for row in _quotas(self.region, self.current_account):
        if row["QuotaCode"] == asked.get("QuotaCode"):
            return json.dumps({"Quota": row})
    raise NoSuchResource


def close() -> None:
    """Put these beside moto's."""
    ServiceQuotasResponse.list_service_quotas = list_service_quotas
    ServiceQuotasResponse.get_service_quota = get_service_quota
