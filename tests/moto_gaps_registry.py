"""SageMaker's Model Registry where moto differs: events, tags on versions, deletions, and updates that forget.

- A change of a model package puts AWS's documented event on EventBridge's default bus, as often as the setting says.
- UpdateModelPackage keeps what is left out, and knows ModelLifeCycle; its metadata is merged, not replaced.
- DescribeModelPackageGroup tells who made the group.
- Versions go on counting after a deletion; lists tell the newest first unless told otherwise, as AWS.
- DeleteModelPackage and DeleteModelPackageGroup; groups and names taken twice are refused; tags on any of our ARNs.
"""

from __future__ import annotations

import json
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.models import ModelPackage, SageMakerModelBackend
from moto.sagemaker.responses import SageMakerResponse

from tests.moto_gaps import SETTINGS
from tests.moto_gaps_serving import package_of, tagged

_create = SageMakerModelBackend.create_model_package
_told = ModelPackage.gen_response_object
_create_group = SageMakerModelBackend.create_model_package_group


def _event(backend: SageMakerModelBackend, package: Any) -> None:
    """As AWS documents it in "Automating Amazon SageMaker AI with Amazon EventBridge"."""
    from moto.events.models import events_backends

    if not SETTINGS.now.events:
        return
    detail = {
        "ModelPackageGroupName": package.model_package_group_name,
        "ModelPackageVersion": package.model_package_version,
        "ModelPackageArn": package.arn,
        "ModelPackageStatus": package.model_package_status,
        "ModelApprovalStatus": package.model_approval_status,
        "CreationTime": int(package.creation_time.timestamp() * 1000),
        "CustomerMetadataProperties": package.customer_metadata_properties or {},
        "InferenceSpecification": package.inference_specification or {},
        "Tags": {tag["Key"]: tag["Value"] for tag in package.tags or ()},
    }
    entry = {
        "Source": "aws.sagemaker",
        "DetailType": "SageMaker Model Package State Change",
        "Resources": [package.arn],
        "Detail": json.dumps(detail),
    }
    for _ in range(SETTINGS.now.event_copies):
        events_backends[backend.account_id][backend.region_name].put_events([dict(entry)])


def create_model_package(self: SageMakerModelBackend, *arguments: Any, **named: Any) -> str:
    arn = _create(self, *arguments, **named)
    package = self.model_packages[arn]
    group = package.model_package_group_name
    if group is not None:
        highest: dict[str, int] = self.__dict__.setdefault("_highest_version", {})
        version = highest[group] = highest.get(group, 0) + 1
        if version != package.model_package_version:  # after a deletion moto would give a number again
            del self.model_packages[arn], self.model_package_name_mapping[arn]
            package.model_package_version = version
            arn = package.arn = f"{arn.rpartition('/')[0]}/{version}"
            self.model_packages[arn] = package
            self.model_package_name_mapping[arn] = arn
    package.tags = list(package.tags or [])
    package.model_approval_status = package.model_approval_status or "PendingManualApproval"
    _event(self, package)
    return str(arn)


def create_model_package_group(self: SageMakerModelBackend, *arguments: Any, **named: Any) -> str:
    name = named.get("model_package_group_name") or arguments[0]
    if name in self.model_package_groups:
        raise ValidationError(message=f"Model Package Group already exists: {self.model_package_groups[name].arn}")
    return str(_create_group(self, *arguments, **named))


def update_model_package(self: Any) -> ActionResult:
    package = package_of(self, self._get_param("ModelPackageArn"))
    if (status := self._get_param("ModelApprovalStatus")) is not None:
        package.set_model_approval_status(status)
    if (description := self._get_param("ApprovalDescription")) is not None:
        package.approval_description = description
    if (life_cycle := self._get_param("ModelLifeCycle")) is not None:
        package.model_life_cycle = life_cycle
    kept = dict(package.customer_metadata_properties or {})
    for name in self._get_param("CustomerMetadataPropertiesToRemove") or ():
        kept.pop(name, None)
    package.customer_metadata_properties = kept | (self._get_param("CustomerMetadataProperties") or {}) or None
    package.modifications_done()
    _event(self.sagemaker_backend, package)
    return ActionResult({"ModelPackageArn": package.arn})


def gen_response_object(self: Any) -> dict[str, Any]:
    told = _told(self)
    if getattr(self, "model_life_cycle", None) is not None:
        told["ModelLifeCycle"] = self.model_life_cycle
    told.setdefault("ModelPackageName", self.model_package_name)  # AWS's model requires it
    told["ModelPackageStatusDetails"] = {
        "ValidationStatuses": [{"Name": self.model_package_name, "Status": "Completed"}]
    }
    return told


_SUMMARY = (
    "ModelPackageName",
    "ModelPackageGroupName",
    "ModelPackageVersion",
    "ModelPackageArn",
    "ModelPackageDescription",
    "CreationTime",
    "ModelPackageStatus",
    "ModelApprovalStatus",
    "ModelLifeCycle",
)


def list_model_packages(self: Any) -> ActionResult:
    group = (self._get_param("ModelPackageGroupName") or "").rpartition("/")[2]
    approval = self._get_param("ModelApprovalStatus")
    after, before = self._get_param("CreationTimeAfter"), self._get_param("CreationTimeBefore")
    rows = [
        package
        for package in self.sagemaker_backend.model_packages.values()
        if (not group or package.model_package_group_name == group)
        and (approval is None or package.model_approval_status == approval)
        and (after is None or package.creation_time.timestamp() > float(after))
        and (before is None or package.creation_time.timestamp() < float(before))
    ]
    down = (self._get_param("SortOrder") or "Descending") == "Descending"
    rows.sort(key=lambda one: (one.creation_time, one.model_package_version or 0), reverse=down)
    start = int(self._get_param("NextToken") or 0)
    end = start + int(self._get_param("MaxResults") or 10)
    shown = [{k: v for k, v in one.gen_response_object().items() if k in _SUMMARY} for one in rows[start:end]]
    told: dict[str, Any] = {"ModelPackageSummaryList": shown}
    if end < len(rows):
        told["NextToken"] = str(end)
    return ActionResult(told)


def describe_model_package_group(self: Any) -> ActionResult:
    name = self._get_param("ModelPackageGroupName").rpartition("/")[2]
    group = self.sagemaker_backend.describe_model_package_group(name)
    told = {key: value for key, value in group.gen_response_object().items() if key != "Tags"}
    told["CreatedBy"] = {}  # required by AWS's model, and left out by moto
    return ActionResult({key: value for key, value in told.items() if value is not None})


def delete_model_package(self: Any) -> EmptyResult:
    package = package_of(self, self._get_param("ModelPackageName"))
    del self.sagemaker_backend.model_packages[package.arn]
    return EmptyResult()


def delete_model_package_group(self: Any) -> EmptyResult:
    backend, name = self.sagemaker_backend, self._get_param("ModelPackageGroupName")
    group = backend.describe_model_package_group(name)
    if any(package.model_package_group_name == name for package in backend.model_packages.values()):
        raise ValidationError(message=f"Model Package Group {group.arn} cannot be deleted: it is not empty.")
    del backend.model_package_groups[name]
    return EmptyResult()


def _tags_of(response: Any) -> tuple[Any, list[dict[str, str]]]:
    arn = response._get_param("ResourceArn")
    found = tagged(response, arn)
    if found is None and ":model-package/" in arn:
        found = package_of(response, arn)
    if found is None:
        found = response.sagemaker_backend._get_resource_from_arn(arn)
    if found is None:
        raise ValidationError(message=f'Could not find resource "{arn}".')
    return found, list(found.tags or ())


def list_tags(self: Any) -> ActionResult:
    return ActionResult({"Tags": _tags_of(self)[1]})


def add_tags(self: Any) -> ActionResult:
    found, tags = _tags_of(self)
    new = self._get_param("Tags")
    keys = {tag["Key"] for tag in new}
    found.tags = [tag for tag in tags if tag["Key"] not in keys] + new
    return ActionResult({"Tags": found.tags})


def delete_tags(self: Any) -> EmptyResult:
    found, tags = _tags_of(self)
    found.tags = [tag for tag in tags if tag["Key"] not in self._get_param("TagKeys")]
    return EmptyResult()


def close() -> None:
    """Put all of these in the place of moto's."""
    SageMakerModelBackend.create_model_package = create_model_package
    SageMakerModelBackend.create_model_package_group = create_model_package_group
    ModelPackage.gen_response_object = gen_response_object
    for operation in (
        update_model_package,
        list_model_packages,
        describe_model_package_group,
        delete_model_package,
        delete_model_package_group,
        list_tags,
        add_tags,
        delete_tags,
    ):
        setattr(SageMakerResponse, operation.__name__, operation)
