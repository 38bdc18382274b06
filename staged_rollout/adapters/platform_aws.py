"""The platform of an environment that asks for AWS: port by port, what it names; everything else is embedded.

Each adapter is imported at its first use, so that a command that needs none of AWS imports none of boto3.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from staged_rollout.adapters.aws_session import AwsSession
from staged_rollout.adapters.platform import EmbeddedPlatform
from staged_rollout.errors import PlatformError
from staged_rollout.ports import Assignments, Health, Lake, LogSource, Registry, Serving, Tracker, VersionEvents
from staged_rollout.spec.aws import Place

if TYPE_CHECKING:
    from staged_rollout.adapters.s3_place import S3Place


class AwsPlatform(EmbeddedPlatform):
    """Implements `ports.Platform`; the environment's `adapters:` choose for each port."""

    @cached_property
    def aws(self) -> AwsSession:
        """Makes every client, of the environment's account, region and role."""
        return AwsSession.of(self.environment)

    @cached_property
    def registry_aws(self) -> AwsSession:
        """The way to the Model Registry, which may lie in another account."""
        return self.aws if self.environment.aws.registry_role is None else AwsSession.of_registry(self.environment)

    @cached_property
    def serving(self) -> Serving:
        """boto3 `sagemaker`."""
        if not self.environment.on_aws("serving"):
            return super().serving
        from staged_rollout.adapters.sagemaker_quotas import InstanceQuotas
        from staged_rollout.adapters.serving_sagemaker import SageMakerServing

        return SageMakerServing(
            client=self.aws.client("sagemaker"),
            role_arn=self.environment.aws.model_role,
            capture_uri=self.uri("capture"),
            kms_key=self.environment.kms_key,
            quotas=InstanceQuotas(self.aws.client),
        )

    @cached_property
    def registry(self) -> Registry:
        """SageMaker's Model Registry."""
        if not self.environment.on_aws("registry"):
            return super().registry
        from staged_rollout.adapters.registry_sagemaker import SageMakerRegistry

        return SageMakerRegistry(self.registry_aws.client("sagemaker"), self.environment.name)

    @cached_property
    def version_events(self) -> VersionEvents | None:
        """SQS, if the environment names a queue; it lies in the environment's own account."""
        queue = self.environment.aws.queue
        if queue is None or not self.environment.on_aws("registry"):
            return None
        from staged_rollout.adapters.events_sqs import SqsVersionEvents

        return SqsVersionEvents(self.aws.client("sqs"), queue)

    @cached_property
    def assignments(self) -> Assignments:
        """S3."""
        if not self.environment.on_aws("assignments"):
            return super().assignments
        from staged_rollout.adapters.assignments_s3 import S3Assignments

        return S3Assignments(self.place("assignments"))

    @cached_property
    def logs(self) -> LogSource:
        """S3, and whatever else the environment's `logs:` names."""
        if not self.environment.on_aws("logs"):
            return super().logs
        from staged_rollout.adapters.log_paths import JoinedLogs
        from staged_rollout.adapters.logs_s3 import S3Logs

        memory = self.home.lake / "listed-logs.json"
        objects = S3Logs(self.place("capture"), self.place("logs"), memory=memory, now=self.clock.now)
        others = self._other_logs(None)
        return objects if others is None else JoinedLogs(objects, others)

    @cached_property
    def lake(self) -> Lake:
        """Iceberg on this machine, and a copy of every sealed batch on S3, named by Glue."""
        if not self.environment.on_aws("lake"):
            return super().lake
        from staged_rollout.adapters.lake_glue import CopiedLake

        return CopiedLake(self.home, self.aws, self.place("lake"), self.environment.aws.glue_database)

    @cached_property
    def health(self) -> Health:
        """CloudWatch, beside the counters of routers that share this home."""
        if not self.environment.on_aws("health"):
            return super().health
        from staged_rollout.adapters.health_cloudwatch import CloudWatchHealth, JoinedHealth

        watched = CloudWatchHealth(self.aws.client("cloudwatch"), self.aws.client("sagemaker"), now=self.clock.now)
        return JoinedHealth(super().health, watched)

    @cached_property
    def tracker(self) -> Tracker:
        """SageMaker-managed MLflow or MLflow on SQLite, and CloudWatch's metrics where it is the one that watches."""
        mlflow = self._managed_mlflow() if self.environment.on_aws("tracker") else super().tracker
        if not self.environment.on_aws("health"):
            return mlflow
        from staged_rollout.adapters.tracker_cloudwatch import CloudWatchTracker, SeveralTrackers

        return SeveralTrackers([mlflow, CloudWatchTracker(self.aws.client("cloudwatch"), now=self.clock.now)])

    def _managed_mlflow(self) -> Tracker:
        from staged_rollout.adapters.tracker_sagemaker import SageMakerMlflowTracker

        return SageMakerMlflowTracker(str(self.environment.aws.mlflow), self.aws)

    def place(self, place: Place) -> S3Place:
        """Where something lies, with the client and the key that objects there are written with.

        Raises:
            PlatformError: the environment names no bucket, or AWS does not answer.
        """
        from staged_rollout.adapters.s3_place import S3Place

        return S3Place.at(self.aws.client("s3"), self.uri(place), self.environment.kms_key)

    def uri(self, place: Place) -> str:
        """Where something lies, `s3://BUCKET/PREFIX`.

        Raises:
            PlatformError: the environment names no bucket; an adapter that needs one is refused when the file is read.
        """
        uri = self.environment.aws.uri(place)
        if uri is None:
            raise PlatformError(f"environment {self.environment.name} names no aws.bucket and no aws.{place}")
        return uri
