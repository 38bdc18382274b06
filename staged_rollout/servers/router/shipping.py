"""Shipping a router's log in the background."""

from __future__ import annotations

import logging
import threading

from staged_rollout.adapters.log_shipper import LogShipper
from staged_rollout.errors import StagedRolloutError

_LOG = logging.getLogger(__name__)


class Shipping:
    """Ships every few seconds, and once more at the end. A failure is logged and tried again; no line waits for it.

    Args:
        shipper: What ships.
        every_s: Seconds between two rounds.
    """

    def __init__(self, shipper: LogShipper, *, every_s: float = 30.0) -> None:
        self._shipper = shipper
        self._every_s = every_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-shipping", daemon=True)

    def start(self) -> None:
        """Begin; what an earlier process left behind is shipped first."""
        self._thread.start()

    def stop(self) -> None:
        """Ship what there is, and end."""
        self._stopped.set()
        self._thread.join()
        self._round()

    def _run(self) -> None:
        self._round()
        while not self._stopped.wait(self._every_s):
            self._round()

    def _round(self) -> None:
        try:
            self._shipper.ship()
        except (StagedRolloutError, OSError):
            _LOG.exception("the prediction log was not shipped; the next round goes on with it")
