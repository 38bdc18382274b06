"""Where the folder `configs/` lies, and the files in it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from staged_rollout.errors import NotFoundError, SpecError

ENV_CONFIGS = "STAGED_ROLLOUT_CONFIGS"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")


def configs_dir(argument: Path | str | None = None) -> Path:
    """The configs folder: the argument, then `STAGED_ROLLOUT_CONFIGS`, then `./configs`, then the checkout's.

    An argument or a variable that names no folder is an error; nothing else is tried in its place.

    Raises:
        NotFoundError: If there is none.
    """
    named = argument or os.environ.get(ENV_CONFIGS)
    checkout = Path(__file__).resolve().parents[2] / "configs"
    tried = [Path(named)] if named else [Path("configs").absolute(), checkout]
    for folder in tried:
        if folder.is_dir():
            return folder
    places = ", ".join(str(folder) for folder in tried)
    hint = f"run from a checkout, or set {ENV_CONFIGS}"
    raise NotFoundError(f"no configs folder; looked at {places}", hint=hint, tried=tuple(tried))


def config_file(kind: str, name_or_path: Path | str, configs: Path) -> Path:
    """A file by its path, or by its name in a folder of configs.

    Args:
        kind: The folder, `rollouts` or `environments`.
        name_or_path: A path (a `Path`, or text that ends in .yaml or .yml), or a name, which cannot leave the folder.
        configs: The configs folder.

    Raises:
        SpecError: If it is neither a path nor a safe name.
        NotFoundError: If there is no such file; the message lists those that exist.
    """
    if isinstance(name_or_path, Path) or name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
    elif _NAME.fullmatch(name_or_path):
        path = configs / kind / f"{name_or_path}.yaml"
    else:
        accepts = "letters, digits and '-', or a path that ends in .yaml"
        raise SpecError(
            f"{name_or_path!r} is not the name of a file in {kind}/; accepted: {accepts}", name=name_or_path
        )
    if not path.is_file():
        existing = ", ".join(sorted(file.stem for file in (configs / kind).glob("*.yaml"))) or "none"
        raise NotFoundError(f"{path} does not exist", hint=f"{kind} that exist: {existing}", path=path)
    return path


def find_rollout(name_or_path: Path | str, configs: Path | None = None) -> Path:
    """The rollout file of a name (`churn`), or a path."""
    return config_file("rollouts", name_or_path, configs or configs_dir())
