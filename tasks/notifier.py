"""Prefect's notification blocks behind the notifier port: a channel that hangs costs seconds, never a decision."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from typing import Any

from staged_rollout.errors import PlatformError
from staged_rollout.ports import Notification

DEFAULT_BLOCK = "staged-rollout"
"""Gets alarms that belong to no rollout, and what is meant for a block that does not exist."""
TIMEOUT_S = 10.0
"""Seconds that a channel may take."""
REST_S = 60.0
"""Seconds that a channel which hung is left alone in this process: the next rollout's guard is waiting."""
PAGE = 200
_KINDS = {"info": "info", "warning": "warning", "alarm": "failure"}
_TELLTALES = ("apprise", "httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "urllib3.connectionpool")
"""Loggers that write addresses: a webhook's address is its secret."""
_THREAD = "staged-rollout-notifies"


class PrefectNotifier:
    """Sends through the block that the rollout's `notify` names; satisfies `ports.notifier.Notifier`.

    Args:
        timeout_s: How long a channel may take.
        rest_s: How long one that took longer is not tried again.
    """

    def __init__(self, timeout_s: float = TIMEOUT_S, rest_s: float = REST_S) -> None:
        self._timeout_s, self._rest_s = timeout_s, rest_s
        self._hung: dict[str, float] = {}

    def send(self, notification: Notification) -> None:
        """Deliver one message, or say in a few seconds that it was not.

        Raises:
            PlatformError: it may not have arrived. Neither message nor cause names an address.
        """
        name = notification.channel or DEFAULT_BLOCK
        if time.monotonic() - self._hung.get(name, float("-inf")) < self._rest_s:
            raise PlatformError(f"notification block {name} hung a moment ago and is not tried again yet")
        try:
            block = _block(name)
        except Exception as error:  # noqa: BLE001 - whatever Prefect's client raises may quote a block's content
            raise PlatformError(f"notification block {name} cannot be loaded: {_kind(error)}") from None
        if block is None:
            raise PlatformError(
                f"Prefect has neither a notification block {name!r} nor the default one, {DEFAULT_BLOCK!r}",
                hint="docs/people.md says how to make one",
            )
        if notification.level != "info" and hasattr(block, "notify_type"):
            block.notify_type = _KINDS[notification.level]
        self._within_time(name, block, notification)

    def _within_time(self, name: str, block: Any, notification: Notification) -> None:
        failed: list[str] = []

        def deliver() -> None:
            try:
                with block.raise_on_failure():
                    sent = block.notify(notification.body, notification.subject)
                    if inspect.isawaitable(sent):  # a block of one's own may know only this form
                        asyncio.run(_awaited(sent))
            except BaseException as error:  # noqa: BLE001 - nothing may be lost in a thread
                failed.append(_kind(error))

        _silence()
        thread = threading.Thread(target=deliver, name=_THREAD, daemon=True)
        thread.start()
        thread.join(self._timeout_s)
        if thread.is_alive():
            self._hung[name] = time.monotonic()
            raise PlatformError(f"notification block {name} did not answer within {self._timeout_s:g} s")
        if failed:
            raise PlatformError(f"notification block {name} failed: {failed[0]}")


async def _awaited(sent: Any) -> None:
    await sent


def _block(name: str) -> Any:
    """The notification block of a name, or the default one; whatever service it is for."""
    from prefect.blocks.core import Block
    from prefect.client.orchestration import get_client

    found: dict[str, str] = {}
    with get_client(sync_client=True) as client:
        for offset in range(0, 10_000, PAGE):
            documents = client.read_block_documents(limit=PAGE, offset=offset, include_secrets=False)
            for one in documents:
                kind, schema = one.block_type, one.block_schema
                if one.name and kind is not None and schema is not None and "notify" in schema.capabilities:
                    found[one.name] = f"{kind.slug}/{one.name}"
            if len(documents) < PAGE:
                break
    wanted = found.get(name) or found.get(DEFAULT_BLOCK)
    return Block.load(wanted) if wanted else None


def _kind(error: BaseException) -> str:
    """What went wrong, without the words of the error: they may hold the address."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return type(error).__name__ + (f" (HTTP {status})" if status else "")


def _outside(record: logging.LogRecord) -> bool:
    return record.threadName != _THREAD


def _silence() -> None:
    for name in _TELLTALES:
        logging.getLogger(name).addFilter(_outside)  # adding it again changes nothing
