"""Credentials and addresses of S3 stores, as boto3 resolves them, for deltalake and for checks.

Every call resolves anew, so that rotated credentials take effect; what a process keeps is what
botocore knows of Amazon's services, megabytes of JSON that take most of a client's making.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from brain.addresses import check_environment, refuse_ambiguous
from brain.errors import InputError, SeriesStoreError
from brain.redact import redact

__all__ = [
    "ConditionalPuts",
    "aws_session",
    "bucket_and_prefix",
    "check_conditional_puts",
    "check_reachable",
    "hide_secrets",
    "is_s3",
    "s3_client",
    "storage_options",
]

_S3 = re.compile(r"s3a?://(?P<bucket>[^/?#@\s]+)(?:/(?P<prefix>[^?#\s]*))?")
_USER = re.compile(r"(?<=://)[^/@\s]+@")  # it may be a key
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL")
_DEFAULT_REGION = "us-east-1"
# An address that does not answer must be reported within seconds, not minutes.
_CONNECT_SECONDS = 4
_ANSWER_SECONDS = 5
_TRANSFER_SECONDS = 30
_RETRY_SECONDS = 8
_RETRIES = 2
_SECRET = ("access_key", "token")


@dataclass(frozen=True)
class ConditionalPuts:
    """Whether a store keeps two writers from overwriting one another.

    Attributes:
        root: of the store.
        honoured: whether ``If-None-Match: *`` was refused for an object that exists.
        answer: of the store to the second writer, in words.
    """

    root: str
    honoured: bool
    answer: str


def is_s3(root: str) -> bool:
    """Whether a root is in an S3 store."""
    return root.startswith(("s3://", "s3a://"))


def bucket_and_prefix(root: str) -> tuple[str, str]:
    """The bucket and the prefix of a root, the latter without slashes at its ends.

    Raises:
        InputError: the root is none of an S3 store, or can be read in more than one way.
    """
    refuse_ambiguous(root, "series", InputError)
    match = _S3.fullmatch(root)
    if match is None:
        raise InputError(
            "the address of an S3 store can't be read; write s3://bucket/prefix, and give "
            "credentials by the environment or a profile as for boto3"
        )
    return match["bucket"], (match["prefix"] or "").strip("/")


def aws_session() -> Any:
    """A session of botocore, which is below boto3, with the environment's and profile's settings.

    Raises:
        BotoCoreError: the profile can't be used.
    """
    import botocore.session

    session = botocore.session.Session()
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    return session


@cache
def _loader(path: str | None) -> Any:
    import botocore.loaders

    return botocore.loaders.create_loader(path)


def _endpoint(session: Any) -> str | None:
    for name in _ENDPOINTS:
        if os.environ.get(name):
            return os.environ[name]
    endpoint = session.get_scoped_config().get("endpoint_url")
    return str(endpoint) if endpoint else None


def storage_options() -> dict[str, str]:
    """The storage options by which deltalake reaches the S3 store that boto3 would reach now.

    Raises:
        SeriesStoreError: there are no credentials, or the profile can't be used.
        SettingsError: the address of the store or a proxy can be read in more than one way.
    """
    from botocore.exceptions import BotoCoreError

    check_environment()
    try:
        session = aws_session()
        credentials = session.get_credentials()
        frozen = credentials.get_frozen_credentials() if credentials else None
        region = session.get_config_variable("region") or _DEFAULT_REGION
        endpoint = _endpoint(session)
    except BotoCoreError as error:
        raise SeriesStoreError(
            f"no credentials for the S3 store of the series ({error}); correct the profile or "
            "the environment's AWS_ variables"
        ) from error
    if frozen is None or not frozen.access_key:
        raise SeriesStoreError(
            "no credentials for the S3 store of the series; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )
    options = {
        "aws_access_key_id": frozen.access_key,
        "aws_secret_access_key": frozen.secret_key,
        "aws_region": region,
        # Two writers of one version of a table: the second must be refused.
        "aws_conditional_put": "etag",
        "aws_s3_allow_unsafe_rename": "false",
        "connect_timeout": f"{_CONNECT_SECONDS}s",
        "timeout": f"{_TRANSFER_SECONDS}s",
        "max_retries": str(_RETRIES),
        "retry_timeout": f"{_RETRY_SECONDS}s",
    }
    if frozen.token:
        options["aws_session_token"] = frozen.token
    if endpoint:
        options["aws_endpoint"] = endpoint
        options["aws_virtual_hosted_style_request"] = "false"
        if endpoint.lower().startswith("http://"):
            options["aws_allow_http"] = "true"
    return options


def hide_secrets(text: str, options: Mapping[str, str]) -> str:
    """A text without these storage options' keys and tokens, and without addresses' secrets."""
    text = _USER.sub("***@", redact(text))
    for name, value in options.items():
        if value and any(word in name.lower() for word in _SECRET):
            text = text.replace(value, "***")
    return text


def s3_client(options: Mapping[str, str] | None = None) -> Any:
    """A client of botocore, as boto3's, for the store of these options; close it after use.

    Args:
        options: deltalake's storage options; if None, as of
            :func:`brain.series.store.object_store.storage_options`.

    Raises:
        SeriesStoreError: there are no credentials.
    """
    from botocore.config import Config

    options = storage_options() if options is None else options
    return aws_session().create_client(
        "s3",
        region_name=options.get("aws_region", _DEFAULT_REGION),
        endpoint_url=options.get("aws_endpoint"),
        aws_access_key_id=options["aws_access_key_id"],
        aws_secret_access_key=options["aws_secret_access_key"],
        aws_session_token=options.get("aws_session_token"),
        config=Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_ANSWER_SECONDS,
            retries={"total_max_attempts": _RETRIES},
            s3={"addressing_style": "path"} if "aws_endpoint" in options else None,
        ),
    )


def check_reachable(root: str, options: Mapping[str, str]) -> None:
    """Check that the server answers, whatever its answer.

    deltalake would wait for a silent server as long as for a large file.

    Raises:
        SeriesStoreError: there is no answer within some ten seconds.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    client = s3_client(options)
    try:
        client.head_bucket(Bucket=bucket_and_prefix(root)[0])
    except ClientError:
        return  # an answer
    except BotoCoreError as error:
        raise SeriesStoreError(
            f"no answer from the S3 store of the series at {root}: "
            f"{hide_secrets(str(error), options)}; check the endpoint and the network"
        ) from error
    finally:
        client.close()


def check_conditional_puts(root: str, options: Mapping[str, str] | None = None) -> ConditionalPuts:
    """Whether an S3 store honours ``If-None-Match: *``, by an object that is deleted again.

    Args:
        root: of the store.
        options: deltalake's storage options; if None, as of
            :func:`brain.series.store.object_store.storage_options`.

    Raises:
        SeriesStoreError: the store can't be reached or written.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, prefix = bucket_and_prefix(root)
    options = storage_options() if options is None else options
    key = "/".join(part for part in (prefix, f".check-{uuid.uuid4().hex}") if part)
    client = s3_client(options)
    try:
        client.put_object(Bucket=bucket, Key=key, Body=b"first", IfNoneMatch="*")
        try:
            client.put_object(Bucket=bucket, Key=key, Body=b"second", IfNoneMatch="*")
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            answer = f"the second writer was answered {status}"
            return ConditionalPuts(root, status in (409, 412), answer)
        finally:
            client.delete_object(Bucket=bucket, Key=key)
    except (BotoCoreError, ClientError) as error:
        raise SeriesStoreError(
            f"the series at {root} can't be written: {hide_secrets(str(error), options)}; check "
            "the endpoint, the bucket and the permissions"
        ) from error
    finally:
        client.close()
    return ConditionalPuts(root, False, "the second writer overwrote the first")
