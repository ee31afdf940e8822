"""The folder that relative paths start from, with real launchers."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from brain.errors import SettingsError
from brain.folders import enter_folder, tracking_address
from brain.settings import load_settings
from tests.servers import free_port

ROOT = Path(__file__).parents[2]
IDLE = "import time; time.sleep(600)"

# A job that tells its folder, and what the settings make of relative paths there.
JOB = f"""
    import sys
    sys.path.insert(0, {str(ROOT)!r})
    from brain.folders import enter_folder
    from brain.settings import load_settings
    enter_folder(int(sys.argv[1]))
    settings = load_settings({{"bars": sys.argv[2]}})
    print("TOLD", settings.bars, settings.series, settings.experiment, sep="|", flush=True)
"""


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The caller's folder, whose name has a blank, and the project's, where this process works."""
    caller, project = tmp_path / "my bars", tmp_path / "project"
    caller.mkdir()
    project.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return caller, project


@pytest.fixture
def launcher(folders: tuple[Path, Path]) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", IDLE], cwd=folders[0])
    yield process.pid
    process.kill()
    process.wait()


def test_relative_paths_start_where_the_launcher_was_started(
    folders: tuple[Path, Path], launcher: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller, project = folders
    (caller / "brain.toml").write_text('bars = "hours"\nseries = "../store"\n')
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///runs.db?timeout=5")
    assert load_settings().bars is None
    enter_folder(launcher)
    settings = load_settings()
    assert settings.bars == caller / "hours"
    assert settings.series == f"{caller}/../store"
    assert settings.tracking_uri == f"sqlite:///{caller}/runs.db?timeout=5"
    assert list(project.iterdir()) == []


def test_a_settings_file_of_the_project_that_is_not_read_is_told(
    folders: tuple[Path, Path], launcher: int, caplog: pytest.LogCaptureFixture
) -> None:
    caller, project = folders
    (project / "brain.toml").write_text("trials = 3\n")
    with caplog.at_level(logging.WARNING):
        enter_folder(launcher)
    (message,) = caplog.messages
    assert message == (
        f"{project}/brain.toml is not read, as the job was started in {caller}; to use it, set "
        f"BRAIN_SETTINGS={project}/brain.toml"
    )
    assert load_settings().trials == 8


def test_a_launcher_in_the_project_changes_nothing(
    folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    project = folders[1]
    (project / "brain.toml").write_text("trials = 3\n")
    enter_folder(os.getpid())
    assert (Path.cwd(), load_settings().trials, caplog.messages) == (project, 3, [])


def test_a_folder_that_is_gone_is_told_and_another_can_be_named(
    folders: tuple[Path, Path], launcher: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    caller, project = folders
    shutil.rmtree(caller)
    with pytest.raises(SettingsError, match=r"can't be entered.*BRAIN_FOLDER=/ABSOLUTE/PATH"):
        enter_folder(launcher)
    assert Path.cwd() == project
    monkeypatch.setenv("BRAIN_FOLDER", "here")
    with pytest.raises(SettingsError, match=r"'here' is a relative path; .*BRAIN_FOLDER=/ABS"):
        enter_folder(launcher)
    monkeypatch.setenv("BRAIN_FOLDER", str(tmp_path))
    enter_folder(launcher)
    assert load_settings({"bars": "x"}).bars == tmp_path / "x"


def test_a_launcher_that_is_unknown_is_told(folders: tuple[Path, Path]) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with pytest.raises(SettingsError, match=r"`mlflow run` was started in is unknown.*BRAIN_FOLD"):
        enter_folder(ended.pid)
    assert Path.cwd() == folders[1]


@pytest.mark.sampled("place")
@pytest.mark.parametrize("place", ["a folder", "a git repository"])
def test_mlflow_run_from_elsewhere_reads_what_the_caller_means(
    place: str, folders: tuple[Path, Path], sqlite_dsn: str
) -> None:
    caller, project = folders
    (caller / "brain.toml").write_text('experiment = "mine"\n')
    (project / "job.py").write_text(textwrap.dedent(JOB))
    (project / "MLproject").write_text(
        "entry_points:\n  main:\n    parameters: {bars: {type: string, default: auto}}\n"
        f"    command: exec {sys.executable} job.py $PPID {{bars}}\n"
    )
    uri, daemon = str(project), None
    if place == "a git repository":
        uri, daemon = serve(project)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "mlflow", "run", uri, "--env-manager", "local", "-P", "bars=1h"],
            cwd=caller, env={**os.environ, "MLFLOW_TRACKING_URI": sqlite_dsn},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    finally:
        if daemon is not None:
            daemon.terminate()
            daemon.wait()
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("TOLD")]
    assert line == f"TOLD|{caller}/1h|{caller}/series|mine"


def serve(project: Path) -> tuple[str, subprocess.Popen[bytes]]:
    """Commit the project, and serve it as a git repository on loopback."""
    git = ["git", "-C", str(project), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], check=True)
    port = free_port()
    daemon = subprocess.Popen(
        ["git", "daemon", f"--base-path={project.parent}", "--export-all", "--listen=127.0.0.1",
         f"--port={port}", "--reuseaddr"]
    )  # fmt: skip
    uri = f"git://127.0.0.1:{port}/{project.name}"
    for _ in range(100):
        asked = subprocess.run(["git", "ls-remote", uri], capture_output=True, check=False)
        if asked.returncode == 0:
            break
        time.sleep(0.1)
    return uri, daemon


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("sqlite:///runs.db", "sqlite:///{here}/runs.db"),
        ("sqlite+pysqlite:///a/../runs.db", "sqlite+pysqlite:///{here}/a/../runs.db"),
        ("sqlite:////srv/runs.db", "sqlite:////srv/runs.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite://", "sqlite://"),
        ("sqlite:///file:runs.db?uri=true", "sqlite:///file:runs.db?uri=true"),
        ("http://host:5000/a", "http://host:5000/a"),
        ("postgresql+psycopg://me:p?w@host/x", "postgresql+psycopg://me:p?w@host/x"),
    ],
)
def test_a_tracking_uri_has_the_absolute_path_of_its_file(
    folders: tuple[Path, Path], value: str, expected: str
) -> None:
    assert tracking_address(value) == expected.format(here=folders[1])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("bars", "", r"bars='': this names no folder; name one"),
        ("bars", "s3://b/x", r"bars='s3://b/x': bars are read from a folder of this machine; copy"),
        ("bars", "~no-such-user/x", r"home directory.*; write the path from the root on"),
        ("series", "gs://b/x", r"series='gs://b/x': series can't be kept at an address of 'gs'"),
        ("series", "gs://me:hush@b/x", r"gs://me:\*\*\*@b/x"),
        ("series", " ", r"series=' ': ' ' names no series store; give a folder or s3://"),
        ("series", "~no-such-user/x", r"home directory.*; write the path from the root on"),
    ],
)
def test_what_is_no_folder_is_refused_with_the_rest_of_the_settings(
    name: str, value: str, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings({name: value})
