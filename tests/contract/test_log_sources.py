"""The contract of LogSource, for the home's folders and for paths anywhere."""

from __future__ import annotations

import gzip
import os
import socket
from datetime import UTC, datetime

import pytest

from staged_rollout.adapters.aws_client import make_client
from staged_rollout.adapters.log_folder import LogFolder
from staged_rollout.adapters.log_paths import JoinedLogs, LogEntry, LogPaths
from staged_rollout.adapters.logs_s3 import S3Logs
from staged_rollout.adapters.s3_place import S3Place
from staged_rollout.errors import DataError, SpecError
from staged_rollout.records.blocks import FieldMap
from staged_rollout.spec.home import Home

pytest_plugins = ("tests.aws_fixtures",)

LINE = b'{"unit_id": "u", "timestamp": "2026-03-02T10:00:00Z", "outcome": 1}\n'
FLAT = b'{"request_id": "r", "timestamp": "2026-03-02T10:00:00Z", "variant": "v1", "prediction": 1}\n'


class Folder:
    """Where a test writes logs on this machine."""

    def __init__(self, path):
        self.path = path

    def write(self, name, body):
        (self.path / name).write_bytes(body)

    def remove(self, name):
        (self.path / name).unlink()


class Objects:
    """Where a test writes logs on S3."""

    def __init__(self, client, prefix):
        self.client, self.prefix = client, prefix

    def write(self, name, body):
        self.client.put_object(Bucket="rollouts", Key=f"{self.prefix}{name}", Body=body)

    def remove(self, name):
        self.client.delete_object(Bucket="rollouts", Key=f"{self.prefix}{name}")


def source_on_s3(aws, tmp_path, now=None):
    client = make_client("s3", region=aws.region)
    return S3Logs(
        S3Place.at(client, "s3://rollouts/captured"),
        S3Place.at(client, "s3://rollouts/team/logs"),
        memory=tmp_path / "lake" / "listed-logs.json",
        now=lambda: now or datetime.now(UTC),
    )


@pytest.fixture(params=["folder", "paths", "joined", "s3"])
def place(request, tmp_path):
    """Where to write logs, and the source that lists them."""
    if request.param == "s3":
        aws = request.getfixturevalue("aws")
        aws.client("s3").create_bucket(Bucket="rollouts")
        return Objects(aws.client("s3"), "team/logs/outcomes/churn/"), source_on_s3(aws, tmp_path)
    home = Home(tmp_path)
    folder = home.logs / "outcomes" / "churn"
    folder.mkdir(parents=True)
    paths = LogPaths([LogEntry(str(folder), "outcomes", "churn")], tmp_path)
    if request.param == "joined":
        other = LogPaths([LogEntry("elsewhere/*", "outcomes", "churn")], tmp_path, home=home)
        return Folder(folder), JoinedLogs(LogFolder(home), other)
    return Folder(folder), LogFolder(home) if request.param == "folder" else paths


def content(source, file, start=0):
    return b"".join(source.read(file, start))


def test_files_are_listed_by_name_with_their_reading(place):
    logs, source = place
    for name in ("b.jsonl", "a.jsonl"):
        logs.write(name, LINE)

    files = source.list()

    assert ["a.jsonl", "b.jsonl"] == [file.name.rpartition("/")[2] for file in files]
    assert {("outcomes", "churn", None, len(LINE), False)} == {
        (file.kind, file.endpoint, file.variant, file.size, file.compressed) for file in files
    }


def test_nothing_is_listed_where_nothing_is(place):
    assert [] == place[1].list()


def test_the_version_changes_with_the_content(place):
    logs, source = place
    logs.write("a.jsonl", LINE)
    (before,) = source.list()
    assert [before] == source.list()

    logs.write("a.jsonl", LINE.replace(b'"u"', b'"v"'))

    assert before.version != source.list()[0].version


def test_what_was_settled_is_listed_again_when_it_changes(place):
    """A listing may leave out what cannot have changed, and nothing else."""
    logs, source = place
    logs.write("a.jsonl", LINE)
    (before,) = source.list()
    source.settled()

    logs.write("a.jsonl", LINE * 2)
    logs.write("b.jsonl", LINE)

    after = {file.name.rpartition("/")[2]: file for file in source.list()}
    assert {"a.jsonl", "b.jsonl"} == after.keys()
    assert before.version != after["a.jsonl"].version


def test_a_file_is_read_from_any_byte(place):
    logs, source = place
    logs.write("a.jsonl", LINE * 3)
    (file,) = source.list()

    assert LINE * 3 == content(source, file)
    assert (LINE * 3)[17:] == content(source, file, 17)
    assert b"" == content(source, file, file.size)


def test_compressed_files_are_read_by_decompressed_offset_in_bounded_chunks(place):
    logs, source = place
    logs.write("a.jsonl.gz", gzip.compress(LINE * 50_000))
    (file,) = source.list()

    chunks = list(source.read(file, len(LINE)))

    assert file.compressed
    assert LINE * 49_999 == b"".join(chunks)
    assert max(map(len, chunks)) <= 1 << 20


def test_a_broken_compressed_file_gives_what_is_good_and_says_so(place):
    logs, source = place
    logs.write("a.jsonl.gz", gzip.compress(LINE * 1000)[:-9])
    (file,) = source.list()

    with pytest.raises(DataError, match="not a complete gzip file") as caught:
        content(source, file)
    assert file.name == caught.value.facts["file"]


def test_a_file_that_is_gone_is_an_error_with_its_name(place):
    logs, source = place
    logs.write("a.jsonl", LINE)
    (file,) = source.list()
    logs.remove("a.jsonl")

    with pytest.raises(DataError, match=r"a\.jsonl") as caught:
        content(source, file)
    assert file.name in (caught.value.facts.get("file"), file.name)


# --- files on this machine -------------------------------------------------------------------------------------------


@pytest.fixture(params=["folder", "paths", "joined"])
def local(request, tmp_path):
    """As `place`, on this machine: files grow, and may be links."""
    home = Home(tmp_path)
    folder = home.logs / "outcomes" / "churn"
    folder.mkdir(parents=True)
    paths = LogPaths([LogEntry(str(folder), "outcomes", "churn")], tmp_path)
    return folder, {"folder": LogFolder(home), "paths": paths, "joined": JoinedLogs(LogFolder(home), paths)}[
        request.param
    ]


def test_the_version_changes_when_the_content_may_have(local):
    folder, source = local
    (folder / "a.jsonl").write_bytes(LINE)
    before = source.list()

    os.utime(folder / "a.jsonl", ns=(1, 1))

    assert before[0].version != source.list()[0].version


def test_no_more_is_read_than_was_listed(local):
    folder, source = local
    (folder / "a.jsonl").write_bytes(LINE * 2)
    file = source.list()[0]
    with (folder / "a.jsonl").open("ab") as stream:
        stream.write(LINE)

    assert LINE * 2 == content(source, file)
    assert LINE == content(source, file, len(LINE))


def test_a_linked_folder_is_not_followed(local):
    folder, source = local
    (folder / "a.jsonl").write_bytes(LINE)
    before = source.list()
    (folder / "loop").symlink_to(folder)

    assert before == source.list()


# --- paths anywhere --------------------------------------------------------------------------------------------------


def paths(tmp_path, *sources, **reading):
    return LogPaths([LogEntry(str(source), **reading) for source in sources], tmp_path)


def test_gzip_is_told_by_its_first_bytes_whatever_the_name(tmp_path):
    (tmp_path / "export.log").write_bytes(gzip.compress(LINE))
    (tmp_path / "plain.gz").write_bytes(LINE)
    source = paths(tmp_path, "export.log", "plain.gz")

    assert [True, False] == [file.compressed for file in source.list()]
    assert [LINE, LINE] == [content(source, file) for file in source.list()]
    assert ["outcomes", "outcomes"] == [file.kind for file in source.list()]


def test_a_file_is_known_by_its_real_path_however_it_is_named(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.jsonl").write_bytes(LINE)
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "data" / "a.jsonl")
    (tmp_path / "linked").symlink_to(tmp_path / "data")

    source = paths(
        tmp_path, "data", "data/a.jsonl", "./data/../data/*.jsonl", "link.jsonl", "linked", tmp_path / "data"
    )

    assert [(tmp_path / "data" / "a.jsonl").resolve().as_posix()] == [file.name for file in source.list()]


def test_globs_folders_and_names_with_glob_letters(tmp_path):
    for name in ("x/1/a.log", "x/2/b.log", "x/2/c.txt", "x[1]/d.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(LINE)

    def names(*sources):
        return [file.name.rpartition("/")[2] for file in paths(tmp_path, *sources).list()]

    assert ["a.log", "b.log"] == names("x/**/*.log")
    assert ["a.log", "b.log", "c.txt"] == names("x")
    assert ["a.log", "b.log", "c.txt"] == names("x/*")
    assert ["d.log"] == names("x[1]")
    assert ("x/*.none", "gone.jsonl") == tuple(paths(tmp_path, "x", "x/*.none", "gone.jsonl").unmatched())


def test_hidden_files_markers_and_the_lake_are_left_out(tmp_path):
    for name in (".a", "_SUCCESS", ".git/b", "lake/warehouse/c.parquet", "d"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(LINE)
    source = LogPaths([LogEntry(".")], tmp_path, apart=tmp_path / "lake")

    assert ["d"] == [file.name.rpartition("/")[2] for file in source.list()]
    assert [".a"] == [file.name.rpartition("/")[2] for file in paths(tmp_path, ".a").list()]


def test_what_is_no_file_is_listed_and_says_why_when_it_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / os.fsdecode(b"bad\xff")).write_bytes(LINE)
    (tmp_path / "nothing").symlink_to(tmp_path / "gone")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        source = paths(tmp_path, ".")
        reasons = {}
        for file in source.list():
            with pytest.raises(DataError) as caught:
                content(source, file)
            assert file.name == caught.value.facts["file"]
            reasons[file.name.rpartition("/")[2]] = caught.value.message.removeprefix(file.name + " ")

    assert "is not a regular file" == reasons["pipe"] == reasons["socket"]
    assert "cannot be read: No such file or directory" == reasons["nothing"]
    assert "has a name that is not UTF-8" == reasons["bad\\udcff"]
    assert "cannot be read: Too many levels of symbolic links" == reasons["loop"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_says_so(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(LINE)
    (tmp_path / "a.jsonl").chmod(0)
    source = paths(tmp_path, "a.jsonl")

    with pytest.raises(DataError, match="Permission denied"):
        content(source, source.list()[0])


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (LINE, "outcomes"),
        (FLAT, "predictions"),
        (b'{"request_id": "r", "timestamp": "t", "rating": 4}', "feedback"),
        (b'{"captureData": {}, "eventMetadata": {}, "eventVersion": "0"}', "capture"),
        (b'{"groundTruthData": {}, "eventMetadata": {}}', "ground-truth"),
        (b'{"champion": {"prediction": 1}, "shadow": {"prediction": 1}}', "shadow"),
        (b'{"variant": "v", "prediction": 1, "shadow_prediction": 1}', "shadow"),
        (b"\n\xef\xbb\xbf\nbroken\n" + FLAT, "predictions"),
        (b"", "predictions"),
    ],
)
def test_the_first_record_tells_the_format(tmp_path, line, kind):
    (tmp_path / "ENDPOINT/v1/2026/03/02/10").mkdir(parents=True)
    (tmp_path / "ENDPOINT/v1/2026/03/02/10/x").write_bytes(line)

    assert [kind] == [file.kind for file in paths(tmp_path, ".").list()]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"a": 1}', "its first record fits no format"),
        (b'{"unit_id": "u", "outcome": 1, "rating": 2}', "its first record fits outcomes or feedback"),
        (b'{"unit_id": "u", "outcome": 1, "prediction": 2}', "its first record fits flat or outcomes"),
        (b"a,b\n1,2\n", "no line of its beginning is a JSON object"),
    ],
)
def test_a_format_is_never_guessed(tmp_path, line, why):
    (tmp_path / "x").write_bytes(line)

    with pytest.raises(SpecError, match=why) as caught:
        paths(tmp_path, "x").list()
    assert "--format flat|capture|shadow|outcomes|ground-truth|feedback" == caught.value.hint
    assert 1 == len(paths(tmp_path, "x", kind="outcomes").list())


def test_names_of_a_field_map_tell_a_format_too(tmp_path):
    (tmp_path / "x").write_bytes(b'{"user": "u", "ts": "t", "group": "a", "label": 1}\n')

    def kind(**fields):
        return paths(tmp_path, "x", fields=fields).list()[0].kind

    assert "predictions" == kind(unit_id="user", variant="group")
    assert "outcomes" == kind(unit_id="user", outcome="label")


def test_a_field_map_is_read_for_its_format_and_what_is_wrong_is_said(tmp_path):
    (tmp_path / "x").write_bytes(FLAT)

    file = paths(tmp_path, "x", fields={"rollout": "exp", "eur": "revenue"}).list()[0]

    assert FieldMap({"rollout": "exp"}, {"eur": "revenue"}) == file.fields
    with pytest.raises(SpecError, match="timestamp cannot be absent; accepted"):
        paths(tmp_path, "x", fields={"timestamp": None}).list()


def test_endpoint_and_variant_of_captures_come_from_the_place_or_are_asked_for(tmp_path):
    name = tmp_path / "s3" / "churn-prod" / "v2" / "2026" / "03" / "02" / "10" / "a.jsonl"
    name.parent.mkdir(parents=True)
    name.write_bytes(b"{}\n")
    (tmp_path / "loose.jsonl").write_bytes(b"{}\n")

    def reading(source, **entry):
        (file,) = paths(tmp_path, source, kind="capture", **entry).list()
        return file.endpoint, file.variant

    assert ("churn-prod", "v2") == reading("s3")
    assert ("other", "v9") == reading("s3", endpoint="other", variant="v9")
    assert ("local", "v9") == reading("loose.jsonl", variant="v9")
    with pytest.raises(SpecError, match="say which variant answered"):
        reading("loose.jsonl")


def test_ground_truth_has_the_end_of_its_hour_or_the_age_of_its_file(tmp_path):
    name = tmp_path / "truth" / "2026" / "03" / "02" / "23" / "a.jsonl"
    name.parent.mkdir(parents=True)
    name.write_bytes(b"{}\n")
    loose = tmp_path / "truth" / "2026" / "13" / "02" / "23" / "b.jsonl"
    loose.parent.mkdir(parents=True)
    loose.write_bytes(b"{}\n")
    os.utime(loose, (1_772_445_600, 1_772_445_600))

    times = [file.at.isoformat() for file in paths(tmp_path, "truth", kind="ground-truth").list()]

    assert ["2026-03-02T23:59:59.999999+00:00", "2026-03-02T10:00:00+00:00"] == times


def test_one_file_is_read_in_one_way(tmp_path):
    (tmp_path / "x").write_bytes(FLAT)
    source = LogPaths([LogEntry("x", "predictions"), LogEntry("*", "predictions", "other")], tmp_path)

    with pytest.raises(SpecError, match="read in two ways: flat of endpoint local, and flat of endpoint other"):
        source.list()


def test_a_lenient_source_lists_what_is_unclear_and_reads_the_others(tmp_path):
    """The law: one file that cannot be understood does not blind a rollout."""
    (tmp_path / "x").write_bytes(FLAT)
    (tmp_path / "loose.jsonl").write_bytes(b"{}\n")
    (tmp_path / "fine").write_bytes(LINE)
    entries = [
        LogEntry("x", "predictions"),
        LogEntry("x", "predictions", "other"),
        LogEntry("loose.jsonl", "capture"),
        LogEntry("fine", "outcomes"),
    ]
    source = LogPaths(entries, tmp_path, lenient=True)

    fine, loose, twice = source.list()

    assert LINE == content(source, fine)
    for file, why in ((loose, "which variant answered"), (twice, "is read in two ways")):
        with pytest.raises(DataError, match=why) as caught:
            content(source, file)
        assert file.name == caught.value.facts["file"]


def test_files_of_a_home_keep_their_names_there(tmp_path):
    home = Home(tmp_path)
    path = home.logs / "outcomes" / "churn" / "a.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(LINE)
    source = LogPaths([LogEntry(str(path))], tmp_path, home=home)
    other = LogPaths([LogEntry(str(path), endpoint="other")], tmp_path, home=home)

    assert LogFolder(home).list() == source.list()
    assert LINE == content(source, source.list()[0])
    assert [path.resolve().as_posix()] == [file.name for file in other.list()]
    assert LINE == content(other, other.list()[0])
    assert LogFolder(home).list() == JoinedLogs(LogFolder(home), source).list()
