"""What people may do to a rollout: approve, reject, pause, resume, rollback, cancel, note, restore."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from staged_rollout.cli.output import print_json, say, waiting
from staged_rollout.cli.reading import status_line
from staged_rollout.cli.session import NameOption, ReasonOption, RolloutArgument, Session, rollout_id, shared
from staged_rollout.cli.settling import Settled, settle
from staged_rollout.cli.signing import AnswererOption, KeyOption, signer
from staged_rollout.operations.approve import Signer
from staged_rollout.report.status import status_row
from staged_rollout.state import Actor, RolloutState, State

TimeoutOption = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0.0, help="How long to wait for the endpoint to follow.")
]
DEFAULT_TIMEOUT_S = 600.0

_SIGNED = "Signed with your key where the environment has keys of the group that is asked."
_ANSWERS = {
    "approve": (
        f"Approve the decision that asks for it.\n\n{_SIGNED}",
        "--as ana --reason 'the gain holds on both plans'",
    ),
    "reject": (f"Reject the decision that asks for approval.\n\n{_SIGNED}", "--as ana --reason 'too early'"),
}
_ACTS = {
    "pause": ("Block forward moves until resume; guards keep watching.", "--as ana --reason 'incident 112 is open'"),
    "resume": ("End a pause.", "--as ana --reason 'incident 112 is closed'"),
    "note": ("Write a note into the ledger.", "--as ana --reason 'support reports slow pages since 02:00'"),
}
_ROUTERS_FIRST = {
    "rollback": (
        "Back to the champion, at once.\n\nRouters first; then the endpoint, which is waited for up to --timeout.",
        "--as ana --reason 'checkout errors doubled'",
    ),
    "cancel": (
        "End a rollout before anybody meets the candidate.",
        "--as ana --reason 'the wrong version was approved'",
    ),
}
_ANSWER = 'JSON: {"rollout", "act", "changed", "status", "endpoint"}; status has the keys of the command status'


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for act, (what, example) in _ANSWERS.items():
        app.command(act, help=_help(act, what, example, "endpoint is null."))(shared(_answering(act)))
    for act, (what, example) in _ACTS.items():
        app.command(act, help=_help(act, what, example, "endpoint is null."))(shared(_plain(act)))
    for act, (what, example) in _ROUTERS_FIRST.items():
        app.command(act, help=_help(act, what, example, _ENDPOINT))(shared(_routers_first(act)))
    app.command("restore")(shared(restore))


_ENDPOINT = 'endpoint is null when nothing was to be done, else {"done", "did", "left"}.'


def restore(
    session: Session,
    rollout: RolloutArgument,
    name: NameOption,
    reason: ReasonOption,
    timeout: TimeoutOption = DEFAULT_TIMEOUT_S,
) -> None:
    """Bring the champion back, whatever the state.

    Doing it again changes nothing. Needs nothing but the ledger, the assignments and the endpoint, and does not refuse
    what has ended already: for automation, and for 3 a.m.

    JSON: {"rollout", "act", "changed", "status", "endpoint"}; as rollback.

    Example: staged-rollout restore churn-v3 --as ana --reason 'nobody watches it'
    """
    from staged_rollout.operations.restore import restore_champion

    platform, actor = session.platform, Actor(name)
    before = platform.ledger.head(rollout_id(rollout))
    state = restore_champion(platform, rollout, f"restored by {name}: {reason}", actor)
    answer(session, "restore", state, before, follow(session, state, actor, timeout))


def answer(session: Session, act: str, state: RolloutState, before: int, endpoint: Settled | None) -> None:
    """What every act answers: whether it changed anything, where the rollout is now, and what is left to do."""
    from staged_rollout.operations.journal import load

    if endpoint is not None:  # following may have ended the rollout
        state = load(session.platform, state.rollout)
    row = status_row(state, session.platform.clock.now())
    changed = state.seq > before
    if session.as_json:
        document = {"rollout": state.rollout, "act": act, "changed": changed, "status": row, "endpoint": endpoint}
        print_json(document)
        return
    say(status_line(row) if changed else f"nothing to change. {status_line(row)}")
    if endpoint is not None:
        say(f"endpoint: {endpoint.did}")
        if endpoint.left:
            say(f"left to do: {endpoint.left}", "yellow")


def follow(session: Session, state: RolloutState, actor: Actor, timeout: float) -> Settled | None:
    """Let the endpoint follow the routers, when there is something to follow."""
    following = state.state is State.ROLLING_BACK or (state.terminal and not state.settled)
    if not following:
        return None
    with waiting(f"{state.spec.endpoint} follows the routers", as_json=session.as_json):
        return settle(session.platform, state.rollout, actor, timeout)


def _plain(act: str) -> Callable[..., None]:
    def command(session: Session, rollout: RolloutArgument, name: NameOption, reason: ReasonOption) -> None:
        state, before = _operated(session, act, rollout, name, reason)
        answer(session, act, state, before, None)

    command.__name__ = act
    return command


def _answering(act: str) -> Callable[..., None]:
    def command(
        session: Session, rollout: RolloutArgument, name: AnswererOption, reason: ReasonOption, key: KeyOption = None
    ) -> None:
        state, before = _operated(session, act, rollout, name, reason, signer(key))
        answer(session, act, state, before, None)

    command.__name__ = act
    return command


def _routers_first(act: str) -> Callable[..., None]:
    def command(
        session: Session,
        rollout: RolloutArgument,
        name: NameOption,
        reason: ReasonOption,
        timeout: TimeoutOption = DEFAULT_TIMEOUT_S,
    ) -> None:
        state, before = _operated(session, act, rollout, name, reason)
        answer(session, act, state, before, follow(session, state, Actor(name), timeout))

    command.__name__ = act
    return command


def _operated(
    session: Session, act: str, rollout: str, name: str, reason: str, sign: Signer | None = None
) -> tuple[RolloutState, int]:
    from staged_rollout.operations.operate import Act, operate

    platform = session.platform
    before = platform.ledger.head(rollout_id(rollout))
    return operate(platform, rollout, Act(act), Actor(name), reason, sign=sign), before


def _help(act: str, what: str, example: str, endpoint: str) -> str:
    return f"{what}\n\n{_ANSWER}; {endpoint}\n\nExample: staged-rollout {act} churn-v3 {example}"
