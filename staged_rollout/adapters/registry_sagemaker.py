"""The model registry on SageMaker's Model Registry: a model package group for each model, its versions, their approval.

What this project writes there, and where:

- the champion is a tag of the group, `staged-rollout/ENVIRONMENT/champion`: one call moves it, so there are never two;
- what became of a version are two entries of its customer metadata, `staged-rollout/ENVIRONMENT/lifecycle` and
  `.../rollout`; the same call writes the lifecycle stage that SageMaker's own pages show;
- a version that was rolled back is rejected, and one that is promoted is approved.

Names hold the environment, because several accounts often share one registry: what staging has promoted is still new to
production.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from staged_rollout.adapters.aws_client import told_as_ours
from staged_rollout.adapters.resource_names import checked_name
from staged_rollout.errors import NotFoundError, PlatformError
from staged_rollout.ports.registry import Lifecycle, ModelVersion, RegistryStatus

OWN = "staged-rollout/"
"""What every key of ours begins with, in metadata and tags."""
DIGEST = f"{OWN}digest"
"""Metadata of a version: SHA-256 of the archive that `staged-rollout package` has uploaded."""

_ARN = re.compile(r"arn:aws[a-z-]*:sagemaker:[a-z0-9-]{9,16}:[0-9]{12}:model-package/([A-Za-z0-9-]{1,63})/([0-9]{1,9})")
_STATUSES: dict[str, RegistryStatus] = {"Approved": "approved", "Rejected": "rejected"}
_BROKEN = {"Failed", "Deleting"}
_APPROVALS: dict[Lifecycle, str] = {"champion": "Approved", "rolled_back": "Rejected"}
_MISSING = ("does not exist", "could not find", "not found")
_MISSING_CODES = {"ValidationException", "ResourceNotFound"}
_PAGE = 100
_NAME_LIMIT = 63
_RESERVED = frozenset({"lifecycle", "rollout"})


class SageMakerRegistry:
    """Implements `ports.Registry`.

    Args:
        client: A boto3 `sagemaker` client of the account that holds the model package groups.
        environment: The environment's name; what is written carries it.
    """

    def __init__(self, client: Any, environment: str) -> None:
        self._client = client
        self._environment = environment
        self._stage = environment.rstrip("-")[:_NAME_LIMIT].rstrip("-")
        self._groups: dict[str, str] = {}

    def versions_after(self, model: str, cursor: int) -> list[ModelVersion]:
        """Versions with a number above the cursor, oldest first, whatever their status; none for an unknown group.

        The list is read newest first until the cursor is met, a hundred a call; then one call for each version found.

        Raises:
            RefusedError: the group's name is not one.
            PlatformError: SageMaker refused, or told something that is no version.
        """
        if self._group(model) is None:
            return []
        found: list[tuple[int, str]] = []
        pages = self._client.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=self._groups[model],
            SortBy="CreationTime",
            SortOrder="Descending",
            PaginationConfig={"PageSize": _PAGE},
        )
        with told_as_ours(f"list versions of {model}"):
            for page in pages:
                arns = [row["ModelPackageArn"] for row in page["ModelPackageSummaryList"]]
                newer = [(number, arn) for arn in arns if (number := self._number(model, arn)) > cursor]
                found += newer
                if len(newer) < len(arns):
                    break
        versions = [self._described(arn) for _, arn in sorted(found)]
        return [self._told(model, version) for version in versions if version is not None]

    def version(self, model: str, version: str) -> ModelVersion:
        """One version.

        Raises:
            NotFoundError: no such group or version.
            RefusedError: the group's name is not one.
            PlatformError: SageMaker refused.
        """
        return self._told(model, self._row(model, version))

    def champion(self, model: str) -> ModelVersion | None:
        """The version that serves, or None before the first.

        Raises:
            NotFoundError: the tag names a version that does not exist.
            PlatformError: SageMaker refused, or the tag holds no version number.
        """
        number = self._champion(model)
        return None if number is None else self.version(model, number)

    def set_champion(self, model: str, version: str) -> None:
        """Move the champion; idempotent.

        Raises:
            NotFoundError: no such group or version.
            PlatformError: SageMaker refused.
        """
        number = str(self._row(model, version)["ModelPackageVersion"])
        if self._champion(model) != number:
            with told_as_ours(f"make version {number} the champion of {model}"):
                self._client.add_tags(
                    ResourceArn=self._groups[model], Tags=[{"Key": self._key("champion"), "Value": number}]
                )

    def set_lifecycle(self, model: str, version: str, lifecycle: Lifecycle, rollout: str) -> None:
        """Write back what became of a version, with its approval where that follows from it; idempotent.

        Raises:
            NotFoundError: no such group or version.
            PlatformError: SageMaker refused.
        """
        row = self._row(model, version)
        wanted = {self._key("lifecycle"): lifecycle, self._key("rollout"): rollout}
        if wanted.items() <= _metadata(row).items():
            return
        changes: dict[str, Any] = {
            "CustomerMetadataProperties": wanted,
            "ModelLifeCycle": {
                "Stage": self._stage,
                "StageStatus": lifecycle.title().replace("_", ""),
                "StageDescription": f"rollout {rollout}",
            },
        }
        approval = _APPROVALS.get(lifecycle)
        if approval is not None and row.get("ModelApprovalStatus") != approval:
            changes["ModelApprovalStatus"] = approval
            changes["ApprovalDescription"] = (
                f"{lifecycle.replace('_', ' ')} by rollout {rollout} in {self._environment}"
            )
        with told_as_ours(f"write back {lifecycle} to {row['ModelPackageArn']}"):
            self._client.update_model_package(ModelPackageArn=row["ModelPackageArn"], **changes)

    def _key(self, name: str) -> str:
        return f"{OWN}{self._environment}/{name}"

    def _champion(self, model: str) -> str | None:
        group = self._group(model)
        if group is None:
            return None
        with told_as_ours(f"list tags of {group}"):
            pages = self._client.get_paginator("list_tags").paginate(ResourceArn=group)
            tags = {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
        number: str | None = tags.get(self._key("champion"))
        if number is not None and not _is_number(number):
            raise PlatformError(
                f"group {model}: tag {self._key('champion')} == {number!r}, must be a version's number",
                hint="set the tag to the number of the version that serves, or remove it",
                model=model,
            )
        return number

    def _group(self, model: str) -> str | None:
        """The ARN of a group, remembered once it is known; None when there is none."""
        checked_name(model, "model")
        if model not in self._groups:
            told = self._found("describe_model_package_group", ModelPackageGroupName=model)
            if told is None:
                return None
            self._groups[model] = told["ModelPackageGroupArn"]
        return self._groups[model]

    def _row(self, model: str, version: str) -> dict[str, Any]:
        checked_name(model, "model")
        if not _is_number(version):
            raise NotFoundError(f"model {model}: version == {version!r}, must be a whole number", model=model)
        group = self._group(model)
        # The ARN that AWS gave the group, because it may hold another account, and names in lower case.
        row = group and self._described(f"{group.replace(':model-package-group/', ':model-package/')}/{int(version)}")
        if not row:
            raise NotFoundError(f"model {model} has no version {version}", model=model, version=version)
        return row

    def _described(self, arn: str) -> dict[str, Any] | None:
        return self._found("describe_model_package", ModelPackageName=arn)

    def _found(self, operation: str, **parameters: Any) -> dict[str, Any] | None:
        try:
            with told_as_ours(operation):
                found: dict[str, Any] = getattr(self._client, operation)(**parameters)
                return found
        except PlatformError as error:
            reason = str(error.facts.get("reason", "")).lower()
            if error.facts.get("code") in _MISSING_CODES and any(words in reason for words in _MISSING):
                return None
            raise

    def _told(self, model: str, row: Mapping[str, Any]) -> ModelVersion:
        number = self._number(model, row["ModelPackageArn"])
        metadata = _metadata(row)
        # An entry of somebody else's that is called as ours are here says nothing about our rollouts.
        tags = {key: value for key, value in metadata.items() if key not in _RESERVED}
        for name in sorted(_RESERVED):
            if self._key(name) in metadata:
                tags[name] = metadata[self._key(name)]
        return ModelVersion(
            model=model,
            version=str(number),
            status=_status(row),
            reference=row["ModelPackageArn"],
            digest=_digest(metadata),
            created_at=row["CreationTime"],
            tags=tags,
        )

    @staticmethod
    def _number(model: str, arn: str) -> int:
        parts = _ARN.fullmatch(arn)
        if parts is None or parts[1].lower() != model.lower():
            raise PlatformError(f"group {model}: SageMaker told {arn!r}, which is no version of it", model=model)
        return int(parts[2])


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,9}", text) is not None


def _metadata(row: Mapping[str, Any]) -> dict[str, str]:
    return dict(row.get("CustomerMetadataProperties") or {})


def _digest(metadata: Mapping[str, str]) -> str:
    digest = metadata.get(DIGEST, "")
    return digest if re.fullmatch(r"[0-9a-f]{64}", digest) else ""


def _status(row: Mapping[str, Any]) -> RegistryStatus:
    """A version whose files SageMaker still checks is pending; one that failed there is as good as rejected."""
    made = row.get("ModelPackageStatus")
    if made in _BROKEN:
        return "rejected"
    return _STATUSES.get(row.get("ModelApprovalStatus", ""), "pending") if made == "Completed" else "pending"
