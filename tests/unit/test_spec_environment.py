from __future__ import annotations

import re
from pathlib import Path

import pytest

from staged_rollout.errors import NotFoundError, SpecError
from staged_rollout.spec.environment import EnvironmentSpec, load_environment
from staged_rollout.spec.locations import configs_dir, find_rollout

CONFIGS = Path(__file__).parents[2] / "configs"
HEAD = "name: e\nlocal: false\n"
AWS = HEAD + "account: '111122223333'\nregion: us-east-1\n"


def write(tmp_path, text):
    path = tmp_path / "e.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_four_that_come_with_it():
    demo, local, staging, production = (
        load_environment(name, CONFIGS) for name in ("demo", "local", "staging", "production")
    )
    assert (demo.local, demo.clock) == (True, "simulated")
    assert (local.local, local.clock) == (True, "real")
    assert not demo.adapters.uses_aws
    assert not local.adapters.uses_aws
    for environment in (staging, production):
        assert not environment.local
        assert environment.adapters.uses_aws
        assert environment.account == "111122223333"
        assert environment.aws.uri("lake") == f"s3://staged-rollout-{environment.name}/churn-team/lake"


@pytest.mark.parametrize(
    "name", ["../environments/demo", "/etc/passwd", "..", "", "demo\n", "a/b", "demo.yml.", "x" * 64]
)
def test_a_name_cannot_leave_the_folder(name):
    with pytest.raises(SpecError, match="is not the name of a file"):
        load_environment(name, CONFIGS)


def test_an_unknown_name_lists_those_that_exist():
    with pytest.raises(NotFoundError, match="demo, local, production, staging"):
        load_environment("nowhere", CONFIGS)


def test_a_path_is_taken_as_it_is(tmp_path):
    assert load_environment(write(tmp_path, HEAD)).name == "e"
    assert load_environment(str(tmp_path / "e.yaml")).name == "e"


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
DAMAGED = [
    ("name: other\n", 1, "name", "is not the file's name", "e"),
    (HEAD + "clok: real\n", 3, "clok", "did you mean 'clock'", "name, local"),
    (HEAD + "clock: fast\n", 3, "clock", "is not one of them", "'real' or 'simulated'"),
    (HEAD + "clock: simulated\n", 1, "", "needs local == true", ""),
    (HEAD + "account: '12'\n", 3, "account", "string should match", "12 digits"),
    (HEAD + "account: 111122223333\n", 3, "account", "string", "12 digits in quotes"),
    (HEAD + "adapters:\n  serving: azure\n", 4, "adapters.serving", "is not one of them", "'embedded' or 'aws'"),
    (HEAD + "adapters: {serving: aws}\n", 1, "", "need account and region", ""),
    (AWS + "adapters: {serving: aws}\n", 1, "", "need aws.bucket or aws.capture, aws.model_role", ""),
    (AWS + "adapters: {lake: aws, tracker: aws}\n", 1, "", "need aws.bucket or aws.lake, aws.mlflow", ""),
    (AWS + "aws: {bucket: Logs}\n", 5, "aws.bucket", "should match", "a bucket's name"),
    (AWS + "aws: {prefix: ../up}\n", 5, "aws.prefix", "should match", "a/prefix"),
    (AWS + "aws: {logs: 's3://b-1/it''s'}\n", 5, "aws.logs", "should match", "s3://BUCKET/PREFIX"),
    (AWS + "aws: {logs: /etc/passwd}\n", 5, "aws.logs", "should match", "s3://BUCKET/PREFIX"),
    (AWS + "aws: {buckets: b}\n", 5, "aws.buckets", "did you mean 'bucket'", "bucket, prefix"),
    (AWS + "role_arn: arn:aws:iam::1:user/me\n", 5, "role_arn", "should match", "arn:aws:iam::ACCOUNT:role/NAME"),
    (HEAD + "ledger: postgresql://u:secret@h/d\n", 3, "ledger", "holds a password", "without a password"),
    (HEAD + "ledger: postgresql:///d?password=x\n", 3, "ledger", "holds a password", "without a password"),
    (HEAD + "ledger: somewhere\n", 3, "ledger", "not a SQLAlchemy URL", "SQLAlchemy URL"),
    (HEAD + "defaults:\n  blind_after: soon\n", 4, "defaults.blind_after", "is not a duration", "30m"),
    (HEAD + "defaults:\n  instances: 3\n", 4, "defaults.instances", "did you mean 'instance'", "capture_delay"),
    (HEAD + "approvers:\n  growth-ml:\n    - a key\n", 4, "approvers.growth-ml", "under a name", "with people"),
    (HEAD + "approvers:\n  ml:\n    ana: short\n", 5, "approvers.ml.ana.0", "key of kind 'short'", "with people"),
    (HEAD + "approvers:\n  ml:\n    ana: ssh-ed25519 AAAA\n", 5, "approvers.ml.ana.0", "not a whole", "with people"),
    (HEAD + f"approvers:\n  ml: {{ana: {KEY}, ben: {KEY}}}\n", 3, "approvers", "ana and ben have the same", "people"),
    (HEAD + "prices: {per_million_requests: -1}\n", 3, "prices.per_million_requests", "greater than", "from 0"),
    (HEAD + "drain_s: -1\n", 3, "drain_s", "greater than", "from 0"),
    (HEAD + "poll_s: 0\n", 3, "poll_s", "greater than", "above 0"),
    (HEAD + "logs:\n  - {source: x}\n", 4, "logs.0.format", "is missing", "flat, capture"),
    (HEAD + "logs:\n  - {source: x, format: csv}\n", 4, "logs.0.format", "is not one of them", "'flat'"),
    (HEAD + "logs:\n  - {source: '', format: flat}\n", 4, "logs.0.source", "at least 1", "a glob"),
    (
        HEAD + "logs:\n  - source: x\n    format: outcomes\n    fields: {prediction: p}\n",
        4,
        "logs.0",
        "'prediction' is not a field of outcomes lines",
        "a list of",
    ),
    (HEAD + "local: true\n", 3, "local", "is here twice", "each key once"),
]


@pytest.mark.parametrize("case", DAMAGED, ids=lambda case: case[0].removeprefix(HEAD)[:40])
def test_what_is_wrong_has_its_line(tmp_path, case):
    text, line, key, problem, accepts = case
    with pytest.raises(SpecError) as caught:
        load_environment(write(tmp_path, text))
    (finding,) = caught.value.facts["findings"]
    assert (line, key) == (finding.line, finding.key)
    assert problem in finding.problem
    assert accepts in finding.accepts


def test_all_errors_of_an_environment_are_told_at_once(tmp_path):
    with pytest.raises(SpecError, match=r"e\.yaml: 3 errors"):
        load_environment(write(tmp_path, HEAD + "clock: fast\nregion: here\nextra: 1\n"))


def test_a_secret_in_a_ledger_url_is_refused_in_python_too():
    with pytest.raises(ValueError, match="holds a password"):
        EnvironmentSpec(name="e", ledger="postgresql://u:secret@h/d")


def test_an_environment_round_trips_through_json():
    for name in ("demo", "production"):
        environment = load_environment(name, CONFIGS)
        assert environment == EnvironmentSpec.model_validate_json(environment.model_dump_json())


def test_logs_of_others_are_read_as_the_page_shows_them(tmp_path):
    """The law: the example in docs/logs.md is read as it stands there."""
    page = (CONFIGS.parent / "docs" / "logs.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)

    (log,) = load_environment(write(tmp_path, HEAD + shown)).logs

    assert ("exports/2026-03", "predictions", "churn-prod", None) == (log.source, log.kind, log.endpoint, log.variant)
    assert {"rollout": "experiment_id", "unit_id": "user.id", "latency_ms": None} == log.fields


def test_where_configs_lie(tmp_path, monkeypatch):
    monkeypatch.delenv("STAGED_ROLLOUT_CONFIGS", raising=False)
    monkeypatch.chdir(tmp_path)
    assert configs_dir() == CONFIGS
    (tmp_path / "configs").mkdir()
    assert configs_dir() == tmp_path / "configs"
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("STAGED_ROLLOUT_CONFIGS", str(tmp_path / "other"))
    assert configs_dir() == tmp_path / "other"
    assert configs_dir(tmp_path) == tmp_path
    monkeypatch.setenv("STAGED_ROLLOUT_CONFIGS", str(tmp_path / "missing"))
    with pytest.raises(NotFoundError, match="missing"):
        configs_dir()


def test_a_rollout_is_found_by_its_name():
    assert find_rollout("churn", CONFIGS) == CONFIGS / "rollouts" / "churn.yaml"
    with pytest.raises(NotFoundError, match="churn"):
        find_rollout("chrun", CONFIGS)


def test_each_place_on_s3_is_its_own_or_lies_below_the_bucket(tmp_path):
    """The law: a place that is named stands above bucket and prefix; ports are chosen one by one."""
    text = AWS + "aws: {bucket: b-1, prefix: a/b, capture: s3://c-1/x}\nadapters: {logs: aws}\n"
    environment = load_environment(write(tmp_path, text))
    assert ("s3://b-1/a/b/logs", "s3://c-1/x") == (environment.aws.uri("logs"), environment.aws.uri("capture"))
    assert (True, False) == (environment.on_aws("logs"), environment.on_aws("serving"))
