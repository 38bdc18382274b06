"""Move observed towards desired by one idempotent step; killing it anywhere and starting again ends in the same place.

Growing: the endpoint is observed first, then routers. Shrinking: routers first, a drain, then the endpoint.
"""

from __future__ import annotations

from dataclasses import dataclass

from staged_rollout.assignment import AssignmentDocument
from staged_rollout.errors import ConflictError, StaleSequenceError
from staged_rollout.operations.journal import entering, intended, load, observed, write
from staged_rollout.operations.lease import Lease, leased
from staged_rollout.ports import (
    Applied,
    EndpointTarget,
    ObservedEndpoint,
    Platform,
    PublishedAssignment,
    VariantTarget,
)
from staged_rollout.ports.registry import Lifecycle
from staged_rollout.state import (
    Actor,
    DesiredVariant,
    EventType,
    NewEvent,
    RolloutState,
    State,
    desired,
    digest,
)

MAX_ATTEMPTS = 2
"""A failed update may return to InService on the old config: attempts per target before rolling back."""

_LIFECYCLES: dict[State, Lifecycle] = {
    State.PROMOTED: "champion",
    State.ROLLED_BACK: "rolled_back",
    State.KEPT_CHAMPION: "kept_champion",
    State.CANCELLED: "cancelled",
}


@dataclass(frozen=True)
class Step:
    """What one step did.

    Attributes:
        done: Observed equals desired, and is recorded.
        wait_s: Wall seconds after which another step may help; 0 when at once.
        did: In words.
    """

    done: bool
    wait_s: float
    did: str


def endpoint_target(state: RolloutState) -> EndpointTarget:
    """The endpoint that a state wants. The champion keeps its capacity; a candidate has the rollout file's."""
    instance, champion = state.spec.instance, state.champion

    def variant(wanted: DesiredVariant) -> VariantTarget:
        kept = champion if wanted.name == champion.variant else None
        return VariantTarget(
            name=wanted.name,
            version=wanted.version,
            reference=wanted.reference,
            weight=wanted.weight,
            instance_type=(kept and kept.instance_type) or instance.type,
            instance_count=(kept and kept.instance_count) or instance.count,
        )

    target = desired(state).endpoint
    return EndpointTarget(
        endpoint=state.spec.endpoint,
        production=tuple(variant(wanted) for wanted in target.production),
        shadow=variant(target.shadow) if target.shadow else None,
    )


def assignment_target(
    platform: Platform, state: RolloutState, current: PublishedAssignment | None
) -> AssignmentDocument:
    """The document that a state wants, with an epoch above the one in force and all that the rollout has had."""
    routing = desired(state).routing
    # A document that was lost and is published anew must not take an epoch that an earlier stay's rows carry.
    return AssignmentDocument(
        endpoint=state.spec.endpoint,
        epoch=max(0, *state.epochs, current.document.epoch if current else 0) + 1,
        rollout=routing.rollout,
        stage=routing.stage,
        step=routing.step,
        champion=routing.champion,
        candidate=routing.candidate,
        split=state.spec.stages.live.split[1],
        enrolled=routing.enrolled,
        share=routing.share,
        published_at=platform.clock.now(),
    )


def owns_endpoint(platform: Platform, state: RolloutState) -> bool:
    """Whether the rollout holds its endpoint's claim."""
    claim = platform.ledger.claim_of(state.spec.endpoint)
    return claim is not None and claim.rollout == state.rollout


def reconcile(platform: Platform, rollout: str, actor: Actor) -> Step:
    """One step for one rollout.

    Raises:
        LeaseHeldError: another process acts on the endpoint.
        StaleSequenceError: another process wrote first; the next step reads again.
    """
    state = load(platform, rollout)
    if state.settled or state.state is State.REGISTERED:
        return Step(done=True, wait_s=0.0, did="nothing to do")
    if not owns_endpoint(platform, state):
        return _settle(platform, state, actor)
    with leased(platform, state.spec.endpoint, rollout) as lease:
        return _step(platform, state, actor, lease)


def _step(platform: Platform, state: RolloutState, actor: Actor, lease: Lease) -> Step:
    current = platform.assignments.read(state.spec.endpoint)
    wanted = assignment_target(platform, state, current)
    routed = current is not None and current.document.same_content(wanted)
    target = endpoint_target(state)
    endpoint = platform.serving.describe(state.spec.endpoint, expected=target)
    served = endpoint is not None and endpoint.satisfies(target)

    if not routed and (served or _routers_first(current, wanted)):
        _publish(platform, state, actor, lease, current, wanted)
        return Step(done=False, wait_s=0.0, did=f"published assignment {wanted.epoch}")
    if routed and current is not None and current.document.epoch not in state.epochs_at(-1):
        write(platform, state, [_seen(current.document)], actor)
        return Step(done=False, wait_s=0.0, did=f"recorded assignment {current.document.epoch}")
    if not served:
        drain = platform.environment.drain_s - current.age_s if current else 0.0
        if routed and drain > 0:
            return Step(done=False, wait_s=drain, did="waiting for routers to drain")
        return _change_endpoint(platform, state, actor, lease, endpoint, target)
    results = [
        observed(
            intent.effect,
            intent.key,
            {"status": str(endpoint.status) if endpoint else "", "config": endpoint.config if endpoint else ""},
        )
        for intent in state.intents
        if intent.effect == "endpoint"
    ]
    if results:
        lease.confirm(state)
        platform.serving.apply(target)  # unchanged: it deletes what the change has left behind
        write(platform, state, results, actor)
        return Step(done=False, wait_s=0.0, did="recorded the endpoint")
    if state.terminal:
        return _settle(platform, state, actor, lease)
    if state.state is State.ROLLING_BACK and state.ending is not None:
        # Ended here and not by a decision: the end of a rollback needs no lake, no evidence and no Prefect.
        write(platform, state, [entering(state.ending, state.reason)], actor)
        return Step(done=False, wait_s=0.0, did=f"ended in {state.ending}")
    return Step(done=True, wait_s=0.0, did="observed equals desired")


def _unrecorded(state: RolloutState, document: AssignmentDocument) -> list[NewEvent]:
    """What is in force and the ledger does not know, before it is replaced: a run was killed before it recorded it."""
    unknown = document.rollout == state.rollout and document.epoch not in state.epochs
    return [_seen(document)] if unknown else []


def _routers_first(current: PublishedAssignment | None, wanted: AssignmentDocument) -> bool:
    """Whether the change takes exposure away, so that routers must let go before the endpoint changes."""
    if current is None:
        return False
    return wanted.exposure < current.document.exposure or (
        current.document.rollout is not None and wanted.rollout is None
    )


def _publish(
    platform: Platform,
    state: RolloutState,
    actor: Actor,
    lease: Lease,
    current: PublishedAssignment | None,
    wanted: AssignmentDocument,
) -> None:
    key = f"assignment:{wanted.epoch}"
    events = _unrecorded(state, current.document) if current else []
    events.append(intended("assignment", key, wanted.model_dump(mode="json")))
    after = write(platform, state, events, actor)
    lease.confirm(after)
    platform.assignments.publish(wanted, expected_epoch=current.document.epoch if current else None)
    write(platform, after, [_seen(wanted)], actor)


def _seen(document: AssignmentDocument) -> NewEvent:
    result = {
        "epoch": document.epoch,
        "stage": document.stage,
        "step": document.step,
        "published_at": document.published_at.isoformat(),
    }
    return observed("assignment", f"assignment:{document.epoch}", result)


def _change_endpoint(
    platform: Platform,
    state: RolloutState,
    actor: Actor,
    lease: Lease,
    endpoint: ObservedEndpoint | None,
    target: EndpointTarget,
) -> Step:
    wait = platform.environment.poll_s
    status = str(endpoint.status) if endpoint else "absent"
    if endpoint is not None and endpoint.status.in_flight:
        return Step(done=False, wait_s=wait, did=f"endpoint is {status}")
    key = "endpoint:" + digest(_as_json(target))[:16]
    attempts = state.attempts.get(key, 0)
    broken = endpoint is not None and endpoint.status.broken
    if (attempts >= MAX_ATTEMPTS or broken) and state.state is not State.ROLLING_BACK and not state.terminal:
        failure = endpoint.failure if endpoint and endpoint.failure else "no reason given"
        reason = f"endpoint {status} after {attempts} attempts at {key}: {failure}"
        write(platform, state, [entering(State.ROLLING_BACK, reason, ending=State.ROLLED_BACK)], actor)
        return Step(done=False, wait_s=0.0, did=f"rolling back: {reason}")
    after = write(platform, state, [intended("endpoint", key, _as_json(target))], actor)
    lease.confirm(after)
    applied = platform.serving.apply(target)
    if applied is Applied.STARTED:
        write(platform, after, [observed("endpoint", key, {"applied": str(applied)})], actor)
    return Step(done=False, wait_s=0.0 if applied is Applied.UNCHANGED else wait, did=f"endpoint change {applied}")


def _settle(platform: Platform, state: RolloutState, actor: Actor, lease: Lease | None = None) -> Step:
    """Write back to the registry what became of the candidate, and give the endpoint up.

    Without a lease nothing was ever served: the rollout was cancelled before it claimed its endpoint.
    """
    if not state.terminal:
        raise ConflictError(
            f"{state.rollout} is {state.state} and no longer owns {state.spec.endpoint}",
            hint="staged-rollout history shows who took it",
            rollout=state.rollout,
        )
    model = state.candidate.model
    if lease is not None:
        lease.confirm(state)
    if state.state is State.PROMOTED:
        platform.registry.set_champion(model, state.candidate.version)
        platform.registry.set_lifecycle(model, state.champion.version, "retired", state.rollout)
    platform.registry.set_lifecycle(model, state.candidate.version, _LIFECYCLES[state.state], state.rollout)
    release = state.spec.endpoint if owns_endpoint(platform, state) else None
    write(platform, state, [NewEvent(EventType.SETTLED, {})], actor, release=release)
    return Step(done=True, wait_s=0.0, did=f"settled as {state.state}")


def restore_routing(platform: Platform, state: RolloutState, actor: Actor) -> RolloutState:
    """Publish champion-only at once: for a state that is ROLLING_BACK. Needs no lease; compare-and-set keeps it safe.

    Tries again when another process publishes at the same moment: a rollback goes first whatever else waits.
    """
    for _ in range(10):
        current = platform.assignments.read(state.spec.endpoint)
        if current is None:
            return state
        if current.document.rollout not in {None, state.rollout} and not owns_endpoint(platform, state):
            return state  # this one has ended meanwhile, and the next one must not lose its routers
        wanted = assignment_target(platform, state, current)
        document = current.document
        if not document.same_content(wanted):
            try:
                platform.assignments.publish(wanted, expected_epoch=document.epoch)
            except ConflictError:
                continue
            document = wanted
        seen = _unrecorded(state, current.document)
        if document.epoch not in state.epochs_at(-1):
            seen.append(_seen(document))
        try:
            return write(platform, state, seen, actor)
        except StaleSequenceError:
            return load(platform, state.rollout)
    raise ConflictError(
        f"{state.spec.endpoint}: ten other publications came first",
        hint="staged-rollout rollback again; see docs/runbook.md",
        endpoint=state.spec.endpoint,
    )


def _as_json(target: EndpointTarget) -> dict[str, object]:
    def variant(wanted: VariantTarget) -> dict[str, object]:
        return {
            "name": wanted.name,
            "reference": wanted.reference,
            "weight": wanted.weight,
            "instance_type": wanted.instance_type,
            "instance_count": wanted.instance_count,
        }

    return {
        "endpoint": target.endpoint,
        "production": [variant(wanted) for wanted in target.production],
        "shadow": variant(target.shadow) if target.shadow else None,
    }
