"""Checks of S3 stores: the credentials, and each permission, by one small object."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from brain.checks import Check, failed, ok, skipped
from brain.errors import LibraryError
from brain.series.store.object_store import aws_session, bucket_and_prefix, is_s3

__all__ = ["check_credentials", "probe_bucket"]

_CREDENTIALS = "credentials"
_PUBLIC = "the exchanges' public endpoints need none"
# boto3's names for the sources of keys.
_SOURCES = {
    "env": "the environment",
    "shared-credentials-file": "the shared credentials file",
    "config-file": "AWS's configuration file",
    "iam-role": "the machine's role",
    "container-role": "the container's role",
    "custom-process": "a credentials process",
}
_WRONG_KEYS = {"SignatureDoesNotMatch", "InvalidAccessKeyId", "InvalidToken", "ExpiredToken"}
_NO_BUCKET = {"NoSuchBucket", "404"}
_ELSEWHERE = {"PermanentRedirect", "AuthorizationHeaderMalformed", "301"}
_DENIED = {"AccessDenied", "AllAccessDisabled", "403"}


def check_credentials(*roots: str | None) -> Check:
    """Whether boto3 finds keys for the roots in S3, and in which source; the keys are not shown.

    Args:
        roots: of artifacts and series.
    """
    roots_in_s3 = [root for root in roots if root and is_s3(root)]
    if not roots_in_s3:
        return skipped(_CREDENTIALS, f"nothing is kept in S3 by this machine; {_PUBLIC}")
    from botocore.exceptions import BotoCoreError

    try:
        session = aws_session()
        credentials = session.get_credentials()
    except BotoCoreError as error:
        return failed(_CREDENTIALS, str(error), "correct the profile, or AWS_PROFILE")
    if credentials is None:
        fault = f"boto3 finds no keys for {' and '.join(roots_in_s3)}"
        cure = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        return failed(_CREDENTIALS, fault, cure)
    source = _SOURCES.get(credentials.method, credentials.method)
    profile = f", profile {session.profile!r}" if session.profile else ""
    return ok(_CREDENTIALS, f"boto3 finds keys in {source}{profile}; {_PUBLIC}")


def probe_bucket(client: Any, root: str) -> str:
    """List, put, get and delete one object below a root of an S3 store.

    Args:
        client: of boto3.
        root: ``s3://bucket/prefix``.

    Returns:
        The abilities, in words.

    Raises:
        LibraryError: one is lacking; the missing permission is named.
    """
    bucket, prefix = bucket_and_prefix(root)
    key = "/".join(part for part in (prefix, f".check-{uuid.uuid4().hex}") if part)
    address = {"Bucket": bucket, "Key": key}
    with _step(client, root, "s3:ListBucket"):
        client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
    with _step(client, root, "s3:PutObject"):
        client.put_object(**address, Body=key.encode())
    try:
        with _step(client, root, "s3:GetObject"):
            client.get_object(**address)["Body"].read()
    finally:
        with _step(client, f"{root}, where {key} stays behind", "s3:DeleteObject"):
            client.delete_object(**address)
    return f"{root} at {client.meta.endpoint_url}: objects can be listed, put, read and deleted"


@contextmanager
def _step(client: Any, root: str, permission: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    store = f"{root} at {client.meta.endpoint_url}"
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        raise LibraryError(_explain(code, store, permission) or f"{store}: {error}") from error
    except BotoCoreError as error:
        raise LibraryError(
            f"{store} can't be used ({error}); check the endpoint, the network and the credentials"
        ) from error


def _explain(code: str, store: str, permission: str) -> str | None:
    if code in _WRONG_KEYS:
        return f"{store} refuses the keys ({code}); correct the credentials that boto3 finds"
    if code in _NO_BUCKET:
        return f"{store}: there is no such bucket; make it, or correct its name and the endpoint"
    if code in _ELSEWHERE:
        return f"{store}: the bucket is in another region ({code}); set AWS_REGION to the bucket's"
    if code in _DENIED:
        return f"{store}: {permission} is not allowed ({code}); grant {permission} to these keys"
    return None
