"""boundaries, infer, plan, srm and simulate-test as they are typed: JSON keys, numbers, files, and refusals."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from staged_rollout.cli.main import run
from staged_rollout.cli.output import counting

EXAMPLES = {
    "boundaries": ("--info", "0.2,0.4,0.6,0.8,1"),
    "infer": ("--info", "0.3,0.6", "--max-information", "100", "--z", "1.91702895126808,3.49756131519997"),
    "plan": ("--rate", "0.10", "--mde", "20%", "--looks", "5"),
    "srm": ("--observed", "48912,51088", "--weights", "1,1"),
    "simulate-test": ("--looks", "5", "--runs", "2000"),
}
KEYS = {
    "boundaries": ["information", "efficacy", "futility", "alpha_spent", "beta_spent", "inflation"],
    "infer": [
        *("stopped_at", "p_value", "estimate", "median_unbiased_estimate", "confidence_interval"),
        *("repeated_confidence_intervals", "repeated_p_values"),
    ],
    "plan": ["units_per_variant", "total", "fixed_sample_total", "inflation", "looks", "days", "expected_units"],
    "srm": ["chi_squared", "p_value", "e_value", "mismatch"],
    "simulate-test": ["looks", "alpha", "sides", "spending", "drift", "runs", "seed", "rules"],
}


def outcome(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    with pytest.raises(SystemExit) as ended:
        run(list(arguments))
    written = capsys.readouterr()
    return int(ended.value.code or 0), written.out, written.err


def answer(capsys, *arguments):
    code, out, err = outcome(capsys, *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


@pytest.mark.parametrize("command", EXAMPLES)
def test_json_has_the_keys_that_are_promised(capsys, command):
    assert KEYS[command] == list(answer(capsys, command, *EXAMPLES[command]))


@pytest.mark.parametrize("command", EXAMPLES)
def test_people_get_a_table(capsys, command):
    code, out, err = outcome(capsys, command, *EXAMPLES[command])
    assert (code, err) == (0, "")
    assert len(out.splitlines()) >= 3
    assert "nan" not in out


@pytest.mark.parametrize("command", EXAMPLES)
@pytest.mark.parametrize(("ending", "begin"), [("png", b"\x89PNG\r\n"), ("SVG", b"<?xml")])
def test_a_plot_is_written_whole_and_the_same_each_time(capsys, tmp_path, command, ending, begin):
    file = tmp_path / f"chart.{ending}"
    contents = set()
    for _ in range(2):
        code, out, _ = outcome(capsys, command, *EXAMPLES[command], "--plot", str(file))
        assert code == 0
        assert f"drawn in {file}" in out
        contents.add(file.read_bytes())
    assert 1 == len(contents)
    assert contents.pop().startswith(begin)
    assert [file] == list(tmp_path.iterdir())


def test_boundaries_are_those_of_the_references(capsys):
    """Lan-DeMets O'Brien-Fleming, K = 5; under-running, declared final; classic: C_B(5, .05) = 2.040073."""
    found = answer(capsys, "boundaries", "--info", "0.2,0.4,0.6,0.8,1", "--alpha", "0.025")
    assert pytest.approx([4.8769, 3.3570, 2.6803, 2.2898, 2.0310], abs=5e-5) == found["efficacy"]
    assert (None, None, None) == (found["futility"], found["beta_spent"], found["inflation"])
    final = answer(capsys, "boundaries", "--info", "0.25,0.5,0.75,0.8", "--final")
    assert pytest.approx(1.96870812, abs=5e-9) == final["efficacy"][-1]
    assert final["alpha_spent"][-1] == 0.025
    classic = answer(capsys, "boundaries", "--info", "0.2,0.4,0.6,0.8,1", "--classic", "obrien-fleming", "--sides", "2")
    assert pytest.approx(2.040073, abs=5e-7) == classic["efficacy"][-1]


def test_beta_gives_the_inflation_and_futility_its_bounds(capsys):
    with_power = answer(capsys, "boundaries", "--info", "0.2,0.4,0.6,0.8,1", "--beta", "0.2")
    assert pytest.approx(1.02472, abs=5e-6) == with_power["inflation"]
    assert with_power["futility"] is None
    default = answer(capsys, "boundaries", "--info", "0.5,1", "--futility", "obrien-fleming")
    assert default == answer(capsys, "boundaries", "--info", "0.5,1", "--futility", "obrien-fleming", "--beta", "0.2")
    assert pytest.approx(0.2) == default["beta_spent"][-1]
    binding = answer(capsys, "boundaries", "--info", "0.5,1", "--futility", "obrien-fleming", "--binding")
    assert binding["efficacy"][-1] < default["efficacy"][-1]


def test_inference_is_that_of_the_reference_and_null_before_the_stop(capsys):
    """The stage-wise p of this path by rpact is 0.00026809."""
    found = answer(capsys, "infer", *EXAMPLES["infer"])
    assert 2 == found["stopped_at"]
    assert pytest.approx(0.00026809, abs=5e-9) == found["p_value"]
    going_on = answer(capsys, "infer", "--info", "0.3,0.6", "--max-information", "100", "--z", "-1.917")
    nulls = ("stopped_at", "p_value", "median_unbiased_estimate", "confidence_interval")
    assert [None] * 4 == [going_on[name] for name in nulls]
    assert 1 == len(going_on["repeated_confidence_intervals"]) == len(going_on["repeated_p_values"])


def test_plan_reads_every_way_of_saying_the_same(capsys):
    """Fixed total 7681.69: statsmodels, one-sided .025, power .8, .10 against .12."""
    said = [("0.10", "20%"), ("10%", "2pp")]
    relative, absolute = (answer(capsys, "plan", "--rate", rate, "--mde", mde, "--looks", "14") for rate, mde in said)
    assert relative == absolute
    assert pytest.approx(7681.69, abs=0.005) == relative["fixed_sample_total"]
    assert relative["days"] is None
    timed = ("--daily-units", "1000", "--matures-after", "1d")
    days = answer(capsys, "plan", "--rate", "0.10", "--mde", "20%", "--looks", "14", *timed)["days"]
    assert days == -(-relative["total"] // 1000) + 1
    mean = [answer(capsys, "plan", "--mean", "10", "--sd", "4", "--mde", mde) for mde in ("0.5", "5%")]
    assert mean[0] == mean[1]
    assert 3 == len(answer(capsys, "plan", "--rate", "0.1", "--mde", "2pp", "--split", "40/30/30")["units_per_variant"])


def test_srm_says_mismatch_by_the_e_value(capsys):
    found = answer(capsys, "srm", *EXAMPLES["srm"])
    assert found["mismatch"] is True
    assert pytest.approx(5.9e8, rel=0.01) == found["e_value"]
    assert answer(capsys, "srm", "--observed", "50,50")["mismatch"] is False
    assert sys.float_info.max == answer(capsys, "srm", "--observed", "100000000,1")["e_value"]


def test_simulation_on_the_command_line_is_the_librarys(capsys):
    from staged_rollout.stats import Spending
    from staged_rollout.stats.simulation import simulate_test

    found = answer(capsys, "simulate-test", "--looks", "4", "--runs", "500", "--seed", "3", "--spending", "power:2")
    expected = simulate_test([0.25, 0.5, 0.75, 1.0], Spending("power", 0.025, 2), runs=500, seed=3)
    assert [vars(rule) for rule in expected.rules] == found["rules"]


REFUSED = [
    (2, "--info", "boundaries --info 0.5,x,1"),
    (2, "--info", "boundaries --info 0.5,,1"),
    (8, "--info", "boundaries --info 0.5,nan"),
    (8, "--info", "boundaries --info 0.5,inf"),
    (8, "--info", "boundaries --info 0.5,0.4"),
    (8, "--info", "boundaries --info 0.5,0.50001"),
    (8, "--info", "boundaries --info 0,1"),
    (8, "--info", "boundaries --info -0.5,1"),
    (8, "--info", "boundaries --info 0.5,1,1.2"),
    (8, "--alpha", "boundaries --info 1 --alpha 0"),
    (8, "--alpha", "boundaries --info 1 --alpha nan"),
    (8, "--beta", "boundaries --info 0.5,1 --beta 1"),
    (8, "--beta", "boundaries --info 0.5,1 --beta 0.7 --futility pocock"),
    (8, "--spending", "boundaries --info 0.5,1 --spending linear"),
    (8, "--spending", "boundaries --info 0.5,1 --spending power"),
    (8, "--spending", "boundaries --info 0.5,1 --spending hsd:nan"),
    (8, "--futility", "boundaries --info 0.5,1 --futility linear"),
    (8, "--futility", "boundaries --info 0.5,1 --futility pocock --sides 2"),
    (8, "--classic", "boundaries --info 0.5,1 --classic haybittle"),
    (2, "--classic", "boundaries --info 0.5,1 --classic pocock --spending pocock"),
    (2, "--sides", "boundaries --info 0.5,1 --sides 3"),
    (8, "--z", "infer --info 0.5,1 --max-information 9 --z 1,2,3"),
    (8, "--z", "infer --info 0.5,1 --max-information 9 --z nan"),
    (8, "--max-information", "infer --info 0.5,1 --max-information 0 --z 1"),
    (2, "--mde", "plan --rate 0.1 --mde 0.02"),
    (8, "--mde", "plan --mean 1 --sd 1 --mde 0"),
    (8, "--rate", "plan --rate 1.5 --mde 20%"),
    (2, "--rate", "plan --mean 1 --mde 1"),
    (2, "--rate", "plan --rate 0.1 --sd 1 --mde 20%"),
    (8, "--sd", "plan --mean 1 --sd -1 --mde 1"),
    (8, "--power", "plan --rate 0.1 --mde 20% --power 1"),
    (2, "--split", "plan --rate 0.1 --mde 20% --split 50/60"),
    (2, "--split", "plan --rate 0.1 --mde 20% --split half"),
    (8, "--daily-units", "plan --rate 0.1 --mde 20% --daily-units 0"),
    (2, "--matures-after", "plan --rate 0.1 --mde 20% --matures-after soon"),
    (2, "--better", "plan --rate 0.1 --mde 20% --better up"),
    (8, "--observed", "srm --observed 0,0"),
    (8, "--observed", "srm --observed 5,-1"),
    (2, "--observed", "srm --observed 5,1.5"),
    (8, "--observed", "srm --observed 5"),
    (8, "--weights", "srm --observed 5,5 --weights 0,0"),
    (8, "--weights", "srm --observed 5,5 --weights 1,nan"),
    (8, "--alpha", "srm --observed 5,5 --alpha 1"),
    (8, "--runs", "simulate-test --runs 3"),
    (8, "--seed", "simulate-test --seed -1"),
    (2, "--looks", "simulate-test --looks 0"),
    (8, "--power", "simulate-test --power 2"),
    (2, "--plot", "srm --observed 5,5 --plot chart.pdf"),
    (2, "--plot", "srm --observed 5,5 --plot nowhere/chart.png"),
]


@pytest.mark.parametrize(("exit_code", "option", "line"), REFUSED, ids=[line for *_, line in REFUSED])
def test_bad_input_names_the_option_and_a_hint(capsys, exit_code, option, line):
    code, out, err = outcome(capsys, *line.split(), "--json")
    error = json.loads(err)["error"]
    assert (exit_code, "", exit_code) == (code, out, error["exit_code"])
    assert option in error["message"]
    assert error["hint"]


def test_a_plot_that_cannot_be_written_is_one_line_and_leaves_nothing(capsys, tmp_path):
    for target in (tmp_path / f"{'x' * 300}.png", tmp_path / "file" / "chart.png", tmp_path / "folder.png"):
        (tmp_path / "folder.png").mkdir(exist_ok=True)
        (tmp_path / "file").touch()
        code, out, err = outcome(capsys, "srm", "--observed", "5,5", "--plot", str(target))
        assert (2, "") == (code, out)
        assert "--plot" in err
        assert "Traceback" not in err
    assert {"folder.png", "file"} == {path.name for path in tmp_path.iterdir()}


def test_the_bar_appears_on_a_terminal_after_its_patience_only(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for patience, as_json, shown in ((0.0, False, True), (60.0, False, False), (0.0, True, False)):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        with counting("runs", 10, as_json=as_json, patience_s=patience) as progress:
            progress(5)
        assert shown is ("runs" in terminal.getvalue())


def test_the_program_starts_without_numbers_and_charts():
    program = (
        "import sys; import staged_rollout.cli.main; "
        "print([name for name in ('numpy', 'scipy', 'pandas', 'statsmodels', 'matplotlib') if name in sys.modules])"
    )
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert "[]" == ended.stdout.strip()
