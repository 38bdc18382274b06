"""The options that the commands of statistics share, and how strictly what is typed there is read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from staged_rollout.adapters.atomic_file import replace_file
from staged_rollout.cli.output import say, where
from staged_rollout.errors import StatisticsError
from staged_rollout.report.charts import CHART_KINDS, ChartKind

if TYPE_CHECKING:
    from collections.abc import Callable

AlphaOption = Annotated[
    float, typer.Option("--alpha", metavar="A", help="Type I error of one side: 0.025 of a two-sided 5% test.")
]
SidesOption = Annotated[
    int, typer.Option("--sides", metavar="1|2", min=1, max=2, help="2: the same bounds below, with alpha of their own.")
]
SpendingOption = Annotated[
    str, typer.Option("--spending", metavar="KIND", help="obrien-fleming, pocock, power:RHO or hsd:GAMMA.")
]
FutilityOption = Annotated[
    str | None,
    typer.Option("--futility", metavar="KIND", help="How beta is spent below, in the forms of --spending; one-sided."),
]
BindingOption = Annotated[
    bool, typer.Option("--binding", help="Futility must be obeyed: lower efficacy bounds, and alpha is lost otherwise.")
]
PlotOption = Annotated[
    str | None, typer.Option("--plot", metavar="FILE", help="Also draw it: a file that ends in .png or .svg.")
]

LARGEST_COUNT = 10**15
_WHOLE = re.compile(r"[+-]?[0-9]{1,16}")
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?|[+-]?(?:nan|inf|infinity)", re.IGNORECASE
)
_LONGEST = 40


def refuse(option: str, problem: str) -> NoReturn:
    """End the command: what was typed after an option cannot be read.

    Raises:
        typer.BadParameter: always; exit code 2.
    """
    raise typer.BadParameter(problem, param_hint=f"'{option}'")


def number(option: str, text: str, example: str) -> float:
    """Read one finite number.

    Raises:
        typer.BadParameter: It is not a number.
        StatisticsError: It is nan, infinite or too large.
    """
    (value,) = _read(option, [text], example)
    return value


def numbers(option: str, text: str, example: str) -> tuple[float, ...]:
    """Read finite numbers with commas between them.

    Args:
        option: The option's name, for the error.
        text: What was typed.
        example: What would be accepted.

    Raises:
        typer.BadParameter: One is not a number.
        StatisticsError: One is nan, infinite or too large.
    """
    return _read(option, text.split(","), example)


def counts(option: str, text: str, example: str) -> tuple[int, ...]:
    """Read counts with commas between them.

    Raises:
        typer.BadParameter: One is not a whole number.
        StatisticsError: One is negative or too large.
    """
    found: list[int] = []
    for place, word in enumerate(text.split(","), start=1):
        if not _WHOLE.fullmatch(word.strip()):
            refuse(option, f"number {place}, {_shown(word)}, is not a whole number; accepted: {example}")
        value = int(word)
        if not 0 <= value <= LARGEST_COUNT:
            raise StatisticsError(
                f"{option}: number {place} == {value}, must be >= 0 and <= {LARGEST_COUNT:,}",
                hint=f"counts of units, such as {example}",
                option=option,
                value=value,
            )
        found.append(value)
    return tuple(found)


@contextmanager
def naming(**options: str) -> Iterator[None]:
    """Let an error about a number say which option it was typed at.

    Args:
        options: From the word that statistics use to the option, as `information="--info"`; the first one in the
            message counts, and of two at the same place the longer.

    Raises:
        StatisticsError: The one that was caught, with the option before it.
    """
    try:
        yield
    except StatisticsError as error:
        places = {word: match.start() for word in options if (match := _word(word).search(error.message))}
        if not places or error.message.startswith("--"):
            raise
        option = options[min(places, key=lambda word: (places[word], -len(word)))]
        message = f"{option}: {error.message}"
        raise StatisticsError(message, hint=error.hint, **{**error.facts, "option": option}) from error


def plot_file(text: str | None) -> tuple[Path, ChartKind] | None:
    """The file that `--plot` names and its kind, checked before anything is computed; None where none is asked for.

    Raises:
        typer.BadParameter: Another ending, or a folder that is not there.
    """
    if text is None:
        return None
    path = Path(text)
    kind = next((kind for kind in CHART_KINDS if path.suffix.lower() == f".{kind}"), None)
    if kind is None:
        refuse("--plot", f"{_shown(text)} must end in .png or .svg")
    try:
        is_folder, has_folder = path.is_dir(), path.parent.is_dir()
    except OSError as error:  # such as a name that is too long
        refuse("--plot", f"{_shown(text)} cannot be a file: {error.strerror}")
    if is_folder:
        refuse("--plot", f"{_shown(text)} is a folder; accepted: a file that ends in .png or .svg")
    if not has_folder:
        refuse("--plot", f"the folder of {_shown(text)} does not exist; accepted: a file in a folder that does")
    return path, kind


def write_plot(plot: tuple[Path, ChartKind] | None, draw: Callable[[ChartKind], bytes]) -> str:
    """Draw the chart that was asked for, and replace the file as a whole.

    Args:
        plot: From `plot_file`.
        draw: Makes the file's content.

    Returns:
        The file's name for people; "" where none was asked for.

    Raises:
        typer.BadParameter: The file cannot be written.
    """
    if plot is None:
        return ""
    path, kind = plot
    content = draw(kind)
    try:
        replace_file(path, content, durable=False)
        path.chmod(0o666 & ~_umask())
    except OSError as error:
        refuse("--plot", f"{_shown(str(path))} cannot be written: {error.strerror}")
    return where(path)


def say_drawn(file: str) -> None:
    """Tell people where the chart is, if there is one."""
    if file:
        say(f"drawn in {file}")


def _umask() -> int:
    import os

    mask = os.umask(0)
    os.umask(mask)
    return mask


def _read(option: str, words: list[str], example: str) -> tuple[float, ...]:
    found: list[float] = []
    for place, word in enumerate(words, start=1):
        which = f"number {place}" if len(words) > 1 else "the number"
        if not _NUMBER.fullmatch(word.strip()):
            found_there = f"number {place}, {_shown(word)}," if len(words) > 1 else _shown(word)
            refuse(option, f"{found_there} is not a number; accepted: {example}")
        value = float(word)
        if not math.isfinite(value):
            message = f"{option}: {which} == {value}, must be finite"
            raise StatisticsError(message, hint=f"accepted: {example}", option=option, value=str(value))
        found.append(value)
    return tuple(found)


def _word(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")
