"""The labs' path: two models as production variants of one endpoint, from even traffic to the better one alone.

Run from the repository's root: `.venv/bin/python -m examples.labs.labs --home labs-home`. It talks to the endpoint
with boto3 alone, and sends traffic and reads logs with the `staged-rollout` command. docs/labs.md says what each step
is for.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from demo.models import DATA, candidate_v2, candidate_v5, champion_v1, load_customers

ENDPOINT = "churn-labs"
TAG = {"Key": "staged-rollout-lab", "Value": ENDPOINT}
"""Marks what the lab made: nothing else is ever deleted."""
SEED = 7
HERE = Path(__file__).parent
WAIT_S = 1800.0


@dataclass(frozen=True)
class Lab:
    """Where the lab runs.

    Attributes:
        sagemaker: A boto3 client of `sagemaker`.
        packages: The models, as the endpoint's models name them: ours of the registry, or ARNs of model packages.
        role: The role that models run with; None on the local endpoint.
        capture: Where Data Capture goes, `s3://BUCKET/PREFIX`; the local endpoint writes below its home.
        options: What each `staged-rollout` command is given.
        traffic: The customers that are asked about.
        rate: Requests a second.
        folder: Where labels are written.
    """

    sagemaker: Any
    packages: tuple[str, ...]
    role: str | None
    capture: str
    options: tuple[str, ...]
    traffic: Path
    rate: int
    folder: Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both labs; prints each step."""
    given = _parser().parse_args(arguments)
    home = given.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as opened:
        lab = _on_aws(given, home) if given.environment else _on_this_machine(given, home, opened)
        opened.callback(remove, lab)
        results = {"two": two_variants(lab), "three": three_variants(lab)}
    (home / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    return 0


def two_variants(lab: Lab) -> dict[str, Any]:
    """50/50, TargetVariant, metrics, 25/75, 0/100, and the loser is deleted."""
    told: dict[str, Any] = {}
    first = datetime.now(UTC).replace(microsecond=0)
    _say("two models, one endpoint, weights 1:1")
    _create(lab, "two", {"v1": 1.0, "v2": 1.0})
    told["even"] = _send(lab, "even")
    told["v1"] = _send(lab, "target-v1", "--variant", "v1")
    told["v2"] = _send(lab, "target-v2", "--variant", "v2")
    told["metrics"] = metrics(lab, first)
    for step, weights in {"25-75": {"v1": 1.0, "v2": 3.0}, "0-100": {"v1": 0.0, "v2": 1.0}}.items():
        _say(f"weights {step}")
        # All of them, always: a weight that is left out stays as it was, beside the new ones.
        desired = [{"VariantName": name, "DesiredWeight": weight} for name, weight in weights.items()]
        lab.sagemaker.update_endpoint_weights_and_capacities(EndpointName=ENDPOINT, DesiredWeightsAndCapacities=desired)
        _wait(lab)
        told[step] = _send(lab, step)
    _say("the loser goes: an endpoint config with v2 alone, then v1's model")
    _config(lab, "two-winner", {"v2": 1.0})
    lab.sagemaker.update_endpoint(EndpointName=ENDPOINT, EndpointConfigName=f"{ENDPOINT}-two-winner")
    _wait(lab)
    lab.sagemaker.delete_endpoint_config(EndpointConfigName=f"{ENDPOINT}-two")
    lab.sagemaker.delete_model(ModelName=f"{ENDPOINT}-v1")
    told["winner"] = _send(lab, "winner")
    remove(lab)
    return told


def three_variants(lab: Lab) -> dict[str, Any]:
    """Weights .7, .2 and .1."""
    _say("three models, weights .7, .2, .1")
    _create(lab, "three", {"v1": 0.7, "v2": 0.2, "v3": 0.1})
    told = _send(lab, "three")
    remove(lab)
    return told


def metrics(lab: Lab, first: datetime) -> list[dict[str, Any]]:
    """Accuracy, precision, recall, F1 and AUC of each variant, from the lake.

    Args:
        lab: Where.
        first: Answers before this are another run's.
    """
    import duckdb

    _command(lab, "ingest")  # Data Capture, where the environment's endpoints write it
    _command(lab, "ingest", str(lab.folder / "*.jsonl"), "--format", "ground-truth", "--endpoint", ENDPOINT)
    files = {table: _files(lab, table) for table in ("captures", "outcomes")}
    parameters = {**files, "endpoint": ENDPOINT, "first": first.isoformat()}
    found = duckdb.execute((HERE / "metrics.sql").read_text(), parameters)
    names = [column[0] for column in found.description]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    for row in rows:
        figures = ", ".join(f"{name} {row[name]:.3f}" for name in names[2:])
        _say(f"{row['variant']}: {row['answers']} answers, {figures}")
    return rows


def remove(lab: Lab) -> None:
    """Delete whatever of the lab is there. What does not carry its tag is somebody else's, and stays.

    Raises:
        RuntimeError: an endpoint of the lab's name is somebody else's.
    """
    sagemaker = lab.sagemaker
    mine = _mine(sagemaker, "list_endpoints", "Endpoints", "Endpoint")
    if ENDPOINT in mine:
        _wait(lab)
        sagemaker.delete_endpoint(EndpointName=ENDPOINT)
        while ENDPOINT in _mine(sagemaker, "list_endpoints", "Endpoints", "Endpoint"):
            time.sleep(0.5)
    for name in _mine(sagemaker, "list_endpoint_configs", "EndpointConfigs", "EndpointConfig"):
        sagemaker.delete_endpoint_config(EndpointConfigName=name)
    for name in _mine(sagemaker, "list_models", "Models", "Model"):
        sagemaker.delete_model(ModelName=name)


def _mine(sagemaker: Any, operation: str, rows: str, kind: str) -> list[str]:
    """Names that carry the lab's tag, of those that begin as its names do."""
    found = []
    for page in sagemaker.get_paginator(operation).paginate(NameContains=ENDPOINT):
        for row in page[rows]:
            name, arn = row[f"{kind}Name"], row[f"{kind}Arn"]
            if name != ENDPOINT and not name.startswith(f"{ENDPOINT}-"):
                continue
            if TAG in sagemaker.list_tags(ResourceArn=arn)["Tags"]:
                found.append(name)
            elif name == ENDPOINT:
                message = (
                    f"endpoint {name} exists and does not carry the tag {TAG['Key']}={TAG['Value']}: not the lab's"
                )
                raise RuntimeError(message)
    return found


def _create(lab: Lab, name: str, weights: dict[str, float]) -> None:
    for variant, package in zip(weights, lab.packages, strict=False):
        container = {"PrimaryContainer": {"ModelPackageName": package}}
        role = {} if lab.role is None else {"ExecutionRoleArn": lab.role}
        lab.sagemaker.create_model(ModelName=f"{ENDPOINT}-{variant}", Tags=[TAG], **container, **role)
    _config(lab, name, weights)
    lab.sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=f"{ENDPOINT}-{name}", Tags=[TAG])
    _wait(lab)


def _config(lab: Lab, name: str, weights: dict[str, float]) -> None:
    lab.sagemaker.create_endpoint_config(
        EndpointConfigName=f"{ENDPOINT}-{name}",
        Tags=[TAG],
        ProductionVariants=[
            {
                "VariantName": variant,
                "ModelName": f"{ENDPOINT}-{variant}",
                "InitialVariantWeight": weight,
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 1,
            }
            for variant, weight in weights.items()
        ],
        DataCaptureConfig={
            "EnableCapture": True,
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": lab.capture,
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            # Without these, captured bodies are base64.
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"], "CsvContentTypes": ["text/csv"]},
        },
    )


def _wait(lab: Lab) -> None:
    end = time.monotonic() + WAIT_S
    while (status := lab.sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointStatus"]) != "InService":
        if status == "Failed" or time.monotonic() > end:
            raise SystemExit(f"endpoint {ENDPOINT} is {status}")
        time.sleep(0.5)


def _send(lab: Lab, run: str, *more: str) -> dict[str, Any]:
    """Every customer once; what came back."""
    truth = lab.folder / f"{run}-{time.time_ns()}.jsonl"
    words = ("--endpoint", ENDPOINT, "--rate", f"{lab.rate}/s", "--run", truth.stem, "--unit-column", "customer_id")
    labels = ("--label", "churn", "--positive", "yes", "--ground-truth", str(truth))
    told: dict[str, Any] = json.loads(
        _command(lab, "replay-traffic", str(lab.traffic), *words, *labels, *more, "--json")
    )
    shares = ", ".join(f"{name} {count / told['answered']:.1%}" for name, count in told["variants"].items())
    _say(f"{run}: {told['answered']} of {told['sent']} answered, {shares}, p95 {told['latency_ms']['p95']:.0f} ms")
    return told


def _files(lab: Lab, table: str) -> list[str]:
    told = json.loads(_command(lab, "lake", "files", table, "--json"))
    return [file["path"] for file in told["files"]]


def _command(lab: Lab, *words: str) -> str:
    command = [sys.executable, "-m", "staged_rollout.cli", *words, *lab.options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode:
        raise SystemExit(f"staged-rollout {' '.join(words)}\n{done.stderr}")
    return done.stdout


def _on_this_machine(given: argparse.Namespace, home: Path, opened: ExitStack) -> Lab:
    """Trains three models in a second or two, registers them, and starts the local endpoint."""
    import boto3

    from staged_rollout.adapters.local_servers import LocalServers
    from staged_rollout.adapters.registry_mlflow import MlflowRegistry
    from staged_rollout.spec.home import Home

    customers = load_customers(SEED)
    registry = MlflowRegistry(Home(home).registry)
    packages = []
    for estimator, features in (champion_v1(customers), candidate_v2(customers), candidate_v5(customers)):
        encodings = {name: codes for name, codes in customers.encodings.items() if name in features}
        version = registry.register("churn", estimator, features=features, encodings=encodings).version
        packages.append(f"churn/{version}")
    servers = opened.enter_context(LocalServers(Home(home), start_timeout_s=300.0))
    sagemaker = boto3.client(
        "sagemaker",
        endpoint_url=servers.endpoint_url,
        region_name="local",
        aws_access_key_id="any",
        aws_secret_access_key="any",  # noqa: S106 - the local endpoint has no accounts
    )
    traffic = _traffic(home, [int(number) for number in customers.traffic[: given.customers]])
    options = ("--home", str(home), "--environment", "local")
    return Lab(sagemaker, tuple(packages), None, "s3://local/capture", options, traffic, given.rate, _labels(home))


def _on_aws(given: argparse.Namespace, home: Path) -> Lab:
    """Takes an environment's account, region and role, and model packages that are registered there."""
    from staged_rollout.adapters.aws_session import AwsSession
    from staged_rollout.spec.environment import load_environment

    environment = load_environment(given.environment)
    capture = environment.aws.uri("capture")
    if len(given.package) != 3 or environment.aws.model_role is None or capture is None:
        raise SystemExit(
            "on AWS three --package ARNs are needed, and an environment with aws.model_role and aws.bucket"
        )
    customers = load_customers(SEED)
    traffic = _traffic(home, [int(number) for number in customers.traffic[: given.customers]])
    options = ("--home", str(home), "--environment", given.environment)
    sagemaker = AwsSession.of(environment).client("sagemaker")
    role = environment.aws.model_role
    return Lab(sagemaker, tuple(given.package), role, capture, options, traffic, given.rate, _labels(home))


def _traffic(home: Path, chosen: list[int]) -> Path:
    """Customers that trained no model, as a CSV file with header, id and label."""
    path = home / "customers.csv"
    with DATA.open(newline="") as source, path.open("w", newline="") as target:
        names, *rows = csv.reader(source)
        csv.writer(target).writerows([names, *(rows[number] for number in chosen)])
    return path


def _labels(home: Path) -> Path:
    folder = home / "labels"
    folder.mkdir(exist_ok=True)
    return folder


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="a folder for models, logs and the lake")
    parser.add_argument("--environment", help="a file of configs/environments; left out: the local endpoint")
    parser.add_argument("--package", action="append", default=[], help="ARN of a model package, three times; on AWS")
    parser.add_argument("--customers", type=int, default=1000, help="how many customers are asked about in each step")
    parser.add_argument("--rate", type=int, default=50, help="requests a second")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
