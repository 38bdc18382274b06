"""`make screenshots`: the pictures in docs/screenshots, of a demo that ran; Prefect's, while `make demo UI=1` waits."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import httpx

from demo.chromium import opened
from staged_rollout.errors import NotFoundError, PlatformError, StagedRolloutError

DEFAULT_HOME = Path(".staged-rollout") / "demo"
FOLDER = Path(__file__).parent.parent / "docs" / "screenshots"
DARK = "--blink-settings=preferredColorScheme=0"
SETTLE = "--virtual-time-budget=20000"
"""Milliseconds that Prefect's pages get to fetch and draw."""
LARGEST = 300_000
"""Bytes of one picture."""
COLOURS = 128


def main() -> int:
    """Make them.

    Returns:
        0, or an error's own exit code.
    """
    options = _options()
    try:
        for name, address, size, more in [*_reports(options), *_pages(options)]:
            print(_picture(name, address, size, *more))
    except StagedRolloutError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return error.exit_code
    return 0


Shot = tuple[str, str, tuple[int, int], tuple[str, ...]]
"""File's name, address, width and height in pixels, further options."""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo.screenshots", description=__doc__)
    parser.add_argument("--home", type=Path, default=DEFAULT_HOME, help=f"the demo's (default {DEFAULT_HOME})")
    parser.add_argument("--rollout", default="churn-v2", help="whose report and run (default churn-v2)")
    parser.add_argument("--prefect", default="http://127.0.0.1:4200", help="Prefect's pages (default %(default)s)")
    return parser.parse_args()


def _reports(options: argparse.Namespace) -> list[Shot]:
    file = options.home.absolute() / "reports" / f"{options.rollout}.html"
    if not file.exists():
        raise NotFoundError(f"{file} does not exist", hint="make demo writes it")
    address = file.as_uri()
    return [
        ("report-desktop", address, (1200, 2150), ()),
        ("report-phone", address, (420, 900), ()),
        ("report-dark", address, (1200, 900), (DARK,)),
    ]


def _pages(options: argparse.Namespace) -> list[Shot]:
    """The run that decided, and what it wrote, in Prefect's pages; none while no server answers."""
    wanted = {"limit": 200, "sort": "CREATED_DESC", "artifacts": {"key": {"like_": f"{options.rollout}-%"}}}
    try:
        answer = httpx.post(f"{options.prefect}/api/artifacts/filter", json=wanted, timeout=10)
    except httpx.HTTPError:
        print(f"no Prefect server at {options.prefect}: its pages stay as they were (make demo UI=1 starts one)")
        return []
    if answer.status_code != httpx.codes.OK:
        raise PlatformError(f"{options.prefect} answered {answer.status_code}", hint="--prefect names another server")
    artifacts = [one for one in answer.json() if " decision " in (one["description"] or "")]
    won = [one for one in artifacts if "promote to PROMOTING, look" in one["description"]] or artifacts
    if not won:
        raise NotFoundError(f"Prefect holds no decision on {options.rollout}", hint="--rollout names another")
    decision = won[-1]
    same_run = [one for one in answer.json() if one["flow_run_id"] == decision["flow_run_id"]]
    shown = next((one for one in same_run if " look " in (one["description"] or "").partition(":")[0]), decision)
    return [
        ("prefect-run", f"{options.prefect}/runs/flow-run/{decision['flow_run_id']}", (1300, 800), (SETTLE,)),
        ("prefect-artifact", f"{options.prefect}/artifacts/artifact/{shown['id']}", (1300, 1100), (SETTLE,)),
    ]


def _picture(name: str, address: str, size: tuple[int, int], *options: str) -> Path:
    """Take one, with few colours so that it is small.

    Raises:
        PlatformError: it is too large all the same, or nothing but one colour.
    """
    from PIL import Image

    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / f"{name}.png"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        raw = Path(folder) / "raw.png"
        opened(address, Path(folder), f"--screenshot={raw}", f"--window-size={size[0]},{size[1]}", *options)
        with Image.open(raw) as picture:
            picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
            seen = picture.convert("RGB").getcolors(2)
    if seen is not None:
        raise PlatformError(f"{file} is blank")
    if file.stat().st_size > LARGEST:
        raise PlatformError(f"{file} has {file.stat().st_size:,} bytes, at most {LARGEST:,} are kept")
    return file


if __name__ == "__main__":
    sys.exit(main())
