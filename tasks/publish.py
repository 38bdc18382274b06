"""Pages, messages and an experiment's figures, from ledger cursors, at least once; none of them holds a rollout up."""

from __future__ import annotations

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_progress_artifact

from staged_rollout.operations.publish import Channel, Outbox, mark_told, outbox
from staged_rollout.ports import Platform
from tasks.platforms import platform_of


@task(retries=2, retry_delay_seconds=2)
def publish(rollout: str, environment: str) -> int:
    """A message, if something deserves one, and a page for each look and decision since the last run.

    A notifier or tracker that fails is tried again by the next run, with what happened meanwhile.

    Returns:
        The pages.
    """
    platform = platform_of(environment)
    out = outbox(platform, rollout)
    _notify(platform, rollout, out)
    _track(platform, rollout, out)
    for publication in out.publications:
        create_markdown_artifact(key=publication.key, markdown=publication.markdown, description=publication.title)
        if publication.progress is not None:
            key = f"information-{rollout}".lower()
            create_progress_artifact(publication.progress, key=key, description=publication.title)
        mark_told(platform, rollout, Channel.PAGES, publication.seq)
    mark_told(platform, rollout, Channel.PAGES, out.upto)
    return len(out.publications)


def _notify(platform: Platform, rollout: str, out: Outbox) -> None:
    if out.message is not None:
        try:
            platform.notifier.send(out.message)
        except Exception as error:  # noqa: BLE001 - whatever a notifier raises, the rollout goes on
            get_run_logger().warning("notification %s waits for the next run: %s", out.message.key, error)
            return
    mark_told(platform, rollout, Channel.MESSAGES, out.upto)


def _track(platform: Platform, rollout: str, out: Outbox) -> None:
    for look in out.tracked:
        try:
            platform.tracker.record(rollout, look.name, look.figures, {"title": look.title})
        except Exception as error:  # noqa: BLE001 - whatever a tracker raises, the rollout goes on
            get_run_logger().warning("%s waits for the next run to be tracked: %s", look.name, error)
            return
        mark_told(platform, rollout, Channel.TRACKER, look.seq)
    mark_told(platform, rollout, Channel.TRACKER, out.upto)
