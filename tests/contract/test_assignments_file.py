"""The contract of `ports.serving.Assignments`, kept by each adapter."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from staged_rollout.adapters.assignments_file import FileAssignments
from staged_rollout.adapters.assignments_s3 import S3Assignments
from staged_rollout.adapters.aws_client import make_client
from staged_rollout.adapters.s3_place import S3Place
from staged_rollout.assignment import AssignmentDocument, VariantRef
from staged_rollout.errors import PlatformError, RefusedError, StaleEpochError
from staged_rollout.ports.serving import Assignments
from tests.aws_server import Aws

pytest_plugins = ("tests.aws_fixtures",)

AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def document(epoch: int, endpoint: str = "churn-prod", champion: str = "v1") -> AssignmentDocument:
    return AssignmentDocument(
        endpoint=endpoint, epoch=epoch, champion=VariantRef(name=champion, version="1"), published_at=AT
    )


def on_s3(aws: Aws) -> S3Assignments:
    aws.client("s3").create_bucket(Bucket="rollouts")
    return S3Assignments(S3Place.at(make_client("s3", region=aws.region), "s3://rollouts/team/assignments"))


@pytest.fixture(params=["file", "s3"])
def assignments(request: pytest.FixtureRequest, tmp_path: Path) -> Assignments:
    if request.param == "s3":
        return on_s3(request.getfixturevalue("aws"))
    return FileAssignments(tmp_path / "assignments")


def test_before_the_first_there_is_none(assignments: Assignments):
    assert assignments.read("churn-prod") is None


def test_what_is_published_is_read_back_whole(assignments: Assignments):
    assignments.publish(document(1), expected_epoch=None)
    published = assignments.read("churn-prod")
    assert published is not None
    assert published.document == document(1)
    assert 0 <= published.age_s < 60


@pytest.mark.parametrize("expected", [None, 0, 2])
def test_a_stale_epoch_changes_nothing(assignments: Assignments, expected: int | None):
    """Compare-and-set: only who has read the document in force replaces it."""
    assignments.publish(document(1), expected_epoch=None)
    with pytest.raises(StaleEpochError, match="epoch 1 is in force") as caught:
        assignments.publish(document(3, champion="v3"), expected_epoch=expected)
    assert caught.value.facts["epoch"] == 1
    published = assignments.read("churn-prod")
    assert published is not None
    assert published.document == document(1)


def test_the_first_needs_to_know_that_it_is_the_first(assignments: Assignments):
    with pytest.raises(StaleEpochError, match="epoch None is in force, expected 4"):
        assignments.publish(document(5), expected_epoch=4)


def test_epochs_grow(assignments: Assignments):
    assignments.publish(document(7), expected_epoch=None)
    with pytest.raises(RefusedError, match="epoch 7 must be above 7"):
        assignments.publish(document(7, champion="v3"), expected_epoch=7)


def test_endpoints_do_not_meet(assignments: Assignments):
    assignments.publish(document(1, "a"), expected_epoch=None)
    assignments.publish(document(5, "b"), expected_epoch=None)
    for endpoint, epoch in (("a", 1), ("b", 5)):
        published = assignments.read(endpoint)
        assert published is not None
        assert published.document.epoch == epoch


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".", "a.json", "a" * 64])
def test_a_name_that_is_none_reaches_no_path(assignments: Assignments, name: str):
    with pytest.raises(RefusedError, match="endpoint =="):
        assignments.read(name)
    with pytest.raises(RefusedError, match="endpoint =="):
        assignments.publish(document(1, name), expected_epoch=None)


@pytest.mark.parametrize("adapter", ["file", "s3"])
def test_of_several_writers_with_the_same_expectation_one_wins(
    adapter: str, request: pytest.FixtureRequest, tmp_path: Path, python: Callable[..., subprocess.Popen[str]]
):
    """Four processes count an epoch up, 25 times each; no increment is lost."""
    source = """
        import sys
        from pathlib import Path
        from staged_rollout.adapters.assignments_file import FileAssignments
        from staged_rollout.adapters.assignments_s3 import S3Assignments
        from staged_rollout.adapters.aws_client import make_client
        from staged_rollout.adapters.s3_place import S3Place
        from staged_rollout.errors import StaleEpochError

        if sys.argv[1] == "s3":
            assignments = S3Assignments(S3Place.at(make_client("s3"), "s3://rollouts/team/assignments"))
        else:
            assignments = FileAssignments(Path(sys.argv[2]))
        sys.stdin.readline()
        done = 0
        while done < 25:
            now = assignments.read("e").document
            try:
                assignments.publish(now.model_copy(update={"epoch": now.epoch + 1}), expected_epoch=now.epoch)
                done += 1
            except StaleEpochError:
                pass
    """
    assignments = FileAssignments(tmp_path) if adapter == "file" else on_s3(request.getfixturevalue("aws"))
    assignments.publish(document(0, "e"), expected_epoch=None)
    writers = [python(source, adapter, str(tmp_path)) for _ in range(4)]
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=120)
        assert writer.returncode == 0
    published = assignments.read("e")
    assert published is not None
    assert published.document.epoch == 100


def test_age_is_counted_from_the_file_and_never_negative(tmp_path: Path):
    now = 0.0
    assignments = FileAssignments(tmp_path, wall=lambda: now)
    assignments.publish(document(1), expected_epoch=None)
    written = (tmp_path / "churn-prod.json").stat().st_mtime
    for now, age in ((written + 12.5, 12.5), (written - 3, 0.0)):  # noqa: B007 - read by wall()
        published = assignments.read("churn-prod")
        assert published is not None
        assert published.age_s == pytest.approx(age)


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"endpoint": "churn-prod"})])
def test_a_file_that_is_no_document_is_an_error_and_not_a_missing_one(tmp_path: Path, content: str):
    """Missing would let a writer begin at epoch 1 again, below what routers have seen."""
    (tmp_path / "churn-prod.json").write_text(content)
    assignments = FileAssignments(tmp_path)
    with pytest.raises(PlatformError, match="errors, first"):
        assignments.read("churn-prod")
    with pytest.raises(PlatformError):
        assignments.publish(document(1), expected_epoch=None)


def test_a_document_of_another_endpoint_is_an_error(tmp_path: Path):
    assignments = FileAssignments(tmp_path)
    assignments.publish(document(1, "a"), expected_epoch=None)
    (tmp_path / "a.json").rename(tmp_path / "b.json")
    with pytest.raises(PlatformError, match="is for endpoint 'a', must be 'b'"):
        assignments.read("b")


def test_a_crash_leaves_no_half_document_and_no_litter_blocks(tmp_path: Path):
    """A temporary file of a killed writer is not a document and is not in the way."""
    assignments = FileAssignments(tmp_path)
    assignments.publish(document(1), expected_epoch=None)
    (tmp_path / ".churn-prod.json.killed").write_text("{")
    assignments.publish(document(2), expected_epoch=1)
    published = assignments.read("churn-prod")
    assert published is not None
    assert published.document.epoch == 2


# --- S3 --------------------------------------------------------------------------------------------------------------


def test_an_unchanged_document_costs_an_answer_without_content(aws: Aws):
    """A router's poll is one conditional request; what is published by somebody else is seen by the next one."""
    router, writer = on_s3(aws), S3Assignments(S3Place.at(aws.client("s3"), "s3://rollouts/team/assignments/"))
    writer.publish(document(1), expected_epoch=None)
    assert router.read("churn-prod") is not None
    aws.forget_calls()

    for _ in range(3):
        published = router.read("churn-prod")
        assert published is not None
        assert 1 == published.document.epoch
    writer.publish(document(2), expected_epoch=1)
    published = router.read("churn-prod")

    assert published is not None
    assert 2 == published.document.epoch
    # Four polls of the router, and what the writer read before it published again.
    assert [200, 200, 304, 304, 304] == sorted(call.status for call in aws.calls("GetObject"))
    assert 1 == len(aws.calls("PutObject"))


def test_the_age_is_by_the_clock_of_s3_and_rather_too_young(aws: Aws):
    """A machine whose clock is wrong must not end a drain early."""
    place = S3Place.at(aws.client("s3"), "s3://rollouts/assignments")
    aws.client("s3").create_bucket(Bucket="rollouts")
    ahead = S3Assignments(place, wall=lambda: 4e9)
    ahead.publish(document(1), expected_epoch=None)
    first, second = ahead.read("churn-prod"), ahead.read("churn-prod")
    assert first is not None
    assert second is not None
    assert 0 <= first.age_s <= second.age_s < 600


@pytest.mark.parametrize("kind", ["lost", "throttle", "server_error", "timeout"])
def test_a_publication_whose_answer_is_lost_is_published_once(aws: Aws, kind: str):
    """The law: a retried conditional put that finds its own document has succeeded."""
    assignments = on_s3(aws)
    assignments.publish(document(1), expected_epoch=None)
    aws.fault(kind, "PutObject")
    assignments.publish(document(2, champion="v2"), expected_epoch=1)
    assert [1] == aws.hits()
    published = assignments.read("churn-prod")
    assert published is not None
    assert published.document == document(2, champion="v2")


def test_a_publication_overtaken_between_reading_and_writing_is_stale(aws: Aws):
    """The condition is judged by S3 itself: nothing that another writer published is overwritten."""
    assignments = on_s3(aws)
    assignments.publish(document(1), expected_epoch=None)
    other = S3Assignments(assignments._place)
    aws.fault("stale", "GetObject")  # what the first one is told about the object is what it was told before
    assignments.read("churn-prod")
    other.publish(document(2, champion="v9"), expected_epoch=1)
    with pytest.raises(StaleEpochError):
        assignments.publish(document(2, champion="v3"), expected_epoch=1)
    published = other.read("churn-prod")
    assert published is not None
    assert published.document == document(2, champion="v9")


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"endpoint": "churn-prod"})])
def test_an_object_that_is_no_document_is_an_error_and_not_a_missing_one(aws: Aws, content: str):
    assignments = on_s3(aws)
    aws.client("s3").put_object(Bucket="rollouts", Key="team/assignments/churn-prod.json", Body=content.encode())
    with pytest.raises(PlatformError, match=r"s3://rollouts/team/assignments/churn-prod\.json: .* errors, first"):
        assignments.read("churn-prod")
    with pytest.raises(PlatformError):
        assignments.publish(document(1), expected_epoch=None)


def test_an_object_of_another_endpoint_is_an_error(aws: Aws):
    assignments = on_s3(aws)
    assignments.publish(document(1, "a"), expected_epoch=None)
    aws.client("s3").copy_object(
        Bucket="rollouts", Key="team/assignments/b.json", CopySource="rollouts/team/assignments/a.json"
    )
    with pytest.raises(PlatformError, match="is for endpoint 'a', must be 'b'"):
        assignments.read("b")


def test_documents_are_encrypted_with_the_key_of_the_environment(aws: Aws):
    aws.client("s3").create_bucket(Bucket="rollouts")
    place = S3Place.at(make_client("s3", region=aws.region), "s3://rollouts", "alias/rollouts")
    S3Assignments(place).publish(document(1), expected_epoch=None)
    told = aws.client("s3").head_object(Bucket="rollouts", Key="churn-prod.json")
    assert ("aws:kms", "alias/rollouts") == (told["ServerSideEncryption"], told["SSEKMSKeyId"])


def test_a_bucket_that_is_not_there_is_an_error_and_not_a_missing_document(aws: Aws):
    """Missing would let a writer believe that it is the first."""
    assignments = S3Assignments(S3Place.at(make_client("s3", region=aws.region), "s3://elsewhere"))
    with pytest.raises(PlatformError, match="NoSuchBucket"):
        assignments.read("churn-prod")


@pytest.mark.parametrize("uri", ["", "rollouts", "http://rollouts/x", "s3://", "s3:///x"])
def test_what_is_no_place_on_s3_is_refused(uri: str):
    with pytest.raises(RefusedError, match="is not a place on S3"):
        S3Place.at(None, uri)
