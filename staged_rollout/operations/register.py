"""A new model version becomes a rollout, once per (version, rollout file)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from staged_rollout.errors import RefusedError, SpecError, StaleSequenceError
from staged_rollout.operations.journal import active, code_version, load
from staged_rollout.operations.operate import cancel_before_exposure
from staged_rollout.ports import ModelVersion, Platform
from staged_rollout.spec.cost import forecast, stage_times
from staged_rollout.spec.model import RolloutSpec, spec_hash
from staged_rollout.spec.prices import PriceTable
from staged_rollout.state import Actor, Candidate, Champion, EventType, NewEvent, State, to_payload


@dataclass(frozen=True)
class Registered:
    """What became of a version.

    Attributes:
        rollout: The rollout's id.
        new: False when this version was registered before: nothing was written.
        cost_usd: The forecast cost of both variants until the last planned look and bake.
    """

    rollout: str
    new: bool
    cost_usd: float


def rollout_id(spec: RolloutSpec, version: str) -> str:
    """`{file}-v{version}`: ledger key, hash salt and log column."""
    return f"{spec.rollout}-v{version}"


def variant_name(version: str) -> str:
    """Variants are named after versions, so that metrics and capture prefixes never mix versions."""
    return f"v{version}"


def register(platform: Platform, spec: RolloutSpec, version: str, actor: Actor, prices: PriceTable) -> Registered:
    """Record REGISTERED for an approved version of the rollout's model.

    Raises:
        NotFoundError: the registry has no such version.
        RefusedError: the version is not approved, is the champion already, or there is no champion to compare with.
        SpecError: the forecast cost exceeds the budget.
    """
    rollout = rollout_id(spec, version)
    if platform.ledger.head(rollout):
        return Registered(rollout, new=False, cost_usd=load(platform, rollout).cost_usd)
    model = platform.registry.version(spec.registry, version)
    if model.status != "approved":
        raise RefusedError(
            f"{model.model} version {version} is {model.status}, not approved",
            hint="approve it in the registry; the next poll registers it",
        )
    champion = champion_of(platform, spec)
    if champion.version == version:
        raise RefusedError(f"{model.model} version {version} is the champion already")
    cost = forecast(spec, prices)
    if not cost.within_budget:
        raise SpecError(
            f"forecast ${cost.total_usd:,.2f} exceeds budget.max_usd ${spec.budget.max_usd or 0.0:,.2f}",
            hint="staged-rollout explain shows where the money goes",
            forecast=cost.total_usd,
            budget=spec.budget.max_usd,
        )
    candidate = Candidate(spec.registry, version, model.reference, model.digest, variant_name(version))
    hours = sum(time.total_seconds() for _, time in stage_times(spec)) / 3600
    if spec.on_newer == "supersede":
        _supersede(platform, spec, version, actor)
    event = NewEvent(
        EventType.REGISTERED,
        {
            "spec": spec.model_dump(mode="json"),
            "spec_hash": spec_hash(spec),
            "candidate": to_payload(candidate),
            "champion": to_payload(champion),
            "cost": cost.model_dump(mode="json"),
            "usd_per_hour": cost.total_usd / hours if hours else 0.0,
            "code_version": code_version(),
            "reason": f"{model.model} version {version} is approved",
        },
    )
    try:
        platform.ledger.append(rollout, [event], expected_seq=0, at=platform.clock.now(), actor=actor)
    except StaleSequenceError:
        return Registered(rollout, new=False, cost_usd=cost.total_usd)
    return Registered(rollout, new=True, cost_usd=cost.total_usd)


def champion_of(platform: Platform, spec: RolloutSpec) -> Champion:
    """The serving champion; its variant keeps the name that it has on the endpoint.

    Raises:
        RefusedError: the registry names no champion, or the endpoint does not serve it alone.
    """
    champion = platform.registry.champion(spec.registry)
    if champion is None:
        raise RefusedError(
            f"{spec.registry} has no champion",
            hint=f"staged-rollout serve {spec.rollout} --version N deploys the first one",
        )
    endpoint = platform.serving.describe(spec.endpoint)
    if endpoint is None:
        raise RefusedError(
            f"endpoint {spec.endpoint} does not exist",
            hint=f"staged-rollout serve {spec.rollout} --version {champion.version} deploys the champion",
        )
    serving = [variant for variant in endpoint.production if variant.reference == champion.reference]
    if not serving:
        raise RefusedError(
            f"endpoint {spec.endpoint} serves {', '.join(v.reference for v in endpoint.production)}, "
            f"not the champion {champion.reference}"
        )
    (found, *_) = serving
    return Champion(champion.version, champion.reference, found.name, found.instance_type, found.instance_count)


def _supersede(platform: Platform, spec: RolloutSpec, version: str, actor: Actor) -> None:
    """Cancel what has not exposed anyone and is older; a version that was approved late takes no newer one's place."""
    for state in active(platform):
        older = state.spec.rollout == spec.rollout and int(state.candidate.version) < int(version)
        if older and state.state in {State.REGISTERED, State.SHADOW}:
            cancel_before_exposure(platform, state, f"superseded by {rollout_id(spec, version)}", actor)


def register_if_new(
    platform: Platform,
    spec: RolloutSpec,
    version: ModelVersion,
    champion: ModelVersion | None,
    actor: Actor,
    prices: PriceTable,
) -> Registered | str | None:
    """Register a version that was found, unless it has run before, serves, or is not approved.

    Returns:
        What became of it, why it was refused, or None when there is nothing to do.
    """
    if version.status != "approved" or "lifecycle" in version.tags or version == champion:
        return None
    try:
        return register(platform, spec, version.version, actor, prices)
    except (RefusedError, SpecError) as error:
        return str(error)


def poll(
    platform: Platform, specs: Mapping[Path, RolloutSpec], actor: Actor, prices: PriceTable
) -> list[tuple[ModelVersion, Registered | str]]:
    """Register every approved version since the cursor, at least once; events only make it faster.

    The cursor stops before the first version that is still pending, so that a later approval is not missed.

    Returns:
        Each new version, with what became of it or why it was refused.
    """
    found: list[tuple[ModelVersion, Registered | str]] = []
    for spec in specs.values():
        name = f"registry:{spec.rollout}"
        cursor = seen = platform.ledger.cursor(name)
        waiting = False
        champion = platform.registry.champion(spec.registry)
        for version in platform.registry.versions_after(spec.registry, cursor):
            waiting = waiting or version.status == "pending"
            outcome = register_if_new(platform, spec, version, champion, actor, prices)
            if outcome is not None:
                found.append((version, outcome))
            if not waiting:
                seen = int(version.version)
        if seen != cursor:
            platform.ledger.move_cursor(name, expected=cursor, value=seen)
    return found
