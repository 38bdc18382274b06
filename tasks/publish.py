"""Artifacts and notifications, from a ledger cursor, at least once: the same event keeps its key."""

from __future__ import annotations

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact

from staged_rollout.operations.publish import mark_published, unpublished
from tasks.platforms import platform_of


@task(retries=2, retry_delay_seconds=2)
def publish(rollout: str, environment: str) -> int:
    """A markdown artifact for each look and decision since the last one; a failing notifier or tracker never blocks."""
    platform = platform_of(environment)
    logger = get_run_logger()
    publications = unpublished(platform, rollout)
    for publication in publications:
        create_markdown_artifact(key=publication.key, markdown=publication.markdown, description=publication.title)
        if publication.notification is not None:
            try:
                platform.notifier.send(publication.notification)
            except Exception as error:  # noqa: BLE001 - whatever a notifier raises, the rollout goes on
                logger.warning("notification %s failed: %s", publication.notification.key, error)
        if publication.look is not None:
            name, figures = publication.look
            try:
                platform.tracker.record(rollout, name, figures, {"title": publication.title})
            except Exception as error:  # noqa: BLE001 - as above
                logger.warning("%s was not tracked: %s", name, error)
        mark_published(platform, rollout, publication.seq)
    return len(publications)
