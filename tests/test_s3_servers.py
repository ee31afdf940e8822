"""The S3-compatible servers of the tests behave as the tests take for granted."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from mlflow import MlflowClient

from tests.s3_servers import Bucket, RcloneS3Server, S3Server


def refusal(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


@pytest.mark.parametrize("name", ["s3_server", "s3_unsafe_server"])
def test_a_wrong_secret_is_refused(name: str, request: pytest.FixtureRequest) -> None:
    server: S3Server | RcloneS3Server = request.getfixturevalue(name)
    with (
        server.client(aws_secret_access_key="wrong") as client,
        pytest.raises(ClientError) as error,
    ):
        client.list_buckets()
    assert refusal(error) == "SignatureDoesNotMatch"


def test_a_second_conditional_put_is_refused(s3_server: S3Server, s3: Bucket) -> None:
    with s3_server.client() as client:
        client.put_object(Bucket=s3.bucket, Key="a/b", Body=b"first", IfNoneMatch="*")
        with pytest.raises(ClientError) as error:
            client.put_object(Bucket=s3.bucket, Key="a/b", Body=b"second", IfNoneMatch="*")
        assert client.get_object(Bucket=s3.bucket, Key="a/b")["Body"].read() == b"first"
    assert refusal(error) == "PreconditionFailed"


def test_one_of_several_conditional_puts_at_once_wins(s3_server: S3Server, s3: Bucket) -> None:
    def put(key: str) -> str:
        try:
            client.put_object(Bucket=s3.bucket, Key=key, Body=b"x", IfNoneMatch="*")
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "won"

    keys = [f"key{n // 4}" for n in range(20)]
    with s3_server.client() as client, ThreadPoolExecutor(4) as pool:
        answers = Counter(zip(keys, pool.map(put, keys), strict=True))
    assert answers == {
        **{(key, "won"): 1 for key in keys},
        **{(key, "PreconditionFailed"): 3 for key in keys},
    }


def test_rclone_ignores_the_condition(s3_unsafe_server: RcloneS3Server, s3_unsafe: Bucket) -> None:
    with s3_unsafe_server.client() as client:
        for body in (b"first", b"second"):
            client.put_object(Bucket=s3_unsafe.bucket, Key="a", Body=body, IfNoneMatch="*")
        assert client.get_object(Bucket=s3_unsafe.bucket, Key="a")["Body"].read() == b"second"


def test_mlflow_keeps_artifacts_there(
    s3: Bucket, sqlite_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    client = MlflowClient(sqlite_dsn)
    experiment = client.create_experiment("there", artifact_location=f"s3://{s3.bucket}/artifacts")
    run = client.create_run(experiment)
    (tmp_path / "note.txt").write_text("text")
    client.log_artifact(run.info.run_id, str(tmp_path / "note.txt"), "notes")
    path = client.download_artifacts(run.info.run_id, "notes/note.txt", str(tmp_path))
    assert Path(path).read_text() == "text"
