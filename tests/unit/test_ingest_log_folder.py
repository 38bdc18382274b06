"""Log files by their place."""

from __future__ import annotations

import gzip
import os

import pytest

from staged_rollout.adapters.log_folder import LogFolder, Place, place_of
from staged_rollout.errors import DataError
from staged_rollout.ports.logs import LogFile
from staged_rollout.spec.home import Home


def write(home, name, content=b"x\n"):
    path = home.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "a home")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("logs/predictions/churn/2026-03-02/router-1.jsonl", Place("predictions", "churn")),
        ("logs/predictions/churn/2026-03-02/x.jsonl.gz", Place("predictions", "churn")),
        ("logs/outcomes/churn/any name.jsonl", Place("outcomes", "churn")),
        ("capture/churn/v2/2026/02/14/17/a.jsonl", Place("capture", "churn", "v2")),
        ("capture/churn/AllTraffic/2026/02/14/17/a.jsonl", Place("capture", "churn", "AllTraffic")),
        ("capture/churn/2026/02/14/17/a.jsonl", None),
        ("logs/predictions/churn/router.jsonl", None),
        ("logs/predictions/churn/2026-03-02/router.jsonl.tmp", None),
        ("logs/predictions/.hidden/2026-03-02/router.jsonl", None),
        ("logs/other/churn/a.jsonl", None),
        ("a.jsonl", None),
    ],
)
def test_place_says_kind_endpoint_and_variant(name, expected):
    assert expected == place_of(name)


def test_lists_by_name_and_leaves_other_files_alone(home):
    for name in (
        "logs/outcomes/b/2.jsonl",
        "logs/outcomes/b/1.jsonl.gz",
        "logs/notes.txt",
        "capture/b/v1/1/2/3/4/c.jsonl",
    ):
        write(home, name)

    files = LogFolder(home).list()

    assert ["capture/b/v1/1/2/3/4/c.jsonl", "logs/outcomes/b/1.jsonl.gz", "logs/outcomes/b/2.jsonl"] == [
        file.name for file in files
    ]
    assert ["v1", None, None] == [file.variant for file in files]
    assert [False, True, False] == [file.compressed for file in files]


def test_an_empty_home_has_no_files(home):
    assert [] == LogFolder(home).list()


def test_links_out_of_the_home_are_refused(home, tmp_path):
    secret = tmp_path / "secret.jsonl"
    secret.write_bytes(b"secret\n")
    (home.logs / "outcomes" / "b").mkdir(parents=True)
    (home.logs / "outcomes" / "b" / "link.jsonl").symlink_to(secret)
    (home.logs / "outcomes" / "b" / "broken.jsonl").symlink_to(tmp_path / "nothing")
    (home.logs / "outcomes" / "folder").symlink_to(tmp_path)

    assert [] == LogFolder(home).list()
    with pytest.raises(DataError, match="leads out of"):
        list(LogFolder(home).read(LogFile("outcomes", "b", "logs/outcomes/b/link.jsonl", 7)))


def test_version_changes_when_the_content_may_have(home):
    path = write(home, "logs/outcomes/b/1.jsonl", b"aa\n")
    before = LogFolder(home).list()[0]
    same = LogFolder(home).list()[0]
    path.write_bytes(b"bb\n")
    os.utime(path, ns=(1, 1))

    assert before == same
    assert before.version != LogFolder(home).list()[0].version


def test_reads_no_further_than_listed(home):
    path = write(home, "logs/outcomes/b/1.jsonl", b"aa\nbb\n")
    file = LogFolder(home).list()[0]
    with path.open("ab") as stream:
        stream.write(b"cc\n")

    assert b"aa\nbb\n" == b"".join(LogFolder(home).read(file))
    assert b"bb\n" == b"".join(LogFolder(home).read(file, 3))


def test_reads_compressed_files_by_decompressed_offset(home):
    write(home, "logs/outcomes/b/1.jsonl.gz", gzip.compress(b"aa\n" * 1_000_000))
    file = LogFolder(home).list()[0]
    chunks = list(LogFolder(home).read(file, 3))

    assert b"aa\n" * 999_999 == b"".join(chunks)
    assert max(len(chunk) for chunk in chunks) <= 1 << 20


@pytest.mark.parametrize(
    "content",
    [gzip.compress(b"aa\n" * 1000)[:-9], b"not gzip", gzip.compress(b"aa\n")[:-8] + b"12345678"],
    ids=["cut", "not gzip", "wrong checksum"],  # the bytes tell the time, and two workers must agree on the names
)
def test_a_broken_compressed_file_is_said_to_be_one(home, content):
    write(home, "logs/outcomes/b/1.jsonl.gz", content)
    file = LogFolder(home).list()[0]

    with pytest.raises(DataError, match="not a complete gzip file"):
        list(LogFolder(home).read(file))


def test_a_file_that_is_gone_is_an_error_with_its_name(home):
    path = write(home, "logs/outcomes/b/1.jsonl")
    file = LogFolder(home).list()[0]
    path.unlink()

    with pytest.raises(DataError, match=r"1\.jsonl"):
        list(LogFolder(home).read(file))
