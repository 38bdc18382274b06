"""What answers now: loaded variants, and how a call without a target finds one."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_right
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

from staged_rollout.servers.endpoint.models import ModelShelf, Predictor
from staged_rollout.servers.endpoint.shapes import DataCaptureConfig
from staged_rollout.servers.endpoint.state import Fleet, FleetVariant

_CHANCE = random.SystemRandom()  # weights are no secret, but a process-wide seed set by a library must not decide them


class LiveVariant:
    """A loaded variant with a thread of its own, as it would have an instance of its own: a slow one slows only itself.

    Args:
        told: The variant as the state has it.
        predictor: Its model.
        delay: Added to every answer, seconds.
    """

    def __init__(self, told: FleetVariant, predictor: Predictor, delay: float) -> None:
        self.name = told.name
        self.weight = told.weight
        self._predictor = predictor
        self._delay = delay
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=told.name)

    async def answer(self, content_type: str, body: bytes) -> bytes:
        """The model's answer, after the delay.

        Raises:
            AnswerError: the request does not fit the model.
            Exception: whatever the model raises.
        """
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._thread, self._predictor.answer, content_type, body)
        if self._delay:
            await asyncio.sleep(self._delay)
        return answer


class LiveEndpoint:
    """An endpoint in service.

    Args:
        name: Its name.
        production: Variants that answer callers.
        shadow: A variant that gets copies, or None.
        capture: How calls are captured, or None.
    """

    def __init__(
        self,
        name: str,
        production: tuple[LiveVariant, ...],
        shadow: LiveVariant | None,
        capture: DataCaptureConfig | None,
    ) -> None:
        self.name = name
        self.shadow = shadow
        self.capture = capture if capture is not None and capture.enable_capture else None
        self._by_name = {variant.name: variant for variant in production}
        self._variants = production
        self._bounds = list(accumulate(variant.weight for variant in production))

    def variant(self, name: str) -> LiveVariant | None:
        """The production variant of this name; a shadow cannot be named."""
        return self._by_name.get(name)

    def any_variant(self) -> LiveVariant:
        """A production variant at random, by weight / sum of weights."""
        place = bisect_right(self._bounds, _CHANCE.random() * self._bounds[-1])
        return self._variants[min(place, len(self._variants) - 1)]

    def copies(self) -> LiveVariant | None:
        """The shadow, if this call is to be copied: with probability shadow weight / production weight."""
        if self.shadow is None or _CHANCE.random() * self._bounds[-1] >= self.shadow.weight:
            return None
        return self.shadow

    def captured(self) -> DataCaptureConfig | None:
        """The capture config, if this call is to be captured."""
        if self.capture is None or _CHANCE.random() * 100 >= self.capture.initial_sampling_percentage:
            return None
        return self.capture


def load_fleet(name: str, fleet: Fleet, shelf: ModelShelf, delays: dict[str, float]) -> LiveEndpoint:
    """Load every model of a fleet. Blocks; may import heavy packages.

    Args:
        name: The endpoint's name.
        fleet: What shall run.
        shelf: Where models come from.
        delays: Seconds to add per model package name.

    Raises:
        StagedRolloutError: a model does not exist or cannot be loaded.
    """

    def load(variant: FleetVariant) -> LiveVariant:
        return LiveVariant(variant, shelf.load(variant.package), delays.get(variant.package, 0.0))

    production = tuple(load(variant) for variant in fleet.production)
    return LiveEndpoint(name, production, load(fleet.shadow) if fleet.shadow else None, fleet.capture)
