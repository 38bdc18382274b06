"""The router's copy of the assignment documents."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from staged_rollout.adapters.assignments_file import FileAssignments
from staged_rollout.assignment import AssignmentDocument, VariantRef
from staged_rollout.ports.serving import PublishedAssignment
from staged_rollout.servers.router.documents import Documents


def document(epoch: int, endpoint: str = "e") -> AssignmentDocument:
    champion = VariantRef(name="v1", version="1")
    return AssignmentDocument(endpoint=endpoint, epoch=epoch, champion=champion, published_at=datetime.now(UTC))


def test_an_endpoint_without_a_document_is_not_remembered(tmp_path: Path):
    """Or anybody could fill the memory with names."""
    documents = Documents(FileAssignments(tmp_path), 1.0)
    assert documents.current("e") is None
    assert documents.all() == []
    FileAssignments(tmp_path).publish(document(1), expected_epoch=None)
    assert documents.current("e") == FileAssignments(tmp_path).read("e").document


def test_a_document_that_was_read_late_does_not_replace_a_newer_one():
    """Epochs only grow, so that no row is stamped with an epoch that had ended."""

    class Source:
        epochs = iter((2, 1, 3))

        def read(self, endpoint: str) -> PublishedAssignment:
            return PublishedAssignment(document(next(self.epochs), endpoint), 0.0)

        def publish(self, document: AssignmentDocument, *, expected_epoch: int | None) -> None:
            raise AssertionError("routers never publish")

    documents = Documents(Source(), 1.0)
    assert documents.current("e").epoch == 2
    seen = []
    for _ in range(2):
        documents._read("e")
        seen.append(documents.current("e").epoch)
    assert seen == [2, 3]


def test_a_broken_file_is_reported_once_and_again_after_it_was_mended(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    source = FileAssignments(tmp_path)
    source.publish(document(1), expected_epoch=None)
    documents = Documents(source, 1.0)
    documents.current("e")
    path = tmp_path / "e.json"
    good = path.read_bytes()
    for _ in range(2):
        path.write_bytes(b"{")
        for _ in range(3):
            documents._read("e")
        path.write_bytes(good)
        documents._read("e")
    assert [record.getMessage() for record in caplog.records] == [
        "endpoint e: the last good assignment stays in force"
    ] * 2
    assert documents.current("e").epoch == 1
