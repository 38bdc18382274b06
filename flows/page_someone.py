"""A person is told that something needs them: started by automations, or by hand."""

from __future__ import annotations

from prefect import flow

from tasks.form_fields import EnvironmentName
from tasks.page import page


@flow(name="page-someone", flow_run_name="page: {subject}")
def page_someone(subject: str, body: str = "", environment: EnvironmentName = "local") -> str:
    """Send an alarm through the environment's notifier.

    Args:
        subject: One line.
        body: What happened, and what to do.
        environment: Name of a file in configs/environments.

    Returns:
        The subject.
    """
    return page(subject, body, environment)
