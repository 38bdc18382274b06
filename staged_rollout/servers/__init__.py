"""Processes that listen: the local endpoint that stands in for SageMaker, and the router in front of an endpoint."""

from __future__ import annotations
