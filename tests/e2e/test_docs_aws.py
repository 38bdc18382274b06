"""docs/aws.md, followed from its first line to its last against moto's server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from staged_rollout.spec.environment import load_environment
from tests.aws_server import Aws

pytest_plugins = ("tests.aws_fixtures",)

ROOT = Path(__file__).parents[2]
COMMANDS = [
    line
    for block in re.findall(r"^```bash\n(.*?)^```$", (ROOT / "docs" / "aws.md").read_text(), re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
LIMIT_S = 300


def test_the_page_is_followed_from_an_empty_account_to_a_registered_rollout(aws: Aws, tmp_path: Path):
    """The law: each command of the page succeeds as it stands; doctor warns at first, and is content at the end."""
    for name in ("configs", "infrastructure"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "configs" / "environments" / "production.yaml").unlink()
    for name in ("model", "candidate"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.bin").write_text(name)
    aws.settings(quotas={"ml.m5.xlarge": 40.0})
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "STAGED_ROLLOUT_HOME": str(tmp_path / "home"),
        "STAGED_ROLLOUT_CONFIGS": str(tmp_path / "configs"),
    }
    said: list[str] = []
    assert 8 == len(COMMANDS)
    for command in COMMANDS:
        shown = command.replace("staged-rollout ", f"{sys.executable} -m staged_rollout.cli ", 1)
        ran = subprocess.run(
            shown if command.startswith("staged-rollout") else command,
            shell=True,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        said.append(ran.stdout)
        if ran.returncode != 0:
            pytest.fail(f"{command}\n{ran.stdout}\n{ran.stderr}")
    spec = load_environment("production", tmp_path / "configs")
    assert (aws.account, "rollouts-production", "rollouts-production") == (
        spec.account,
        spec.aws.bucket,
        spec.aws.queue,
    )
    assert "churn has no champion" in said[1]
    assert "churn version 1 is registered, approved" in said[2]
    assert "registered churn-v2" in said[5]
    assert "churn-v2" in said[6]
    last = {line.split()[2]: line.split()[0] for line in said[7].splitlines() if line.split()[1:2] == ["aws"]}
    assert {"ok"} == set(last.values()), said[7]
    assert {"account", "reads", "endpoints", "quotas", "registry", "queue", "rule", "bucket"} == set(last)
