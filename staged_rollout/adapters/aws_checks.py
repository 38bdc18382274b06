"""`staged-rollout doctor` on AWS: account, permissions, endpoints, registry, bucket, queue, rule, key and quotas.

Everything is a read. What only a write can show (may this role create an endpoint?) is not tried; the CloudFormation
template in `infrastructure/` grants exactly that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from staged_rollout.adapters.aws_client import told_as_ours
from staged_rollout.adapters.aws_session import AwsSession
from staged_rollout.adapters.diagnosis import Check, Found
from staged_rollout.errors import PlatformError, StagedRolloutError
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.model import RolloutSpec

TEMPLATE = "infrastructure/staged-rollout.yaml"
_DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "403", "UnauthorizedOperation"}
_ABSENT = {"404", "NoSuchBucket", "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NotFoundException"}
_NOBODY = "staged-rollout-doctor"
_DEPLOY = f"aws cloudformation deploy --template-file {TEMPLATE} --stack-name NAME --capabilities CAPABILITY_NAMED_IAM"


@dataclass(frozen=True)
class _Account:
    """One environment's account, and what its rollout files name."""

    environment: EnvironmentSpec
    session: AwsSession
    registry: AwsSession
    specs: tuple[RolloutSpec, ...]

    def ask(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        return _ask(self.session, service, operation, **parameters)


def aws_checks(environment: EnvironmentSpec, specs: Iterable[RolloutSpec]) -> list[Check]:
    """The checks of an environment; none for one that uses nothing of AWS.

    Args:
        environment: Whose.
        specs: The rollout files that lint for it: they name endpoints, groups and instances.
    """
    if not environment.adapters.uses_aws:
        return []
    session = AwsSession.of(environment)
    registry = session if environment.aws.registry_role is None else AwsSession.of_registry(environment)
    account = _Account(environment, session, registry, tuple(specs))
    checks = [
        Check(
            "aws account", f"credentials of account {environment.account}", "aws sts get-caller-identity", _who(account)
        ),
        Check("aws reads", "the flows' role of the template", _DEPLOY, _once(account, _reads)),
    ]
    if environment.on_aws("serving"):
        checks += [
            Check("aws endpoints", "endpoints in service that are ours", "", _once(account, _endpoints)),
            Check("aws quotas", "room for both fleets of a rollout", "", _once(account, _quotas)),
        ]
    if environment.on_aws("registry"):
        checks.append(Check("aws registry", "a model package group with a champion", "", _once(account, _groups)))
        if environment.aws.queue is not None:
            checks += [
                Check("aws queue", "a queue with a dead-letter queue that is empty", _DEPLOY, _once(account, _queue)),
                Check(
                    "aws rule", "an enabled EventBridge rule whose target is the queue", _DEPLOY, _once(account, _rule)
                ),
            ]
    if environment.aws.bucket is not None:
        checks.append(
            Check("aws bucket", "versioned, encrypted, closed to the public", _DEPLOY, _once(account, _bucket))
        )
    if environment.kms_key is not None:
        checks.append(Check("aws key", "an enabled KMS key", "", _once(account, _key)))
    return checks


def _who(account: _Account) -> Callable[[], Found]:
    def examine() -> Found:
        identity = account.session.identity
        if identity.account != account.environment.account:
            return Found(
                "broken", f"credentials of account {identity.account}: {identity.arn}", "export AWS_PROFILE=NAME"
            )
        account.session.client("sts")
        return Found("ok", identity.arn)

    return examine


def _once(account: _Account, examine: Callable[[_Account], Found]) -> Callable[[], Found]:
    """Ask only an account that is there and is the right one: its own check has said what is wrong otherwise."""

    def examined() -> Found:
        try:
            right = account.session.identity.account == account.environment.account
        except StagedRolloutError:
            right = False
        return (
            examine(account) if right else Found("warning", "not asked, see aws account", "aws sts get-caller-identity")
        )

    return examined


def _reads(account: _Account) -> Found:
    """One harmless read for each permission; what is denied is missing, and any other answer shows that it is there."""
    environment = account.environment
    asked: dict[str, Callable[[], object]] = {}
    if environment.on_aws("serving"):
        asked |= {
            "sagemaker:DescribeEndpoint": lambda: account.ask(
                "sagemaker", "describe_endpoint", EndpointName=_endpoint(account)
            ),
            "sagemaker:ListModels": lambda: account.ask("sagemaker", "list_models", MaxResults=1),
            "sagemaker:ListEndpointConfigs": lambda: account.ask("sagemaker", "list_endpoint_configs", MaxResults=1),
            "servicequotas:ListServiceQuotas": lambda: account.ask(
                "service-quotas", "list_service_quotas", ServiceCode="sagemaker", MaxResults=1
            ),
        }
    if environment.on_aws("registry"):
        group = account.specs[0].registry if account.specs else _NOBODY
        asked |= {
            "sagemaker:DescribeModelPackageGroup": lambda: _ask(
                account.registry, "sagemaker", "describe_model_package_group", ModelPackageGroupName=group
            ),
            "sagemaker:ListModelPackages": lambda: _ask(
                account.registry, "sagemaker", "list_model_packages", ModelPackageGroupName=group, MaxResults=1
            ),
        }
        if (queue := environment.aws.queue) is not None:
            asked["sqs:GetQueueUrl"] = lambda: account.ask("sqs", "get_queue_url", QueueName=queue)
    if (bucket := environment.aws.bucket) is not None:
        prefix = f"{environment.aws.prefix}/"
        asked["s3:ListBucket"] = lambda: account.ask("s3", "list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)
    missing = [action for action, call in asked.items() if _denied(call)]
    if missing:
        return Found("broken", f"not allowed: {', '.join(missing)}")
    return Found("ok", f"{len(asked)} reads are allowed; writes are not tried")


def _endpoints(account: _Account) -> Found:
    from staged_rollout.adapters.serving_sagemaker import SageMakerServing

    serving = SageMakerServing(client=account.session.client("sagemaker"))
    told, grade, mend = [], "ok", ""
    for name, spec in sorted({spec.endpoint: spec for spec in account.specs}.items()):
        found = serving.describe(name)
        status = "does not exist" if found is None else str(found.status)
        if found is None or status != "InService":
            grade = "warning"
            mend = mend or f"staged-rollout serve {spec.rollout} --version N"
        told.append(f"{name} {status}")
    if not told:
        return Found("warning", "no rollout file lints, so no endpoint is known", "staged-rollout lint ROLLOUT")
    return Found("warning" if grade == "warning" else "ok", ", ".join(told), mend)


def _quotas(account: _Account) -> Found:
    from staged_rollout.adapters.sagemaker_quotas import InstanceQuotas

    quotas = InstanceQuotas(account.session.client)
    needed: dict[str, int] = {}
    for spec in account.specs:
        needed[spec.instance.type] = max(needed.get(spec.instance.type, 0), spec.instance.count)
    unknown, small = [], []
    for kind, count in sorted(needed.items()):
        quota = quotas.quota(kind)
        if quota is None:
            unknown.append(kind)
        elif quota["Value"] < 3 * count:  # the champion, and beside it a new fleet of champion and candidate
            small.append(f"{kind}: {quota['Value']:g}, a rollout needs {3 * count}")
    if small:
        return Found(
            "broken",
            f"too small for endpoint usage: {'; '.join(small)}",
            "aws service-quotas request-service-quota-increase --service-code sagemaker --quota-code CODE "
            "--desired-value N",
        )
    if unknown:
        return Found(
            "warning",
            f"no quota is told for {', '.join(unknown)}",
            "aws service-quotas list-service-quotas --service-code sagemaker",
        )
    return Found("ok", f"enough of {', '.join(needed) or 'nothing'}")


def _groups(account: _Account) -> Found:
    from staged_rollout.adapters.registry_sagemaker import SageMakerRegistry

    registry = SageMakerRegistry(account.registry.client("sagemaker"), account.environment.name)
    told, lacking = [], ""
    for spec in account.specs:
        champion = registry.champion(spec.registry)
        told.append(f"{spec.registry} {'has no champion' if champion is None else f'version {champion.version}'}")
        if champion is None:
            lacking = lacking or spec.rollout
    if lacking:
        return Found("warning", ", ".join(told), f"staged-rollout serve {lacking} --version N")
    return Found("ok", ", ".join(told) or "no rollout file names a group")


def _queue(account: _Account) -> Found:
    queue = str(account.environment.aws.queue)
    attributes = _attributes(account, queue)
    if attributes is None:
        return Found("broken", f"queue {queue} does not exist")
    if "RedrivePolicy" not in attributes:
        return Found("warning", f"queue {queue} has no dead-letter queue: bad messages come back for days")
    return Found("ok", f"{queue}, {attributes['ApproximateNumberOfMessages']} messages wait")


def _rule(account: _Account) -> Found:
    queue = str(account.environment.aws.queue)
    attributes = _attributes(account, queue)
    if attributes is None:
        return Found("broken", f"queue {queue} does not exist")
    names = account.ask("events", "list_rule_names_by_target", TargetArn=attributes["QueueArn"])["RuleNames"]
    states = {name: account.ask("events", "describe_rule", Name=name)["State"] for name in names}
    if not states:
        return Found("broken", f"no rule sends to queue {queue}; versions are found by polling only")
    if "ENABLED" not in states.values():
        name = next(iter(states))
        return Found("broken", f"rule {name} is {states[name]}", f"aws events enable-rule --name {name}")
    return Found("ok", ", ".join(f"{name} {state}" for name, state in states.items()))


def _bucket(account: _Account) -> Found:
    bucket = str(account.environment.aws.bucket)
    try:
        status = account.ask("s3", "get_bucket_versioning", Bucket=bucket).get("Status")
    except PlatformError as error:
        if error.facts.get("code") in _ABSENT:
            return Found("broken", f"bucket {bucket} does not exist")
        raise
    wrong = [] if status == "Enabled" else ["versioning is off"]
    if _absent(lambda: account.ask("s3", "get_bucket_encryption", Bucket=bucket)):
        wrong.append("no default encryption")
    closed: Mapping[str, Any] = {}
    if not _absent(lambda: account.ask("s3", "get_public_access_block", Bucket=bucket)):
        closed = account.ask("s3", "get_public_access_block", Bucket=bucket)["PublicAccessBlockConfiguration"]
    if len(closed) != 4 or not all(closed.values()):
        wrong.append("public access is not blocked")
    return Found("warning", f"{bucket}: {', '.join(wrong)}") if wrong else Found("ok", f"s3://{bucket}")


def _key(account: _Account) -> Found:
    key = str(account.environment.kms_key)
    try:
        told = account.ask("kms", "describe_key", KeyId=key)["KeyMetadata"]
    except PlatformError as error:
        if error.facts.get("code") in _ABSENT:
            return Found(
                "broken", f"key {key} does not exist", f"aws kms create-alias --alias-name {key} --target-key-id ID"
            )
        raise
    if told["KeyState"] != "Enabled":
        return Found("broken", f"key {key} is {told['KeyState']}", f"aws kms enable-key --key-id {told['KeyId']}")
    return Found("ok", told["Arn"])


def _attributes(account: _Account, queue: str) -> dict[str, str] | None:
    try:
        url = account.ask("sqs", "get_queue_url", QueueName=queue)["QueueUrl"]
        names = ["QueueArn", "RedrivePolicy", "ApproximateNumberOfMessages"]
        told = account.ask("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=names)
    except PlatformError as error:
        if error.facts.get("code") in _ABSENT:
            return None
        raise
    return dict(told.get("Attributes", {}))


def _endpoint(account: _Account) -> str:
    return account.specs[0].endpoint if account.specs else _NOBODY


def _ask(session: AwsSession, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
    client = session.client(service)
    with told_as_ours(f"{service} {operation}"):
        told: dict[str, Any] = getattr(client, operation)(**parameters)
        return told


def _denied(call: Callable[[], object]) -> bool:
    try:
        call()
    except PlatformError as error:
        return error.facts.get("code") in _DENIED
    return False


def _absent(call: Callable[[], object]) -> bool:
    """Whether S3 says that a bucket has no such setting."""
    try:
        call()
    except PlatformError as error:
        if error.facts.get("code") in _DENIED:
            raise
        return True
    return False
