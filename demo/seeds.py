"""`make demo-seeds`: the demo for many seeds, and how often each ending came."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

DEFAULT_HOME = Path(".staged-rollout") / "demo-seeds"
AT_A_TIME = 2


@dataclass(frozen=True)
class Seen:
    """What one seed gave.

    Attributes:
        seed: The seed.
        endings: Ending by version, as the demo's `endings.json` tells; empty when the run failed.
    """

    seed: int
    endings: dict[int, str]


def main() -> int:
    """Run what has not been run yet, then count.

    Returns:
        0 whatever the endings: they are results; 1 when a run itself failed.
    """
    options = _options()
    home = options.home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        try:
            seen = list(pool.map(lambda seed: _seen(home, seed, options.last), options.seeds))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            sys.stderr.write("\nstopped; make demo-seeds goes on\n")
            return 130
    print("\n".join(frequencies(seen, options.last)))
    failed = [f"seed {one.seed}: {_log(home, one.seed)}" for one in seen if not one.endings]
    if failed:
        print("did not run to the end:", *failed, sep="\n  ")
    odd = [one for one in seen if one.endings and _odd(one.endings)]
    if odd:
        print("kept for reading, because an ending differs:")
        for one in odd:
            print(f"  {_folder(home, one.seed)}: {', '.join(_odd(one.endings))}")
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m demo.seeds", description=__doc__, epilog="example: python -m demo.seeds --seeds 1-5 --last 4"
    )
    parser.add_argument("--seeds", type=seeds_of, default=range(1, 21), help="1-20, or 1,4,9 (default 1-20)")
    parser.add_argument("--last", type=int, choices=range(2, 7), default=6, help="the last version to try (default 6)")
    parser.add_argument("--home", type=Path, default=DEFAULT_HOME, help=f"(default {DEFAULT_HOME})")
    return parser.parse_args()


def seeds_of(text: str) -> list[int]:
    """Seeds from text: ranges and numbers from 0, separated by commas.

    Raises:
        argparse.ArgumentTypeError: it is none of these.
    """
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)):
            raise argparse.ArgumentTypeError(f"{part!r} is not a seed; accepted: 1-20, or 1,4,9")
        found.extend(range(int(first), int(last if dash else first) + 1))
    return list(dict.fromkeys(found))


def frequencies(seen: Sequence[Seen], last: int) -> list[str]:
    """One line for each candidate: its ending, how often it came, and how often it should come.

    Args:
        seen: What each seed gave; those that failed do not count.
        last: The last version that was tried.

    Returns:
        Lines of a table. The last column is the chance to see the expected ending so rarely, or more rarely, if it had
        exactly the least probability that is promised: a small one says that the promise is broken.
    """
    from scipy.stats import binom

    from demo.candidates import CANDIDATES

    runs = [one for one in seen if one.endings]
    lines = [f"{len(runs)} runs", "version  expected       seen       promised  chance of so few  other endings"]
    for candidate in CANDIDATES:
        endings = Counter(one.endings[candidate.version] for one in runs if candidate.version in one.endings)
        total, hits = endings.total(), endings.pop(str(candidate.ending), 0)
        if candidate.version > last or not total:
            continue
        others = ", ".join(f"{count} {ending}" for ending, count in sorted(endings.items()))
        chance = float(binom.cdf(hits, total, candidate.at_least))
        line = (
            f"v{candidate.version:<7} {candidate.ending:<14} {hits:>2} of {total:<4} "
            f">= {candidate.at_least:<6.0%} {chance:>16.2f}  {others}"
        )
        lines.append(line.rstrip())
    return lines


def _odd(endings: dict[int, str]) -> list[str]:
    from demo.candidates import CANDIDATES

    expected = {candidate.version: str(candidate.ending) for candidate in CANDIDATES}
    return [f"v{version} {ending}" for version, ending in endings.items() if ending != expected[version]]


def _seen(home: Path, seed: int, last: int) -> Seen:
    """The endings of one seed, from an earlier run if there is one; a killed one goes on."""
    folder, told = _folder(home, seed), home / f"seed-{seed}.json"
    known = _read(told)
    if last in known:
        return Seen(seed, {version: ending for version, ending in known.items() if version <= last})
    command = [sys.executable, "-m", "demo", "--home", str(folder), "--seed", str(seed), "--last", str(last)]
    command += ["--resume"] if folder.exists() and not known else []
    with _log(home, seed).open("ab") as output:
        code = subprocess.run(  # noqa: S603 - our own command line
            command, stdout=output, stderr=subprocess.STDOUT, check=False, env={**os.environ, "NO_COLOR": "1"}
        ).returncode
    endings = _read(folder / "endings.json")
    if code or not endings:
        return Seen(seed, {})
    shutil.copyfile(folder / "endings.json", told)
    if not _odd(endings):
        shutil.rmtree(folder)
    print(f"seed {seed}: {', '.join(f'v{version} {ending}' for version, ending in endings.items())}", flush=True)
    return Seen(seed, endings)


def _read(file: Path) -> dict[int, str]:
    try:
        return {int(version): str(ending) for version, ending in json.loads(file.read_text()).items()}
    except FileNotFoundError:
        return {}


def _folder(home: Path, seed: int) -> Path:
    return home / f"seed-{seed}"


def _log(home: Path, seed: int) -> Path:
    return home / f"seed-{seed}.log"


if __name__ == "__main__":
    sys.exit(main())
