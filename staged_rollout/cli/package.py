"""`staged-rollout package`: a folder with a model becomes a version in SageMaker's Model Registry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from staged_rollout.cli.output import print_json, say
from staged_rollout.cli.session import Session, shared
from staged_rollout.errors import RefusedError


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("package")(shared(package))


def package(
    session: Session,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What the serving image finds in /opt/ml/model.")],
    group: Annotated[str, typer.Option("--group", metavar="NAME", help="The model package group.")],
    image: Annotated[str, typer.Option("--image", metavar="URI", help="The serving image, in ECR.")],
    approve: Annotated[bool, typer.Option("--approve", help="It may be rolled out at once.")] = False,
) -> None:
    """Register a folder as the next version of a model package group.

    Once for each content, however often it is called. Without --approve the version waits for an approval.

    JSON: {"reference", "version", "digest", "new"}.

    Example: staged-rollout package model --group churn --image 111122223333.dkr.ecr.us-east-1.amazonaws.com/serving:1
    """
    from dataclasses import asdict

    from staged_rollout.adapters.aws_session import AwsSession
    from staged_rollout.adapters.model_packages import package as register_package
    from staged_rollout.adapters.s3_place import S3Place

    environment = session.environment
    bucket = environment.aws.bucket
    if not environment.on_aws("registry") or bucket is None:
        raise RefusedError(
            f"environment {environment.name} has no registry: aws with an aws.bucket",
            hint="choose such an environment with --environment",
        )
    own = AwsSession.of(environment)
    registry = own if environment.aws.registry_role is None else AwsSession.of_registry(environment)
    uri = f"s3://{bucket}/{environment.aws.prefix}/models"
    place = S3Place.at(own.client("s3"), uri, environment.kms_key)
    done = register_package(
        folder, group, image=image, approve=approve, client=registry.client("sagemaker"), place=place
    )
    if session.as_json:
        print_json(asdict(done))
    elif done.new:
        say(f"{group} version {done.version} is registered, {'approved' if approve else 'and waits for an approval'}")
    else:
        say(f"{group} version {done.version} holds the same files; nothing was written")
