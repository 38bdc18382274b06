"""`python -m staged_rollout.cli`."""

from __future__ import annotations

from staged_rollout.cli.main import run

if __name__ == "__main__":
    run()
