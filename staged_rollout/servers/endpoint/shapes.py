"""The shapes of SageMaker's control plane that are honoured here, by AWS's own names on the wire.

Every shape forbids members that it does not know: a setting that would be ignored is refused instead.
Source: botocore's service model of `sagemaker`, API version 2017-07-24 (members, bounds and patterns).
"""

from __future__ import annotations

import struct
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_pascal

Name = Annotated[str, Field(max_length=63, pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9])*$")]
PackageName = Annotated[str, Field(max_length=176, pattern=r"^[a-zA-Z0-9][a-zA-Z0-9-]{0,62}/[0-9]{1,9}$")]
ContentType = Annotated[str, Field(min_length=1, max_length=256)]
PageSize = Annotated[int, Field(ge=1, le=100)]


def float32(value: float) -> float:
    """A weight as SageMaker keeps it: single precision, so that .05 reads .05000000074505806."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


Weight = Annotated[float, Field(ge=0, le=1e30, allow_inf_nan=False), AfterValidator(float32)]


class Shape(BaseModel):
    """A structure whose members are written in PascalCase."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_pascal, populate_by_name=True)


class Tag(Shape):
    """A label of a resource."""

    key: str = Field(min_length=1, max_length=128)
    value: str = Field(max_length=256)


class ContainerDefinition(Shape):
    """What a model runs: a registry version by its package name, `churn/2`."""

    model_package_name: PackageName


class ProductionVariant(Shape):
    """A variant of an endpoint config. Instances are told, never started."""

    variant_name: Name
    model_name: Name
    initial_instance_count: int = Field(default=1, ge=1)
    instance_type: str = Field(default="ml.m5.xlarge", pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$")
    initial_variant_weight: Weight = 1.0


class CaptureOption(Shape):
    """Which side of a call is captured."""

    capture_mode: Literal["Input", "Output", "InputAndOutput"]


class CaptureContentTypeHeader(Shape):
    """Content types that are captured as text; all others are captured in base 64."""

    csv_content_types: tuple[ContentType, ...] = ()
    json_content_types: tuple[ContentType, ...] = ()


class DataCaptureConfig(Shape):
    """How calls are captured. The destination is accepted as AWS would, and files are written below the home folder."""

    enable_capture: bool = True
    initial_sampling_percentage: int = Field(ge=0, le=100)
    destination_s3_uri: str = Field(max_length=512, pattern=r"^(https|s3)://([^/])/?(.*)$")
    capture_options: tuple[CaptureOption, ...] = Field(min_length=1, max_length=32)
    capture_content_type_header: CaptureContentTypeHeader = CaptureContentTypeHeader()


class CreateModelRequest(Shape):
    """CreateModel."""

    model_name: Name
    primary_container: ContainerDefinition
    execution_role_arn: str | None = None
    enable_network_isolation: bool = False
    tags: tuple[Tag, ...] = ()


class ModelRequest(Shape):
    """DescribeModel, DeleteModel."""

    model_name: Name


class CreateEndpointConfigRequest(Shape):
    """CreateEndpointConfig."""

    endpoint_config_name: Name
    production_variants: tuple[ProductionVariant, ...] = Field(min_length=1, max_length=10)
    shadow_production_variants: tuple[ProductionVariant, ...] = Field(default=(), max_length=10)
    data_capture_config: DataCaptureConfig | None = None
    kms_key_id: str | None = None
    tags: tuple[Tag, ...] = ()


class EndpointConfigRequest(Shape):
    """DescribeEndpointConfig, DeleteEndpointConfig."""

    endpoint_config_name: Name


class CreateEndpointRequest(Shape):
    """CreateEndpoint."""

    endpoint_name: Name
    endpoint_config_name: Name
    tags: tuple[Tag, ...] = ()


class UpdateEndpointRequest(Shape):
    """UpdateEndpoint."""

    endpoint_name: Name
    endpoint_config_name: Name
    retain_all_variant_properties: bool = False


class EndpointRequest(Shape):
    """DescribeEndpoint, DeleteEndpoint."""

    endpoint_name: Name


class DesiredWeightAndCapacity(Shape):
    """A variant's new weight or instance count; what is left out stays."""

    variant_name: Name
    desired_weight: Weight | None = None
    desired_instance_count: int | None = Field(default=None, ge=1)


class UpdateWeightsRequest(Shape):
    """UpdateEndpointWeightsAndCapacities."""

    endpoint_name: Name
    desired_weights_and_capacities: tuple[DesiredWeightAndCapacity, ...] = Field(min_length=1)


class ListRequest(Shape):
    """ListModels, ListEndpointConfigs, ListEndpoints: the newest first unless told otherwise, as AWS."""

    name_contains: str = Field(default="", max_length=63)
    max_results: PageSize = 10
    next_token: str | None = None
    sort_by: Literal["Name", "CreationTime"] = "CreationTime"
    sort_order: Literal["Ascending", "Descending"] = "Descending"


class AddTagsRequest(Shape):
    """AddTags."""

    resource_arn: str = Field(max_length=256)
    tags: tuple[Tag, ...] = Field(max_length=50)


class ListTagsRequest(Shape):
    """ListTags."""

    resource_arn: str = Field(max_length=256)
    next_token: str | None = None
    max_results: int = Field(default=50, ge=50)
