"""Objects of S3 stores: signed as botocore signs them, and read from real servers."""

from __future__ import annotations

import random
import re
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as BotoCredentials

from brain.errors import ArtifactStoreError, LibraryError, SettingsError
from brain.manifest import check_bytes
from brain.model_keys import ModelKey
from registry.library import BrainLibrary
from serving import RemoteRegistry
from serving.remote.connections import Connections
from serving.remote.s3 import Credentials, read_object, signed
from tests.registry.models import EXPERIMENT, start
from tests.s3_servers import Bucket, RcloneS3Server, S3Server
from tests.servers import MlflowServer, free_port
from tests.serving.desk import Models
from tests.serving.remote.champions import register

KEY = ModelKey("ETH/USD", "1d", 6)
ODD = "abc/ /+~%=&?#:;,@!$'()*[]{}<>|\\^`\"._-é漢😀\t"
VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
             "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3",
             "MLFLOW_S3_ENDPOINT_URL")  # fmt: skip


@pytest.fixture(autouse=True)
def _nobodys_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def boto_url(endpoint: str, region: str, bucket: str, key: str, style: str) -> str:
    """Where boto3 asks for an object."""
    client = boto3.client(
        "s3",
        region_name=region,
        endpoint_url=endpoint or None,
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        config=Config(s3={"addressing_style": style}, signature_version="s3v4"),
    )
    with closing(client):
        return str(
            client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
        )


# --- signatures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_address_and_signature_are_those_of_botocore(seed: int) -> None:
    draw = random.Random(seed)
    key = "".join(draw.choices(ODD, k=draw.randint(1, 40))).strip("/") or "x"
    bucket = draw.choice(["bucket", "my-bucket-1", "my.bucket"])
    endpoint = draw.choice(["", "http://127.0.0.1:9000", "https://store.example"])
    secret = "".join(draw.choices(ODD, k=20))
    session = draw.choice(["", "session+/="])
    credentials = Credentials("AKIA:some", secret, session, "eu-west-1", endpoint)
    url = credentials.url(bucket, key)
    style = "path" if endpoint or "." in bucket else "virtual"
    expected = urlsplit(boto_url(endpoint, "eu-west-1", bucket, key, style))
    assert (urlsplit(url)[:3], urlsplit(url)[3:]) == (expected[:3], ("", ""))
    request = AWSRequest(method="GET", url=url)
    request.context["payload_signing_enabled"] = True
    signer = S3SigV4Auth(BotoCredentials("AKIA:some", secret, session or None), "s3", "eu-west-1")
    signer.add_auth(request)
    moment = datetime.strptime(request.context["timestamp"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    ours = {name.lower(): value for name, value in signed(url, credentials, moment).items()}
    assert ours == {name.lower(): value for name, value in request.headers.items()}


# --- settings -----------------------------------------------------------------------------------


def test_keys_are_of_the_environment_or_of_the_profile_and_never_of_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ArtifactStoreError, match="no credentials of the S3 store; set AWS_ACCESS"):
        Credentials.read()
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(
        "[default]\naws_access_key_id = a\naws_secret_access_key = 100%b\n"
        "[desk]\naws_access_key_id = c\naws_secret_access_key = d\naws_session_token = e\n"
    )
    (tmp_path / ".aws/config").write_text(
        "[default]\nregion = eu-central-1\n[profile desk]\nendpoint_url = http://store:1/\n"
    )
    assert Credentials.read() == Credentials("a", "100%b", "", "eu-central-1", "")
    monkeypatch.setenv("AWS_PROFILE", "desk")
    assert Credentials.read() == Credentials("c", "d", "e", "us-east-1", "http://store:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    with pytest.raises(ArtifactStoreError, match="no credentials"):
        Credentials.read()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_REGION", "r-2")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://second")
    assert Credentials.read() == Credentials("k", "s", "", "r-2", "http://second")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "r-1")
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://first")
    assert Credentials.read() == Credentials("k", "s", "", "r-1", "http://first")
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://me:p@ss@first")
    with pytest.raises(SettingsError, match="the S3 endpoint='http://") as error:
        Credentials.read()
    assert "p@ss" not in str(error.value)


def test_a_broken_profile_is_told_without_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text("aws_secret_access_key = sesame-street\n")
    with pytest.raises(ArtifactStoreError, match=r"credentials can't be read \(Missing") as error:
        Credentials.read()
    assert "sesame" not in f"{error.value}"


def test_a_store_that_does_not_answer_is_the_stores_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with (
        closing(Connections(timeout=5.0)) as connections,
        pytest.raises(ArtifactStoreError, match=r"no answer from http://127\.0\.0\.1:.*refused"),
    ):
        read_object(connections, "bucket", "key", limit=1, timeout=5.0)


# --- real servers -------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["s3_server", "s3_unsafe_server"])
def store(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def use(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    # MLflow keeps its client by that address, and boto3 its keys for ever.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    settings = {**bucket.environment, "MLFLOW_S3_ENDPOINT_URL": bucket.url, **changes}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


def test_objects_of_odd_names_are_read_and_large_ones_refused(
    store: S3Server | RcloneS3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = store.fresh()
    use(bucket, monkeypatch)
    draw = random.Random(3)
    keys = ["plain", "a b/c+d", "e%20f/g~h", "ü/漢.txt", "(1)&=?#;,@!$'*"]
    bodies = {key: draw.randbytes(1 + 70_000 * (place == 0)) for place, key in enumerate(keys)}
    with store.client() as client, closing(Connections(timeout=20.0)) as connections:
        for key, body in bodies.items():
            client.put_object(Bucket=bucket.bucket, Key=key, Body=body)

        def read(key: str, limit: int = 100_000) -> bytes:
            return read_object(connections, bucket.bucket, key, limit=limit, timeout=20.0)

        assert {key: read(key) for key in keys} == bodies
        with pytest.raises(LibraryError, match="70001 bytes, more than 70000"):
            read("plain", 70_000)
        with pytest.raises(ArtifactStoreError, match=r"s3://.*/absent can't be read: .* 404 \(NoS"):
            read("absent")


def test_champions_files_are_read_from_the_store_and_a_wrong_secret_is_refused(
    store: S3Server | RcloneS3Server,
    mlflow_server: MlflowServer,
    models: Models,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket = store.fresh()
    use(bucket, monkeypatch)
    library = BrainLibrary(mlflow_server.uri)
    library.experiment(EXPERIMENT, f"s3://{bucket.bucket}/some where")
    with start(library) as run:
        register(library, run, models, tmp_path)
    with closing(RemoteRegistry(mlflow_server.uri)) as remote:
        for champion in remote.champions(KEY)[:3]:
            files = remote.files(champion.model_id)
            assert files == {n: library.files(champion.model_id)[n] for n in files}
            check_bytes(files.pop("manifest.json"), champion.record.digest, files)
        use(bucket, monkeypatch, AWS_SECRET_ACCESS_KEY="wrong-secret")
        with pytest.raises(ArtifactStoreError, match=r"403 \(SignatureDoesNotMatch\); check AWS_A"):
            remote.files(champion.model_id)
        use(bucket, monkeypatch, AWS_ACCESS_KEY_ID="AKIA-unknown")
        with pytest.raises(ArtifactStoreError, match=rf"{re.escape(bucket.url)} answers with 40"):
            remote.files(champion.model_id)
