"""A folder with a model becomes a version of a model package group: archive, upload, CreateModelPackage.

Plain boto3, not the sagemaker SDK: see docs/adr/0018-model-packages.md.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from staged_rollout.adapters.aws_client import told_as_ours
from staged_rollout.adapters.registry_sagemaker import DIGEST, SageMakerRegistry
from staged_rollout.adapters.resource_names import checked_name
from staged_rollout.adapters.s3_place import S3Place
from staged_rollout.errors import PlatformError, RefusedError

ARCHIVE = "model.tar.gz"
_LIMIT = 5 * 1024**3
"""Bytes of one PutObject."""
_TOKEN = 36
_TAKEN = "already exist"


@dataclass(frozen=True)
class Packaged:
    """What became of a folder.

    Attributes:
        reference: The version's ARN.
        version: Its number, as text.
        digest: SHA-256 of the archive.
        new: False when the group held the same archive already: nothing was written.
    """

    reference: str
    version: str
    digest: str
    new: bool


def package(
    folder: Path,
    group: str,
    *,
    image: str,
    approve: bool,
    client: Any,
    place: S3Place,
    content_types: Sequence[str] = ("application/json", "text/csv"),
) -> Packaged:
    """Register a folder's files as the next version of a group, once for each content.

    Killed at any line and run again it ends with one version: the archive's bytes follow from the files alone, its name
    from its bytes, and a version that holds the same digest is found before another is made.

    Args:
        folder: What SageMaker unpacks below /opt/ml/model.
        group: The model package group; made when it is not there.
        image: The serving image, in ECR.
        approve: Whether it may be rolled out at once; otherwise it waits for an approval.
        client: A boto3 `sagemaker` client of the registry's account.
        place: Where archives lie.
        content_types: What the model takes and answers.

    Raises:
        RefusedError: a name or the folder is not one, or it holds what is no file, or more than 5 GiB.
        PlatformError: AWS refused.
    """
    checked_name(group, "group")
    registry = SageMakerRegistry(client, "")
    with archived(folder) as archive:
        digest = _digest(archive)
        for version in registry.versions_after(group, 0):
            if version.digest == digest:
                return Packaged(version.reference, version.version, digest, new=False)
        name = f"{group}/{digest}/{ARCHIVE}"
        with archive.open("rb") as body:
            place.put(name, body, expected=None)  # None: the same bytes lie there already
    _ensure_group(client, group)
    with told_as_ours(f"register a version of {group}"):
        told = client.create_model_package(
            ModelPackageGroupName=group,
            ModelApprovalStatus="Approved" if approve else "PendingManualApproval",
            InferenceSpecification={
                "Containers": [{"Image": image, "ModelDataUrl": place.uri(name)}],
                "SupportedContentTypes": list(content_types),
                "SupportedResponseMIMETypes": list(content_types),
            },
            CustomerMetadataProperties={DIGEST: digest},
            ClientToken=digest[:_TOKEN],
        )
    reference = str(told["ModelPackageArn"])
    return Packaged(reference, reference.rpartition("/")[2], digest, new=True)


@contextmanager
def archived(folder: Path) -> Iterator[Path]:
    """A `model.tar.gz` whose bytes depend on the files' names and contents alone, and which is gone afterwards.

    Raises:
        RefusedError: there is no such folder, it is empty, or it holds a link or anything else that is no file.
    """
    if not folder.is_dir():
        raise RefusedError(f"{folder} is no folder", hint="name the folder that holds the model's files")
    paths = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    odd = [path for path in paths if path.is_symlink() or not path.is_file()]
    if odd:
        raise RefusedError(
            f"{odd[0]} is a link or no file, which an archive must not hold", hint="copy the file itself"
        )
    if not paths:
        raise RefusedError(f"{folder} holds no file")
    if (size := sum(path.stat().st_size for path in paths)) > _LIMIT:
        raise RefusedError(f"{folder} holds {size} bytes, must be <= {_LIMIT}")
    with TemporaryDirectory() as scratch:
        archive = Path(scratch) / ARCHIVE
        with (
            archive.open("wb") as raw,
            gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
        ):
            for path in paths:
                _add(tar, path, path.relative_to(folder).as_posix())
        yield archive


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = path.stat().st_size, 0o644
    with path.open("rb") as content:
        tar.addfile(entry, content)


def _digest(archive: Path) -> str:
    with archive.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _ensure_group(client: Any, group: str) -> None:
    try:
        with told_as_ours(f"make group {group}"):
            client.create_model_package_group(ModelPackageGroupName=group)
    except PlatformError as error:
        if _TAKEN not in str(error).lower():
            raise
