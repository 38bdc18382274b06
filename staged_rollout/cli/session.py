"""What every command shares: where it runs, how it answers, and the options that say so."""

from __future__ import annotations

import inspect
import os
import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from staged_rollout.errors import NotFoundError
from staged_rollout.ports import Platform
from staged_rollout.spec.environment import EnvironmentSpec, load_environment
from staged_rollout.spec.home import ENV_ENVIRONMENT, Home
from staged_rollout.spec.locations import configs_dir

P = ParamSpec("P")

DEFAULT_ENVIRONMENT = "local"
ROLLOUT_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")
LONGEST_ROLLOUT = 128

EnvironmentOption = Annotated[
    str | None,
    typer.Option(
        "--environment",
        metavar="NAME|FILE",
        help=f"A file of configs/environments. [env: {ENV_ENVIRONMENT}; default: {DEFAULT_ENVIRONMENT}]",
        rich_help_panel="Everywhere",
    ),
]
HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="FOLDER",
        readable=False,  # not typer's business: doctor says what is wrong with a folder, and the ledger its own error
        help="Where ledger, lake and logs lie. [env: STAGED_ROLLOUT_HOME; default: .staged-rollout]",
        rich_help_panel="Everywhere",
    ),
]
ConfigsOption = Annotated[
    Path | None,
    typer.Option(
        "--configs",
        metavar="FOLDER",
        help="The configs folder. [env: STAGED_ROLLOUT_CONFIGS; default: ./configs]",
        rich_help_panel="Everywhere",
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Answer with one JSON document.", rich_help_panel="Everywhere"),
]
DebugOption = Annotated[
    bool,
    typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel="Everywhere"),
]
EVERYWHERE: dict[str, tuple[Any, Any]] = {
    "environment": (EnvironmentOption, None),
    "home": (HomeOption, None),
    "configs": (ConfigsOption, None),
    "as_json": (JsonOption, False),
    "debug": (DebugOption, False),
}
"""Options that stand before or after the command's name: parameter, then annotation and default."""

RolloutArgument = Annotated[str, typer.Argument(metavar="ROLLOUT", help="A rollout's id, such as churn-v3.")]
NameOption = Annotated[str, typer.Option("--as", metavar="NAME", help="Who acts; recorded as typed, not verified.")]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, in a sentence; it is kept for good.")]


@dataclass(frozen=True)
class Settings:
    """The shared options as they were given."""

    environment: str | None = None
    home: Path | None = None
    configs: Path | None = None
    as_json: bool = False
    debug: bool = False

    def overridden(self, later: dict[str, Any]) -> Settings:
        """With the options that were given again, after the command's name."""
        return replace(self, **{name: value for name, value in later.items() if value not in {None, False}})


class Session:
    """One command's run: opens what it needs, when it needs it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def as_json(self) -> bool:
        """Whether the answer is one JSON document."""
        return self.settings.as_json

    @cached_property
    def configs(self) -> Path:
        """The configs folder."""
        return configs_dir(self.settings.configs)

    @cached_property
    def environment(self) -> EnvironmentSpec:
        """The environment that the option, the variable or the default names."""
        name = self.settings.environment or os.environ.get(ENV_ENVIRONMENT) or DEFAULT_ENVIRONMENT
        return load_environment(name, self.configs)

    @cached_property
    def home(self) -> Home:
        """The home folder that the option, the variable or the default names."""
        return Home.from_environment(self.settings.home)

    def elsewhere(self) -> str:
        """Where a rollout that is not here may be: the newest home in a folder of this one; "" when there is none."""
        ledgers = [path for path in self.home.root.glob("*/ledger.db") if path.is_file()]
        if not ledgers:
            return ""
        home = max(ledgers, key=lambda path: path.stat().st_mtime).parent
        said = f"another home is here: --home {shlex.quote(os.path.relpath(home))}"
        with suppress(NotFoundError):  # no configs folder: there may be a home all the same
            if (self.configs / "environments" / f"{home.name}.yaml").is_file():
                said += f" --environment {home.name}"
        return said

    @cached_property
    def platform(self) -> Platform:
        """Everything that operations may touch; each part is opened at its first use."""
        from staged_rollout.adapters.platform import open_platform

        return open_platform(self.environment, self.home)


def shared(function: Callable[Concatenate[Session, P], None]) -> Callable[..., None]:
    """A command that also takes the options of `EVERYWHERE`, and gets a `Session` for them."""
    signature = inspect.signature(function, eval_str=True)
    own = list(signature.parameters.values())[1:]
    keyword = inspect.Parameter.KEYWORD_ONLY
    extra = [
        inspect.Parameter(name, keyword, annotation=annotation, default=default)
        for name, (annotation, default) in EVERYWHERE.items()
    ]
    context = inspect.Parameter("context", keyword, annotation=typer.Context)

    def command(context: typer.Context, **given: Any) -> None:
        settings: Settings = context.obj or Settings()
        later = {name: given.pop(name) for name in EVERYWHERE}
        session = Session(settings.overridden(later))
        try:
            function(session, **given)  # type: ignore[call-arg]  # typer passes all by name
        except NotFoundError as error:
            if "rollout" in error.facts and (hint := session.elsewhere()):
                error.hint = f"{error.hint}; {hint}"
            raise

    parameters = [context, *(parameter.replace(kind=keyword) for parameter in own), *extra]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # read by inspect
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    return command


def rollout_id(text: str) -> str:
    """The id, if it can be one: nothing else ever reaches the ledger, a path or a terminal.

    Raises:
        NotFoundError: no rollout can have this id.
    """
    if not text or len(text) > LONGEST_ROLLOUT or not ROLLOUT_LETTERS.issuperset(text):
        raise NotFoundError(
            f"no rollout {text[:LONGEST_ROLLOUT]!r}: an id is made of letters, digits and '-', such as churn-v3",
            hint="staged-rollout status lists all rollouts",
            rollout=text[:LONGEST_ROLLOUT],
        )
    return text
