"""A folder becomes a version of a model package group, once for each content."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from staged_rollout.adapters.model_packages import Packaged, archived, package
from staged_rollout.adapters.registry_sagemaker import SageMakerRegistry
from staged_rollout.adapters.s3_place import S3Place
from staged_rollout.errors import PlatformError, RefusedError
from tests.aws_server import Aws

pytest_plugins = ("tests.aws_fixtures",)

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/serving:1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "model"
    (place / "code").mkdir(parents=True)
    (place / "model.bin").write_bytes(b"weights")
    (place / "code" / "inference.py").write_text("answer = 42\n")
    return place


def packaged(aws: Aws, folder: Path, group: str = "churn", *, approve: bool = True) -> Packaged:
    s3 = aws.client("s3")
    if not s3.list_buckets()["Buckets"]:
        s3.create_bucket(Bucket="models")
    place = S3Place.at(s3, "s3://models/staged-rollout/models")
    return package(folder, group, image=IMAGE, approve=approve, client=aws.client("sagemaker"), place=place)


def test_a_version_holds_the_files_and_their_digest(aws: Aws, folder: Path):
    """The law: what the registry tells is what was uploaded, and Serving can load it."""
    done = packaged(aws, folder)
    version = SageMakerRegistry(aws.client("sagemaker"), "production").version("churn", "1")
    assert (done.reference, done.digest, "approved") == (version.reference, version.digest, version.status)
    told = aws.client("sagemaker").describe_model_package(ModelPackageName=done.reference)
    (container,) = told["InferenceSpecification"]["Containers"]
    key = f"staged-rollout/models/churn/{done.digest}/model.tar.gz"
    assert (IMAGE, f"s3://models/{key}") == (container["Image"], container["ModelDataUrl"])
    body = aws.client("s3").get_object(Bucket="models", Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        assert ["code/inference.py", "model.bin"] == tar.getnames()


def test_packaging_again_makes_no_second_version(aws: Aws, folder: Path):
    """The law: one content, one version, also when a run died between upload and registration."""
    aws.fault("refuse", "CreateModelPackage", code="ValidationException", message="injected")
    with pytest.raises(PlatformError, match="injected"):
        packaged(aws, folder)
    first = packaged(aws, folder)
    second = packaged(aws, folder)
    assert (True, False) == (first.new, second.new)
    assert first.reference == second.reference
    (folder / "model.bin").write_bytes(b"other weights")
    assert ("2", True) == ((third := packaged(aws, folder)).version, third.new)


def test_without_approval_it_waits(aws: Aws, folder: Path):
    packaged(aws, folder, approve=False)
    assert "pending" == SageMakerRegistry(aws.client("sagemaker"), "production").version("churn", "1").status


def test_the_archive_depends_on_names_and_contents_only(tmp_path: Path, folder: Path):
    """The law: another place, another time and another order of making give the same bytes."""
    other = tmp_path / "other"
    (other / "code").mkdir(parents=True)
    (other / "code" / "inference.py").write_text("answer = 42\n")
    (other / "model.bin").write_bytes(b"weights")
    (other / "model.bin").chmod(0o755)
    with archived(folder) as first, archived(other) as second:
        assert first.read_bytes() == second.read_bytes()


def test_what_is_no_file_is_refused_before_any_call(aws: Aws, tmp_path: Path, folder: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RefusedError, match="holds no file"):
        packaged(aws, tmp_path / "empty")
    with pytest.raises(RefusedError, match="is no folder"):
        packaged(aws, tmp_path / "nothing")
    (folder / "secret").symlink_to("/etc/hostname")
    with pytest.raises(RefusedError, match="is a link"):
        packaged(aws, folder)
    with pytest.raises(RefusedError, match="group =="):
        packaged(aws, folder, "../churn")
    assert [] == aws.calls("PutObject", "CreateModelPackage", "CreateModelPackageGroup")
