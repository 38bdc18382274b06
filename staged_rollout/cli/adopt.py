"""The command that hands an endpoint over to rollouts."""

from __future__ import annotations

from typing import Annotated

import typer

from staged_rollout.cli.output import print_json, say
from staged_rollout.cli.session import NameOption, ReasonOption, Session, shared
from staged_rollout.spec.load import load_rollout
from staged_rollout.state import Actor

EndpointArgument = Annotated[str, typer.Argument(metavar="ENDPOINT", help="The endpoint's name.")]


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("adopt")(shared(adopt))


def adopt(session: Session, endpoint: EndpointArgument, name: NameOption, reason: ReasonOption) -> None:
    """Hand over an endpoint that was made without rollouts.

    It is tagged as managed, and what it serves is recorded as the champion; its variant keeps its name, model and
    capacity. Refused unless it is in service with one production variant of a registered, approved version. Until then
    no command changes or deletes it.

    JSON: {"endpoint", "variant", "version"}.

    Example: staged-rollout adopt churn-prod --as ana --reason 'rollouts take over from the notebook'
    """
    from staged_rollout.operations.adopt import adopt as adopt_endpoint

    files = sorted((session.configs / "rollouts").glob("*.yaml"))
    specs = [load_rollout(path, environment=session.environment) for path in files]
    done = adopt_endpoint(session.platform, endpoint, specs, Actor(name), reason)
    if session.as_json:
        print_json({"endpoint": done.endpoint, "variant": done.variant, "version": done.version})
    else:
        say(f"{done.endpoint} is managed now: variant {done.variant} serves version {done.version}, the champion")
