"""The service in front of an endpoint: assigns variants, falls back to the champion, keeps the exposure record.

It follows one assignment document per endpoint. What it logs is the truth about who met which variant; SageMaker's Data
Capture has neither latency nor status.
"""

from __future__ import annotations
