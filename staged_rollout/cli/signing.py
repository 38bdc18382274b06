"""Keys that prove who approves: `staged-rollout key new | show`, and the signer behind `approve` and `reject`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from staged_rollout.cli.output import print_json, say
from staged_rollout.cli.session import Session, shared
from staged_rollout.errors import RefusedError
from staged_rollout.operations.approve import Signer
from staged_rollout.spec.public_key import fingerprint

DEFAULT_KEY = Path("~/.ssh/id_ed25519")
AGENT = "SSH_AUTH_SOCK"

KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="FILE",
        help="Your private Ed25519 key, where the environment has keys. [default: the keys of your SSH agent]",
    ),
]
AnswererOption = Annotated[
    str,
    typer.Option("--as", metavar="NAME", help="Your name under approvers; or the group's, where it has no keys."),
]
FileOption = Annotated[Path, typer.Option("--file", metavar="FILE", help="The private key; FILE.pub lies beside it.")]
PassphraseOption = Annotated[
    bool, typer.Option("--passphrase/--no-passphrase", help="Ask for a passphrase that guards the file.")
]
PersonOption = Annotated[str, typer.Option("--as", metavar="NAME", help="Whose key it is.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    keys = typer.Typer(help="Keys that prove who approves.", no_args_is_help=True)
    keys.command("new")(shared(new))
    keys.command("show")(shared(show))
    app.add_typer(keys, name="key")


def signer(file: Path | None) -> Signer | None:
    """What signs on this machine: the file, or else the agent; None when there is neither."""
    from staged_rollout.adapters.ssh_keys import KeyAgent, KeyFile

    if file is not None:
        return KeyFile(file, _passphrase)
    agent = os.environ.get(AGENT)
    return KeyAgent(agent) if agent else None


def new(
    session: Session, name: PersonOption, file: FileOption = DEFAULT_KEY, *, passphrase: PassphraseOption = True
) -> None:
    """Make a key pair, and print the line for the environment file.

    Any Ed25519 key of ssh-keygen does as well. A file that is there is never replaced.

    JSON: {"file", "name", "public_key", "fingerprint"}.

    Example: staged-rollout key new --as ana --file ~/.ssh/staged_rollout
    """
    from staged_rollout.adapters.ssh_keys import new_key

    guard = ""
    if passphrase:
        if not sys.stdin.isatty():
            raise RefusedError("nobody can be asked for a passphrase", hint="--no-passphrase makes a key without one")
        guard = typer.prompt("passphrase", hide_input=True, confirmation_prompt=True)
    public = new_key(file, guard, name)
    _tell(session, file, name, public)


def show(session: Session, file: FileOption = DEFAULT_KEY) -> None:
    """A key's public part, and whom the environment knows by it.

    JSON: {"file", "name", "public_key", "fingerprint"}; name is null for a key that the environment does not know.

    Example: staged-rollout key show --file ~/.ssh/staged_rollout
    """
    from staged_rollout.adapters.ssh_keys import KeyFile

    public = KeyFile(file, _passphrase).public()
    known = {
        key: person
        for people in session.environment.approvers.values()
        for person, keys in people.items()
        for key in keys
    }
    _tell(session, file, known.get(public), public)


def _tell(session: Session, file: Path, name: str | None, public: str) -> None:
    if session.as_json:
        told = {"file": file.expanduser(), "name": name, "public_key": public, "fingerprint": fingerprint(public)}
        print_json(told)
        return
    say(f"{file}: {fingerprint(public)}, {name or f'unknown to environment {session.environment.name}'}")
    say("for the environment file, under approvers and the group:")
    say(f"{name or 'NAME'}: {public}")


def _passphrase(path: str) -> str | None:
    if not sys.stdin.isatty():
        return None
    answer: str = typer.prompt(f"passphrase of {path}", hide_input=True, err=True)
    return answer
