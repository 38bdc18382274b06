"""What the adapters on AWS need to know: where they write, which queue they drain, which roles are theirs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from staged_rollout.spec.values import FrozenModel

Place = Literal["capture", "logs", "assignments", "lake"]

_SEGMENT = r"[A-Za-z0-9_=-][A-Za-z0-9_.=-]*"  # of S3's safe characters, those that mean nothing in SQL or a glob
_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"

RoleArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+$", max_length=640)]
S3Uri = Annotated[str, Field(pattern=rf"^s3://{_BUCKET}(/{_SEGMENT})*$", max_length=512)]


class AwsSpec(FrozenModel):
    """The `aws:` section of an environment file. Nothing in it is secret.

    Args:
        bucket: The S3 bucket that holds everything whose own place is not given.
        prefix: Where in it everything lies.
        capture: Where endpoints write Data Capture, `s3://BUCKET/PREFIX`; null: `capture` below bucket and prefix.
        logs: Where routers' logs and outcomes lie; null: `logs`.
        assignments: Where the routers' documents lie; null: `assignments`.
        lake: The warehouse of the Iceberg tables; null: `lake`.
        glue_database: The database of the Glue catalog that names the tables.
        queue: The name of the SQS queue that gets the registry's events; null: the registry is polled only.
        model_role: The role that models run with.
        registry_role: The role that the Model Registry is used with, in the account that holds it; null: the registry
            lies in the environment's own account.
        mlflow: ARN of a SageMaker-managed MLflow tracking server.
        external_id: What the assumed role's trust policy asks for, if it does.
    """

    bucket: str | None = Field(default=None, pattern=rf"^{_BUCKET}$", description="a bucket's name")
    prefix: str = Field(
        default="staged-rollout", pattern=rf"^{_SEGMENT}(/{_SEGMENT})*$", max_length=256, description="a/prefix"
    )
    capture: S3Uri | None = Field(default=None, description="s3://BUCKET/PREFIX, or null")
    logs: S3Uri | None = Field(default=None, description="s3://BUCKET/PREFIX, or null")
    assignments: S3Uri | None = Field(default=None, description="s3://BUCKET/PREFIX, or null")
    lake: S3Uri | None = Field(default=None, description="s3://BUCKET/PREFIX, or null")
    glue_database: str = Field(
        default="staged_rollout", pattern=r"^[a-z0-9_]{1,255}$", description="lower-case letters, digits and '_'"
    )
    queue: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_-]{1,80}$", description="the name of a queue, or null"
    )
    model_role: RoleArn | None = Field(default=None, description="arn:aws:iam::ACCOUNT:role/NAME")
    registry_role: RoleArn | None = Field(default=None, description="arn:aws:iam::ACCOUNT:role/NAME")
    mlflow: str | None = Field(
        default=None,
        max_length=2048,
        pattern=r"^arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:[0-9]{12}:mlflow-(tracking-server|app)/[A-Za-z0-9-]+$",
        description="arn:aws:sagemaker:REGION:ACCOUNT:mlflow-tracking-server/NAME",
    )
    external_id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_+=,.@:/-]+$",
        min_length=2,
        max_length=1224,
        description="2 to 1,224 letters, digits and +=,.@:/-",
    )

    def uri(self, place: Place) -> str | None:
        """Where something lies, `s3://BUCKET/PREFIX` without a slash at its end; None when no bucket is named.

        Example:
            >>> AwsSpec(bucket="ml-rollouts").uri("logs")
            's3://ml-rollouts/staged-rollout/logs'
        """
        own: str | None = getattr(self, place)
        if own is not None:
            return own
        return None if self.bucket is None else f"s3://{self.bucket}/{self.prefix}/{place}"
