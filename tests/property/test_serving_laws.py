"""Laws of names and weights that reach SageMaker."""

from __future__ import annotations

import botocore.session
from hypothesis import given
from hypothesis import strategies as st

from staged_rollout.adapters.resource_names import is_resource_name
from staged_rollout.adapters.sagemaker_resources import prefix
from staged_rollout.servers.endpoint.shapes import float32
from tests.aws_model import violations

MODEL = botocore.session.get_session().get_service_model("sagemaker")
ANY_TEXT = st.text(st.sampled_from("aZ09-_/. \né"), max_size=66)
NAMES = st.from_regex(r"[a-zA-Z0-9](-?[a-zA-Z0-9]){0,31}", fullmatch=True)


@given(ANY_TEXT | NAMES)
def test_a_name_is_accepted_exactly_where_aws_accepts_it(name: str):
    """What passes here can be sent to AWS, and what AWS would refuse reaches no path."""
    shape = MODEL.operation_model("CreateEndpoint").input_shape.members["EndpointName"]
    assert is_resource_name(name) == (violations(shape, name, "name") == [])


@given(NAMES, NAMES)
def test_names_of_resources_fit_and_never_mix_endpoints(one: str, other: str):
    """An endpoint's models and configs are found by prefix: no other endpoint's begin with it."""
    assert is_resource_name(prefix(one) + "0" * 12)
    if one != other:
        assert not prefix(one).startswith(prefix(other))


@given(st.floats(0, 2.0**99, width=32))
def test_a_weight_that_is_a_float32_stays_what_it_is(weight: float):
    """Reading a weight back and sending it again changes nothing."""
    assert float32(weight) == weight
