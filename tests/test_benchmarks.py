"""The benchmarks' frame: ratios, targets, table, JSON, exit codes."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from hypothesis import given, strategies as st
from rich.console import Console

from benchmarks import __main__ as command_line, nightly, our_night
from benchmarks.frame import Benchmark, Metric, Report, Target, interleave
from benchmarks.night import FITTING, NOT_FITTING, SHARED
from benchmarks.report import COLUMNS, as_table
from benchmarks.stages import OTHER, StageClock

FASTER = Metric("quick", "s", ours=[1.0, 2.0, 1.0], theirs=[4.0, 6.0, 9.0], target=Target(3))
MISSED = Metric("slow", "s", ours=[1.0], theirs=[2.0], target=Target(3))


def report(*metrics: Metric, runs: int = 3) -> Report:
    return Report(metrics, runs=runs, ours="this house", theirs="the usual way", notes=["Quiet."])


def run(
    arguments: Sequence[str], result: Report, options: Sequence[click.Option] = ()
) -> tuple[int, dict[str, Any]]:
    """The exit code, and what the benchmark was called with."""
    call: dict[str, Any] = {}

    def measure(**keywords: Any) -> Report:
        call.update(keywords)
        return result

    benchmark = Benchmark(measure, runs=7, options=options, versions=("numpy", "no-such-thing"))
    return command_line.main(arguments, load=lambda _name: benchmark), call


# --- metrics ------------------------------------------------------------------------------------


def test_the_ratio_is_the_median_of_neighbouring_runs() -> None:
    assert FASTER.ratios == [4.0, 3.0, 9.0]
    assert FASTER.ratio == 4.0


def test_more_is_better_turns_the_ratio_round() -> None:
    assert Metric("speed", "/s", ours=[30], theirs=[10], better="higher").ratio == 3.0


@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), min_size=1, max_size=9))
def test_the_two_ways_of_better_are_each_others_inverse(pairs: list[tuple[float, float]]) -> None:
    ours, theirs = zip(*pairs, strict=True)
    lower = Metric("f", "", ours=ours, theirs=theirs)
    higher = Metric("f", "", ours=theirs, theirs=ours, better="higher")
    assert lower.ratios == higher.ratios


@pytest.mark.parametrize(
    ("target", "holds"),
    [
        (Target(4), True),
        (Target(4.1), False),
        (Target(4, "at most"), True),
        (Target(3.9, "at most"), False),
        (Target(1, of="ours"), True),
        (Target(0.9, "at most", of="ours"), False),
    ],
)
def test_a_target_holds_from_its_bound_on(target: Target, holds: bool) -> None:
    assert Metric("f", "s", FASTER.ours, FASTER.theirs, target=target).holds is holds


@pytest.mark.parametrize("side", ["at least", "at most"])
def test_what_could_not_be_measured_misses_its_target(side: Any) -> None:
    assert Metric("f", "s", ours=[math.nan], target=Target(0, side, of="ours")).holds is False
    assert Metric("f", "s", ours=[1.0], target=Target(0, side)).holds is False


def test_without_a_target_nothing_can_be_missed() -> None:
    assert Metric("f", "s", ours=[1.0]).holds is None
    assert report(Metric("f", "s", ours=[1.0])).missed == []


def test_nothing_against_nothing_is_no_ratio() -> None:
    assert math.isnan(Metric("files lost", "", ours=[0], theirs=[0]).ratio)
    assert Metric("files lost", "", ours=[0], theirs=[2]).ratio == math.inf


def test_uneven_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="2 runs of ours and 1 of theirs"):
        Metric("f", "s", ours=[1, 2], theirs=[1])
    with pytest.raises(ValueError, match="no runs"):
        Metric("f", "s", ours=[])


def test_sides_run_in_turn() -> None:
    order: list[str] = []
    lines: list[str] = []
    results = interleave(
        lambda: order.append("o") or len(order),  # type: ignore[func-returns-value]
        lambda: order.append("t") or len(order),  # type: ignore[func-returns-value]
        3,
        lines.append,
    )
    assert "".join(order) == "ototot"
    assert results == ([1, 3, 5], [2, 4, 6])
    assert lines[:2] == ["run 1 of 3: ours", "run 1 of 3: theirs"]


# --- table --------------------------------------------------------------------------------------


def rows(result: Report) -> list[list[str]]:
    table = as_table("nightly", result)
    return [list(cells) for cells in zip(*(c.cells for c in table.columns), strict=True)]


def test_the_table_has_a_row_a_figure() -> None:
    lone = Metric("wakes", "µs", ours=[1234.5], target=Target(50, "at most", of="ours"))
    result = report(FASTER, lone)
    assert [c.header for c in as_table("nightly", result).columns] == list(COLUMNS)
    assert rows(result) == [
        ["quick", "1 s", "6 s", "4× (3 – 9)", "≥ 3", "[green]yes[/]"],
        ["wakes", "1234 µs", "", "", "ours ≤ 50", "[red]NO[/]"],
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123456, "0.0123"), (1.5, "1.50"), (12.345, "12.3"), (3.0, "3"), (-0.25, "-0.250")],
)
def test_numbers_keep_three_digits(value: float, text: str) -> None:
    assert rows(report(Metric("f", "", ours=[value])))[0][1] == text


def test_a_number_that_is_unknown_is_shown_as_unknown() -> None:
    assert rows(report(Metric("f", "s", ours=[math.nan])))[0][1] == "unknown"
    assert rows(report(Metric("f", "s", ours=[0.0], theirs=[1.0])))[0][3] == "∞"


# --- command line -------------------------------------------------------------------------------


def test_a_kept_target_exits_0_and_a_missed_one_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["nightly", "--json", str(tmp_path / "new" / "n.json")]
    assert run(arguments, report(FASTER))[0] == 0
    assert capsys.readouterr().err == ""
    assert run(arguments, report(FASTER, MISSED, runs=1))[0] == 1
    output = capsys.readouterr()
    assert output.err == "error: slow: ≥ 3 is missed\n"
    assert "Quiet." in output.out


def test_the_json_file_says_what_the_table_says_and_on_what(tmp_path: Path) -> None:
    file = tmp_path / "n.json"
    option = click.Option(["--symbols"], default="LTC/USD")
    _, options = run(["nightly", "--json", str(file), "--runs", "3"], report(FASTER), [option])
    assert options == {"runs": 3, "symbols": "LTC/USD"}
    document = json.loads(file.read_text())
    assert document["benchmark"] == "nightly"
    assert document["holds"] is True
    assert document["options"] == options
    assert document["metrics"] == [
        {
            "metric": "quick",
            "unit": "s",
            "better": "lower",
            "ours": 1.0,
            "theirs": 6.0,
            "ratio": 4.0,
            "target": {"side": "at least", "bound": 3, "of": "ratio"},
            "holds": True,
            "ours_runs": [1.0, 2.0, 1.0],
            "theirs_runs": [4.0, 6.0, 9.0],
            "ratios": [4.0, 3.0, 9.0],
        }
    ]
    assert set(document["versions"]) == {"python", "numpy", "no-such-thing"}
    assert document["versions"]["no-such-thing"] is None
    assert document["machine"]["cores"] >= 1
    assert document["machine"]["processor"]
    assert document["machine"]["memory_gb"] > 0
    assert document["date"].endswith("+00:00")


def test_the_json_file_is_json_even_of_what_is_unknown(tmp_path: Path) -> None:
    file = tmp_path / "n.json"
    metrics = [
        Metric("unknown", "s", ours=[math.nan]),
        Metric("gone", "", ours=[0.0], theirs=[1.0]),
    ]
    run(["nightly", "--json", str(file)], report(*metrics))

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    unknown, lost = json.loads(file.read_text(), parse_constant=refuse)["metrics"]
    assert unknown["ours"] is None
    assert lost["ratio"] is None


def test_parts_that_are_not_measured_now_stay_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "n.json"
    first, second = report(FASTER), report(MISSED)
    command = ["nightly", "--json", str(file)]
    assert run(command, Report.of_parts({"first": first}))[0] == 0
    assert run([*command, "--runs", "2"], Report.of_parts({"second": second}))[0] == 1
    document = json.loads(file.read_text())
    assert {part: each["runs"] for part, each in document["parts"].items()} == {
        "first": 3,
        "second": 3,
    }
    assert [each["options"]["runs"] for each in document["parts"].values()] == [7, 2]
    assert [m["metric"] for m in document["parts"]["first"]["metrics"]] == ["quick"]
    run(command, Report.of_parts({"first": report(MISSED), "second": second}))
    document = json.loads(file.read_text())
    assert [each["holds"] for each in document["parts"].values()] == [False, False]
    file.write_text("torn {")
    run(command, Report.of_parts({"second": second}))
    assert list(json.loads(file.read_text())["parts"]) == ["second"]


def test_a_report_of_parts_is_one_table() -> None:
    both = Report.of_parts({"first": report(FASTER), "second": report(MISSED)})
    assert [row[0] for row in rows(both)] == ["quick", "slow"]
    assert both.missed == [MISSED]
    assert both.notes == ["Quiet.", "Quiet."]


def test_no_name_lists_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main([]) == 0
    output = capsys.readouterr().out
    for name, about in command_line.BENCHMARKS.items():
        assert name in output
        assert about in output


def test_a_misspelt_name_is_one_line_that_helps(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["nihgtly"]) == 2
    assert capsys.readouterr().err == (
        "error: there is no benchmark 'nihgtly'; did you mean 'nightly'?\n"
    )


@pytest.mark.parametrize("arguments", [["--runs", "0"], ["--rusn", "3"], ["--runs", "many"]])
def test_a_bad_option_exits_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, options = run(["nightly", *arguments], report(FASTER))
    assert code == 2
    assert not options
    assert capsys.readouterr().err.count("\n") == 1


def test_help_is_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["nightly", "--help"], report(FASTER))[0] == 0
    assert "--runs" in capsys.readouterr().out


def test_an_interrupt_exits_130(capsys: pytest.CaptureFixture[str]) -> None:
    def measure(**_options: Any) -> Report:
        raise KeyboardInterrupt

    assert command_line.main(["nightly"], load=lambda _name: Benchmark(measure)) == 130
    assert capsys.readouterr().err.strip() == "error: interrupted"


def test_every_benchmark_that_is_listed_is_there() -> None:
    for name in command_line.BENCHMARKS:
        assert isinstance(command_line.load(name), Benchmark)


def test_committed_results_are_of_benchmarks_that_are_listed() -> None:
    folder = Path(command_line.__file__).parent / "results"
    for file in folder.rglob("*.json"):
        document = json.loads(file.read_text())
        assert document["benchmark"] == file.stem
        assert file.stem in command_line.BENCHMARKS


def test_the_table_fits_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    Console(width=140).print(as_table("nightly", report(FASTER, MISSED)))
    assert max(len(line) for line in capsys.readouterr().out.splitlines()) <= 140


# --- the night ----------------------------------------------------------------------------------


def test_a_stage_within_a_stage_counts_for_the_inner_one() -> None:
    with StageClock() as clock:
        time.sleep(0.02)
        with clock.stage("outer"):
            time.sleep(0.02)
            with clock.stage("inner"):
                time.sleep(0.15)
    assert clock.seconds["inner"] >= 0.15
    assert 0.02 <= clock.seconds["outer"] < 0.1
    assert set(clock.seconds) == {"inner", "outer", OTHER}
    assert clock.megabytes["inner"] > 1


def test_functions_count_for_the_stage_that_they_are_hung_on() -> None:
    module = ModuleType("module")
    module.work = lambda seconds: time.sleep(seconds) or "done"  # type: ignore[attr-defined,func-returns-value]
    module.part = lambda: time.sleep(0.02)  # type: ignore[attr-defined]
    with StageClock() as clock:
        clock.hang("work", module, "work")
        clock.hang("part", module, "part", within="work")
        assert module.work(0.01) == "done"
        module.part()
        assert "part" not in clock.seconds
        with clock.stage("work"):
            module.part()
    assert clock.seconds["work"] >= 0.01
    assert clock.seconds["part"] >= 0.02
    assert clock.seconds[OTHER] >= 0.02


def test_a_stage_that_fails_has_ended() -> None:
    with StageClock() as clock:
        with pytest.raises(ZeroDivisionError), clock.stage("fails"):
            _ = 1 / 0
        time.sleep(0.02)
    assert clock.seconds[OTHER] >= 0.02 > clock.seconds["fails"]


def test_our_nights_stages_are_there_to_be_measured() -> None:
    class Checking(StageClock):
        def hang(self, stage: str, module: Any, *names: str, within: str | None = None) -> None:
            assert stage in (*SHARED, *FITTING, *NOT_FITTING)
            assert all(callable(getattr(module, name)) for name in names), (module, names)

    our_night.hang(Checking())


def test_all_stages_but_fitting_are_held_against_the_target() -> None:
    ours = nightly.Readings({"log and register": 1, "search": 9, "imports": 5}, {"search": 9}, {})
    theirs = nightly.Readings({"explain": 4, "search": 9, "imports": 5}, {"explain": 7}, {})
    metrics = {f.name: f for f in nightly.report([ours], [theirs]).metrics}
    others = metrics["all other stages"]
    assert (others.ours, others.theirs, others.holds) == ([1], [4], True)
    assert metrics["all fitting stages"].ratio == 1
    assert metrics["whole night"].ours == [15]
    assert metrics["peak memory, whole night"].theirs == [7]


def test_a_night_that_leaves_less_is_not_faster(tmp_path: Path) -> None:
    for name in ("1/abc/artifacts/drift/evidently.html", "1/models/m-1/artifacts/MLmodel", "x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    files = nightly.artifacts(tmp_path)
    assert files == {"drift: Evidently's report, HTML": 1, "model": 1, "other": 1}
    result = nightly.report(
        [nightly.Readings({}, {"x": 1}, files)], [nightly.Readings({}, {"x": 1}, {})]
    )
    (missing,) = [f for f in result.metrics if "missing" in f.name]
    assert missing.ours == [7]
    assert missing in result.missed
    assert result.beside["model"] == ("1", "–")
