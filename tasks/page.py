"""Alarms that belong to no rollout: runs that crashed, triggers that started nothing."""

from __future__ import annotations

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run

from staged_rollout.ports import Notification
from tasks.platforms import platform_of

LONGEST = 2000


@task(retries=3, retry_delay_seconds=5)
def page(subject: str, body: str, environment: str) -> str:
    """One alarm; it is also an artifact, so that it can be found when nobody was reached."""
    subject, body = subject[:LONGEST], body[:LONGEST]
    create_markdown_artifact(key="page", markdown=f"**{subject}**\n\n{body}", description=subject)
    key = f"page:{flow_run.get_id()}"
    platform_of(environment).notifier.send(Notification(key, "-", None, "alarm", subject, body))
    get_run_logger().warning("%s: %s", subject, body)
    return subject
