"""The Lambda function's zip: the handler must not need, at any time, a package that `make lambda` leaves out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

PROGRAM = """
import json, sys
from staged_rollout.servers.router.lambda_handler import LambdaRouter, LambdaSettings
router = LambdaRouter(LambdaSettings("churn-prod", "s3://bucket/assignments", "s3://bucket/logs"))
body = {"version": "2.0", "rawPath": "/predict", "requestContext": {"http": {"method": "POST"}}, "body": "{}"}
assert router.answer(body)["statusCode"] == 400
body["body"] = json.dumps({"unit_id": "u", "features": {}})
assert router.answer(body)["statusCode"] == 503
print(*{name.split(".")[0] for name, module in sys.modules.items()
        if "site-packages" in (getattr(module, "__file__", None) or "")})
"""


def test_what_is_imported_is_in_the_zip():
    """Also what a request imports at its first use; a cold start loads no web framework and no numerics."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.search(r"^LAMBDA_PACKAGES := (.+)$", makefile, re.MULTILINE)
    assert found is not None
    packages = {{"python-dateutil": "dateutil", "pyyaml": "yaml"}.get(n, n.replace("-", "_")) for n in found[1].split()}
    environment = {
        "PATH": "/usr/bin:/bin",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert 0 == told.returncode, told.stderr
    imported = {name for name in told.stdout.split() if not name.startswith(("_", "sitecustomize"))}
    # botocore takes certifi's certificates if they are there, and its own if not.
    assert imported - packages - {"certifi"} == set()
    assert {"boto3", "orjson", "pydantic", "yaml"} <= imported
