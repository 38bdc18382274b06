"""Automations of a Prefect server, made by code: run it again, and the set is the same.

    python -m tasks.automations --environment local

A run that crashed, failed or fell silent pages someone; so does a trigger that could not start its run. A rollout that
people meet and that nobody has watched is restored to its champion.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.events.actions import ChangeFlowRunState, RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from tasks.events import ENDED, PREFIX, WATCHED

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

HEARTBEAT_S = 30
"""As prefect.yaml sets it for every run."""
SILENT_AFTER = timedelta(seconds=2.5 * HEARTBEAT_S)
BLIND_AFTER = timedelta(minutes=30)
"""Of rollout files that do not say; who is restored is decided by the rollout's own `blind_after`."""
TAG = "staged-rollout"
SILENT = "staged-rollout: a run fell silent"
PAGE, RESTORE = "page-someone/page", "restore-champion/restore"
_FINISHED = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")}
_HEARTBEAT = "prefect.flow-run.heartbeat"
_FOR_EACH = "prefect.resource.id"


def automations(deployments: Mapping[str, UUID], environment: str, blind_after: timedelta) -> list[AutomationCore]:
    """Every automation, by deployment ids.

    Args:
        deployments: `FLOW/DEPLOYMENT` to its id.
        environment: The environment's name, for the runs that they start.
        blind_after: How long an exposed rollout may go unwatched.
    """

    def page(subject: str, body: str) -> RunDeployment:
        parameters = {"subject": subject, "body": body, "environment": environment}
        return RunDeployment(deployment_id=deployments[PAGE], parameters=parameters)

    def restore() -> RunDeployment:
        rollout = "{{ firing.triggering_labels['prefect.resource.id'] | replace('" + PREFIX + "', '') }}"
        parameters = {
            "rollout": rollout,
            "reason": "nobody has watched it",
            "only_if_blind": True,
            "environment": environment,
        }
        return RunDeployment(deployment_id=deployments[RESTORE], parameters=parameters)

    return [
        AutomationCore(
            name="staged-rollout: a run crashed or failed",
            description="Pages someone. The next tick tries again by itself: a crashed run decides nothing.",
            tags=[TAG],
            trigger=EventTrigger(
                expect={"prefect.flow-run.Crashed", "prefect.flow-run.Failed"},
                match={_FOR_EACH: "prefect.flow-run.*"},
                for_each={_FOR_EACH},
                posture=Posture.Reactive,
                threshold=1,
            ),
            actions=[
                page(
                    "{{ flow.name }}: {{ flow_run.name }} is {{ flow_run.state.name }}",
                    "{{ flow_run.state.message }} {{ flow_run|ui_url }}",
                )
            ],
        ),
        AutomationCore(
            name=SILENT,
            description="Worker and run were killed: without heartbeats the run is marked as crashed, which pages.",
            tags=[TAG],
            trigger=EventTrigger(
                after={_HEARTBEAT},
                expect={_HEARTBEAT, *_FINISHED, "prefect.flow-run.Suspended", "prefect.flow-run.Paused"},
                match={_FOR_EACH: "prefect.flow-run.*"},
                for_each={_FOR_EACH},
                posture=Posture.Proactive,
                threshold=1,
                within=SILENT_AFTER,
            ),
            actions=[ChangeFlowRunState(state="CRASHED", name="Crashed", message="no heartbeat: it was killed")],
        ),
        AutomationCore(
            name="staged-rollout: a trigger started nothing",
            description="An event lacked a key that a parameter needs: no run, and nobody would know.",
            tags=[TAG],
            trigger=EventTrigger(
                expect={"prefect.automation.action.failed"},
                # A run that completed as it was about to be marked needs nobody: Prefect refuses to mark it.
                match={"prefect.resource.name": f"!{SILENT}"},
                posture=Posture.Reactive,
                threshold=1,
            ),
            actions=[
                page(
                    "an event started nothing",
                    "{{ event.resource.name }}: {{ event.payload.reason }} (event {{ event.payload.triggering_event_id"
                    " | default('unknown') }})",
                )
            ],
        ),
        AutomationCore(
            name="staged-rollout: nobody watches an exposed rollout",
            description="Back to the champion, if the ledger too says that nobody has watched it for `blind_after`.",
            tags=[TAG],
            trigger=EventTrigger(
                after={WATCHED},
                expect={WATCHED, ENDED},
                match={_FOR_EACH: f"{PREFIX}*"},
                for_each={_FOR_EACH},
                posture=Posture.Proactive,
                threshold=1,
                within=blind_after,
            ),
            actions=[
                restore(),
                page("nobody watches an exposed rollout", "{{ firing.triggering_labels['prefect.resource.id'] }}"),
            ],
        ),
    ]


async def ensure(environment: str, blind_after: timedelta = BLIND_AFTER) -> dict[str, str]:
    """Make what is missing, replace what differs, and delete our automations that are no more.

    Args:
        environment: The environment's name.
        blind_after: How long an exposed rollout may go unwatched.

    Returns:
        Automation to `made`, `replaced`, `kept` or `deleted`.

    Raises:
        RuntimeError: `make deploy` has not been run on this server.
    """
    async with get_client() as client:
        wanted = {one.name: one for one in automations(await _deployments(client), environment, blind_after)}
        done: dict[str, str] = {}
        for known in await client.read_automations():
            if TAG not in known.tags:
                continue
            if known.name not in wanted or known.name in done:
                await client.delete_automation(known.id)
                done.setdefault(known.name, "deleted")
                continue
            target = wanted[known.name]
            if _facts(target) == _facts(AutomationCore.model_validate(known.model_dump(exclude={"id"}))):
                done[known.name] = "kept"
            else:
                await client.update_automation(known.id, target)
                done[known.name] = "replaced"
        for name, target in wanted.items():
            if name not in done:
                await client.create_automation(target)
                done[name] = "made"
    return done


async def _deployments(client: PrefectClient) -> dict[str, UUID]:
    from prefect.exceptions import ObjectNotFound

    found: dict[str, UUID] = {}
    for name in (PAGE, RESTORE):
        try:
            found[name] = (await client.read_deployment_by_name(name)).id
        except ObjectNotFound as error:
            message = f"the Prefect server has no deployment {name}: run make deploy first"
            raise RuntimeError(message) from error
    return found


def _facts(automation: AutomationCore) -> dict[str, Any]:
    """What an automation says, without what the server adds; sets stay sets, which have no order to differ in."""
    told = automation.model_dump(exclude={"owner_resource", "enabled"})
    told["trigger"].pop("id", None)
    return told


def main() -> None:
    """Make them on the server of PREFECT_API_URL."""
    parser = argparse.ArgumentParser(prog="python -m tasks.automations", description=__doc__)
    parser.add_argument("--environment", default="local", help="whose runs they start (default local)")
    parser.add_argument("--blind-after", type=int, default=30, metavar="MINUTES", help="(default 30)")
    options = parser.parse_args()
    for name, done in asyncio.run(ensure(options.environment, timedelta(minutes=options.blind_after))).items():
        sys.stdout.write(f"{done:9} {name}\n")


if __name__ == "__main__":
    main()
