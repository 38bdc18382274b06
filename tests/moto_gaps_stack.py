"""CloudFormation where moto drops what a template says of a bucket and of a role; and nulls that AWS leaves out.

- AWS::S3::Bucket: versioning and the public access block are set, as AWS does (moto takes encryption only).
- AWS::IAM::Role: inline policies are kept as JSON (moto keeps a dictionary, which GetRolePolicy then tells as text).
- KMS's key metadata and EventBridge's ListRuleNamesByTarget: what is not there is left out (moto tells null).

Bucket policies, queue policies and lifecycle rules of a template are dropped by moto still; cfn-lint reads those.
"""

from __future__ import annotations

import json
from typing import Any

from moto.events.responses import EventsHandler
from moto.iam.models import Role
from moto.kms.models import Key
from moto.s3.models import FakeBucket, PublicAccessBlock

_bucket = FakeBucket.create_from_cloudformation_json.__func__
_put_policy = Role.put_policy
_key = Key.to_dict
_rule_names = EventsHandler.list_rule_names_by_target


def create_from_cloudformation_json(
    cls: Any, resource_name: str, cloudformation_json: Any, *given: Any, **more: Any
) -> Any:
    bucket = _bucket(cls, resource_name, cloudformation_json, *given, **more)
    properties = cloudformation_json.get("Properties", {})
    bucket.versioning_status = properties.get("VersioningConfiguration", {}).get("Status")
    if (block := properties.get("PublicAccessBlockConfiguration")) is not None:
        bucket.public_access_block = PublicAccessBlock(
            block.get("BlockPublicAcls"),
            block.get("IgnorePublicAcls"),
            block.get("BlockPublicPolicy"),
            block.get("RestrictPublicBuckets"),
        )
    return bucket


def put_policy(self: Any, policy_name: str, policy_json: Any) -> None:
    _put_policy(self, policy_name, policy_json if isinstance(policy_json, str) else json.dumps(policy_json))


def to_dict(self: Any) -> dict[str, Any]:
    told = _key(self)["KeyMetadata"]
    return {"KeyMetadata": {name: value for name, value in told.items() if value is not None}}


def list_rule_names_by_target(self: Any) -> tuple[str, Any]:
    body, headers = _rule_names(self)
    return json.dumps({name: value for name, value in json.loads(body).items() if value is not None}), headers


def close() -> None:
    """Put these in the place of moto's."""
    FakeBucket.create_from_cloudformation_json = classmethod(create_from_cloudformation_json)
    Role.put_policy = put_policy
    Key.to_dict = to_dict
    EventsHandler.list_rule_names_by_target = list_rule_names_by_target
