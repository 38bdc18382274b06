"""SageMaker's models, endpoint configs and endpoints, in place of moto's.

moto drops ShadowProductionVariants, has no UpdateEndpoint, is InService at once, accepts names twice, forgets instance
counts that a weight change leaves out, tells no weight of 0, and lets a config be deleted in use. Here:

- Creating, Updating and Deleting last `update_seconds`; what is refused meanwhile on AWS is refused.
- PendingDeploymentSummary while another config is on its way; weights are float32, Current and Desired apart.
- A failing update goes through RollingBack and ends as the setting says, with FailureReason.
- One shadow beside one production variant; distinct names; models and configs must exist; at most ten variants.
- DeleteEndpointConfig of one in use is refused. AWS documents that it must not be done, and lets it happen.
"""

from __future__ import annotations

import re
import struct
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.responses import SageMakerResponse

from tests.moto_gaps import SETTINGS

_SPOKEN = {"endpoint": "endpoint", "endpoint-config": "endpoint configuration", "model": "model"}
_UNHEALTHY = "unhealthy"
_AT_REST = {"InService", "Failed", "OutOfService", "UpdateRollbackFailed"}


@dataclass
class Fleet:
    """What answers: the config's recipe, and weights and counts by variant."""

    config: dict[str, Any]
    weights: dict[str, float]
    counts: dict[str, int]


@dataclass
class Endpoint:
    """One endpoint; a change that is due is completed at the next access."""

    name: str
    arn: str
    config: str
    status: str
    tags: list[dict[str, str]]
    created: datetime
    modified: datetime
    fleet: Fleet | None = None
    pending: Fleet | None = None
    started: float = 0.0
    ready: float = 0.0
    ends: str = ""
    failure: str = ""
    reason: str = ""
    starting: dict[str, dict[str, Any]] = field(default_factory=dict)
    running: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What each variant's model was when its fleet began: AWS lets a model be deleted while it serves."""


@dataclass
class Stored:
    """A model or a config: the request, and its tags."""

    name: str
    arn: str
    request: dict[str, Any]
    tags: list[dict[str, str]]
    created: datetime


@dataclass
class Serving:
    """All resources of an account in a region."""

    models: dict[str, Stored] = field(default_factory=dict)
    configs: dict[str, Stored] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)


def serving_of(backend: Any) -> Serving:
    """The resources of a backend, which forgets them when it is reset; changes that are due are completed."""
    serving: Serving = backend.__dict__.setdefault("_serving", Serving())
    for endpoint in list(serving.endpoints.values()):
        _complete(serving, endpoint)
    return serving


def _complete(serving: Serving, endpoint: Endpoint) -> None:
    now = time.time()
    if endpoint.status in _AT_REST:
        return
    if now < endpoint.ready:
        if endpoint.ends and endpoint.status == "Updating" and now >= (endpoint.started + endpoint.ready) / 2:
            endpoint.status = "RollingBack"
        return
    if endpoint.status == "Deleting":
        del serving.endpoints[endpoint.name]
        return
    endpoint.modified = datetime.now(UTC)
    if endpoint.ends:
        endpoint.status, endpoint.failure = endpoint.ends, endpoint.reason
    else:
        endpoint.status, endpoint.failure, endpoint.fleet = "InService", "", endpoint.pending
        endpoint.running |= endpoint.starting
        if endpoint.pending is not None:
            endpoint.config = endpoint.pending.config["EndpointConfigName"]
    endpoint.pending, endpoint.ends, endpoint.reason = None, "", ""


def float32(value: float) -> float:
    """A weight as SageMaker keeps it."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def _arn(response: Any, kind: str, name: str) -> str:
    return f"arn:aws:sagemaker:{response.region}:{response.current_account}:{kind}/{name}"


def _found(response: Any, kind: str, name: str) -> Any:
    serving = serving_of(response.sagemaker_backend)
    kept = {"endpoint": serving.endpoints, "endpoint-config": serving.configs, "model": serving.models}[kind]
    if name not in kept:
        raise ValidationError(message=f'Could not find {_SPOKEN[kind]} "{_arn(response, kind, name)}".')
    return kept[name]


def _taken(response: Any, kind: str, name: str) -> ValidationError:
    return ValidationError(message=f'Cannot create already existing {_SPOKEN[kind]} "{_arn(response, kind, name)}".')


def _store(response: Any, kind: str, kept: dict[str, Stored], name: str) -> str:
    if name in kept:
        raise _taken(response, kind, name)
    request = {key: value for key, value in response._get_params().items() if key != "Tags"}
    arn = _arn(response, kind, name)
    kept[name] = Stored(name, arn, request, list(response._get_param("Tags") or []), datetime.now(UTC))
    return arn


def create_model(self: Any) -> ActionResult:
    name = self._get_param("ModelName")
    package = (self._get_param("PrimaryContainer") or {}).get("ModelPackageName")
    if package is not None:
        found = package_of(self, package)
        if found.model_approval_status != "Approved":
            raise ValidationError(
                message=f'Model package "{found.arn}" is {found.model_approval_status}, not Approved.'
            )
    if not self._get_param("ExecutionRoleArn"):
        raise ValidationError(message="ExecutionRoleArn is required for a model that a container serves.")
    arn = _store(self, "model", serving_of(self.sagemaker_backend).models, name)
    return ActionResult({"ModelArn": arn})


def package_of(response: Any, package: str) -> Any:
    """The model package behind a name or ARN; `churn/2` is the ARN's last part."""
    packages = response.sagemaker_backend.model_packages
    arn = package if package.startswith("arn:") else _arn(response, "model-package", package)
    if arn not in packages:
        raise ValidationError(message=f'Could not find model package "{arn}".')
    return packages[arn]


def describe_model(self: Any) -> ActionResult:
    model = _found(self, "model", self._get_param("ModelName"))
    return ActionResult({**model.request, "ModelArn": model.arn, "CreationTime": model.created})


def delete_model(self: Any) -> EmptyResult:
    model = _found(self, "model", self._get_param("ModelName"))
    del serving_of(self.sagemaker_backend).models[model.name]
    return EmptyResult()


def create_endpoint_config(self: Any) -> ActionResult:
    serving = serving_of(self.sagemaker_backend)
    production = self._get_param("ProductionVariants") or []
    shadows = self._get_param("ShadowProductionVariants") or []
    names = [variant["VariantName"] for variant in (*production, *shadows)]
    if len(set(names)) != len(names):
        raise ValidationError(message=f"Variant names must be unique, found {names}.")
    if shadows and (len(shadows) != 1 or len(production) != 1):
        raise ValidationError(message="One shadow variant is allowed, beside exactly one production variant.")
    if sum(variant.get("InitialVariantWeight", 1.0) for variant in production) <= 0:
        raise ValidationError(message="The sum of the production variants' weights must be above 0.")
    for variant in (*production, *shadows):
        _found(self, "model", variant["ModelName"])
    arn = _store(self, "endpoint-config", serving.configs, self._get_param("EndpointConfigName"))
    return ActionResult({"EndpointConfigArn": arn})


def describe_endpoint_config(self: Any) -> ActionResult:
    config = _found(self, "endpoint-config", self._get_param("EndpointConfigName"))
    return ActionResult({**config.request, "EndpointConfigArn": config.arn, "CreationTime": config.created})


def delete_endpoint_config(self: Any) -> EmptyResult:
    config = _found(self, "endpoint-config", self._get_param("EndpointConfigName"))
    serving = serving_of(self.sagemaker_backend)
    for endpoint in serving.endpoints.values():
        fleets = [fleet.config["EndpointConfigName"] for fleet in (endpoint.fleet, endpoint.pending) if fleet]
        if config.name in fleets:
            raise ValidationError(
                message=f'Cannot delete endpoint configuration "{config.arn}": endpoint "{endpoint.arn}" uses it.'
            )
    del serving.configs[config.name]
    return EmptyResult()


def create_endpoint(self: Any) -> ActionResult:
    serving = serving_of(self.sagemaker_backend)
    name, config = self._get_param("EndpointName"), self._get_param("EndpointConfigName")
    if name in serving.endpoints:
        raise _taken(self, "endpoint", name)
    fleet = _fleet(self, config)
    now = datetime.now(UTC)
    tags = list(self._get_param("Tags") or [])
    endpoint = Endpoint(name, _arn(self, "endpoint", name), config, "Creating", tags, now, now)
    _begin(self, endpoint, "Creating", fleet)
    serving.endpoints[name] = endpoint
    return ActionResult({"EndpointArn": endpoint.arn})


def update_endpoint(self: Any) -> ActionResult:
    endpoint = _at_rest(self)
    fleet = _fleet(self, self._get_param("EndpointConfigName"))
    old = endpoint.fleet
    if self._get_param("RetainAllVariantProperties") and old is not None:
        fleet.weights |= {name: old.weights[name] for name in fleet.weights if name in old.weights}
        fleet.counts |= {name: old.counts[name] for name in fleet.counts if name in old.counts}
    _begin(self, endpoint, "Updating", fleet)
    return ActionResult({"EndpointArn": endpoint.arn})


def update_weights(self: Any) -> ActionResult:
    endpoint = _at_rest(self)
    old = endpoint.fleet
    assert old is not None
    wanted = self._get_param("DesiredWeightsAndCapacities")
    names = [change["VariantName"] for change in wanted]
    if len(set(names)) != len(names):
        raise ValidationError(message=f"The variant names {names} are not unique within the request.")
    if unknown := sorted(set(names) - set(old.weights)):
        raise ValidationError(message=f'The requested variants {unknown} are not found in endpoint "{endpoint.arn}".')
    weights = old.weights | {c["VariantName"]: float32(c["DesiredWeight"]) for c in wanted if "DesiredWeight" in c}
    counts = old.counts | {c["VariantName"]: c["DesiredInstanceCount"] for c in wanted if "DesiredInstanceCount" in c}
    if sum(weights[variant["VariantName"]] for variant in old.config["ProductionVariants"]) <= 0:
        raise ValidationError(message="The sum of the production variants' weights must be above 0.")
    _begin(self, endpoint, "Updating", Fleet(old.config, weights, counts))
    return ActionResult({"EndpointArn": endpoint.arn})


def delete_endpoint(self: Any) -> EmptyResult:
    endpoint = _at_rest(self, deleting=True)
    _begin(self, endpoint, "Deleting", None)
    return EmptyResult()


def _at_rest(response: Any, *, deleting: bool = False) -> Endpoint:
    endpoint: Endpoint = _found(response, "endpoint", response._get_param("EndpointName"))
    if endpoint.status not in _AT_REST:
        raise ValidationError(message=f'Cannot update in-progress endpoint "{endpoint.arn}".')
    if endpoint.status != "InService" and not deleting:
        raise ValidationError(message=f'Cannot update endpoint "{endpoint.arn}" that is {endpoint.status}.')
    return endpoint


def _begin(response: Any, endpoint: Endpoint, status: str, fleet: Fleet | None) -> None:
    if fleet is not None:
        models = serving_of(response.sagemaker_backend).models
        variants = (*fleet.config["ProductionVariants"], *fleet.config.get("ShadowProductionVariants", ()))
        endpoint.starting = {
            one["VariantName"]: models[one["ModelName"]].request for one in variants if one["ModelName"] in models
        }
        failure = SETTINGS.failure_of(endpoint.name) or _unhealthy(response, fleet)
        if failure is not None:
            default = "Failed" if status == "Creating" else "InService"
            endpoint.ends, endpoint.reason = failure.get("ends") or default, failure["reason"]
    # Last: from here on the change may be found done.
    endpoint.pending, endpoint.started = fleet, time.time()
    endpoint.ready = endpoint.started + SETTINGS.now.update_seconds
    endpoint.modified = datetime.now(UTC)
    endpoint.status = status


def _unhealthy(response: Any, fleet: Fleet) -> dict[str, str] | None:
    """A container whose image is tagged `unhealthy` does not pass its health check."""
    for variant in (*fleet.config["ProductionVariants"], *fleet.config.get("ShadowProductionVariants", ())):
        model = serving_of(response.sagemaker_backend).models.get(variant["ModelName"])
        package = (model.request.get("PrimaryContainer") or {}).get("ModelPackageName") if model else None
        if package is None:
            continue
        containers = (package_of(response, package).inference_specification or {}).get("Containers", ())
        if any(container["Image"].endswith(f":{_UNHEALTHY}") for container in containers):
            name = variant["VariantName"]
            reason = f"The primary container for production variant {name} did not pass the ping health check."
            return {"reason": reason}
    return None


def _fleet(response: Any, name: str) -> Fleet:
    config = _found(response, "endpoint-config", name).request
    variants = [*config["ProductionVariants"], *config.get("ShadowProductionVariants", ())]
    return Fleet(
        config,
        {one["VariantName"]: float32(one.get("InitialVariantWeight", 1.0)) for one in variants},
        {one["VariantName"]: one.get("InitialInstanceCount", 1) for one in variants},
    )


def describe_endpoint(self: Any) -> ActionResult:
    endpoint: Endpoint = _found(self, "endpoint", self._get_param("EndpointName"))
    told: dict[str, Any] = {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointConfigName": endpoint.config,
        "EndpointStatus": endpoint.status,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
    }
    if endpoint.failure:
        told["FailureReason"] = endpoint.failure
    fleet, pending = endpoint.fleet, endpoint.pending
    if fleet is not None:
        weighing = pending is not None and pending.config is fleet.config
        told |= _variants(fleet, pending if weighing and pending is not None else fleet)
        capture = fleet.config.get("DataCaptureConfig")
        if capture:
            enabled = capture.get("EnableCapture", False)
            told["DataCaptureConfig"] = {
                "EnableCapture": enabled,
                "CaptureStatus": "Started" if enabled else "Stopped",
                "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
                "DestinationS3Uri": capture["DestinationS3Uri"],
                "KmsKeyId": capture.get("KmsKeyId", ""),
            }
    if pending is not None and (fleet is None or pending.config is not fleet.config):
        told["PendingDeploymentSummary"] = {
            "EndpointConfigName": pending.config["EndpointConfigName"],
            "StartTime": datetime.fromtimestamp(endpoint.started, UTC),
            **_variants(pending, pending),
        }
    return ActionResult(told)


def _variants(fleet: Fleet, desired: Fleet) -> dict[str, Any]:
    def summary(variant: dict[str, Any]) -> dict[str, Any]:
        name = variant["VariantName"]
        return {
            "VariantName": name,
            "CurrentWeight": fleet.weights[name],
            "DesiredWeight": desired.weights[name],
            "CurrentInstanceCount": fleet.counts[name],
            "DesiredInstanceCount": desired.counts[name],
        }

    told = {"ProductionVariants": [summary(one) for one in fleet.config["ProductionVariants"]]}
    if shadows := fleet.config.get("ShadowProductionVariants"):
        told["ShadowProductionVariants"] = [summary(one) for one in shadows]
    return told


def _page(response: Any, member: str, kind: str, kept: dict[str, Any], extra: Any = None) -> ActionResult:
    """Rows whose name contains a text, a page of them: AWS tells 10 unless asked for up to 100."""
    contains = response._get_param("NameContains") or ""
    by_name = response._get_param("SortBy") == "Name"
    down = (response._get_param("SortOrder") or "Descending") == "Descending"
    rows = [one for one in kept.values() if contains.lower() in one.name.lower()]
    rows.sort(key=lambda one: one.name if by_name else (one.created, one.name), reverse=down)
    start = int(response._get_param("NextToken") or 0)
    end = start + int(response._get_param("MaxResults") or 10)
    told: dict[str, Any] = {
        member: [
            {
                f"{kind}Name": one.name,
                f"{kind}Arn": one.arn,
                "CreationTime": one.created,
                **(extra(one) if extra else {}),
            }
            for one in rows[start:end]
        ]
    }
    if end < len(rows):
        told["NextToken"] = str(end)
    return ActionResult(told)


def list_models(self: Any) -> ActionResult:
    return _page(self, "Models", "Model", serving_of(self.sagemaker_backend).models)


def list_endpoint_configs(self: Any) -> ActionResult:
    return _page(self, "EndpointConfigs", "EndpointConfig", serving_of(self.sagemaker_backend).configs)


def list_endpoints(self: Any) -> ActionResult:
    def extra(endpoint: Endpoint) -> dict[str, Any]:
        return {"LastModifiedTime": endpoint.modified, "EndpointStatus": endpoint.status}

    return _page(self, "Endpoints", "Endpoint", serving_of(self.sagemaker_backend).endpoints, extra)


_KINDS = re.compile(r":(model|endpoint-config|endpoint)/([^/]+)$")


def tagged(response: Any, arn: str) -> Any | None:
    """The model, config or endpoint of an ARN, None for an ARN of another kind."""
    kind = _KINDS.search(arn)
    return None if kind is None else _found(response, kind.group(1), kind.group(2))


def close() -> None:
    """Put all of these in the place of moto's."""
    for operation in (
        create_model,
        describe_model,
        list_models,
        delete_model,
        create_endpoint_config,
        describe_endpoint_config,
        list_endpoint_configs,
        delete_endpoint_config,
        create_endpoint,
        describe_endpoint,
        list_endpoints,
        update_endpoint,
        delete_endpoint,
    ):
        setattr(SageMakerResponse, operation.__name__, operation)
    SageMakerResponse.update_endpoint_weights_and_capacities = update_weights
