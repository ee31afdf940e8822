"""Objects of an S3 store by signed requests (AWS Signature Version 4), without a client library.

Source: AWS, "Signature Version 4 signing process" and "Authenticating Requests: Using the
Authorization Header", Amazon S3 API Reference. What is needed of it here is a GET of an object.

Keys, region and endpoint are those of the environment, by the names that MLflow and boto3 read;
else of the profile in ``~/.aws/credentials`` and ``~/.aws/config``. Other places of credentials, as
the roles of machines, are not read.
"""

from __future__ import annotations

import configparser
import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from brain.addresses import refuse_ambiguous
from brain.errors import ArtifactStoreError
from serving.remote.connections import Answer, Connections, origin_of

__all__ = ["Credentials", "read_object", "signed"]

_KEY, _SECRET, _SESSION = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
_ENDPOINTS = ("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_REGIONS = ("AWS_DEFAULT_REGION", "AWS_REGION")
_EMPTY = hashlib.sha256(b"").hexdigest()
_ALGORITHM = "AWS4-HMAC-SHA256"
_CODE = re.compile(rb"<Code>(\w+)</Code>")
# Those that a host's name can hold with a certificate of AWS.
_HOST_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


@dataclass(frozen=True, repr=False)
class Credentials:
    """Of an S3 store.

    Attributes:
        key, secret: access key and its secret.
        session: token of temporary ones; empty if they are not.
        region: of the store.
        endpoint: address of a store of one's own; empty for AWS.
    """

    key: str
    secret: str
    session: str
    region: str
    endpoint: str

    @classmethod
    def read(cls) -> Credentials:
        """Those of the environment, or of the profile.

        Raises:
            ArtifactStoreError: there are none.
            SettingsError: the endpoint's address can be read in more than one way.
        """
        profile = _profile()
        # Keys are of one place: a key of the environment has no secret of a file.
        keys: Mapping[str, str] = os.environ if os.environ.get(_KEY) else profile
        names = (_KEY, _SECRET, _SESSION)
        key, secret, session = (keys.get(n, "") or keys.get(n.lower(), "") for n in names)
        if not (key and secret):
            raise ArtifactStoreError(
                f"there are no credentials of the S3 store; set {_KEY} and {_SECRET}, or name a "
                "profile of ~/.aws/credentials in AWS_PROFILE"
            )
        region = _first(_REGIONS) or profile.get("region") or "us-east-1"
        endpoint = (_first(_ENDPOINTS) or profile.get("endpoint_url", "")).rstrip("/")
        if endpoint:
            refuse_ambiguous(endpoint, "the S3 endpoint")
        return cls(key, secret, session, region, endpoint)

    def url(self, bucket: str, key: str) -> str:
        """The address of an object: at AWS the bucket is its host, elsewhere the path's begin."""
        path = quote(key, safe="/~")
        if self.endpoint:
            return f"{self.endpoint}/{quote(bucket, safe='')}/{path}"
        host = f"s3.{self.region}.amazonaws.com"
        if _HOST_NAME.fullmatch(bucket):
            return f"https://{bucket}.{host}/{path}"
        return f"https://{host}/{quote(bucket, safe='')}/{path}"


def read_object(
    connections: Connections, bucket: str, key: str, *, limit: int, timeout: float
) -> bytes:
    """The bytes of an object.

    Args:
        connections: that are used.
        bucket, key: of the object.
        limit: bytes that it may have.
        timeout: seconds until it must be whole.

    Raises:
        ArtifactStoreError: the store does not answer, there is no such object, or the credentials
            are none that may read it.
        LibraryError: it has more bytes than its limit.
        SettingsError: the endpoint is no address.
    """
    credentials = Credentials.read()
    url = credentials.url(bucket, key)
    headers = signed(url, credentials, datetime.now(UTC))
    answer = connections.get(
        url, limit=limit, headers=headers, timeout=timeout, unreachable=ArtifactStoreError
    )
    if answer.status == 200:
        return answer.body
    raise ArtifactStoreError(f"s3://{bucket}/{key} can't be read: {_refusal(url, answer)}")


def signed(url: str, credentials: Credentials, moment: datetime) -> dict[str, str]:
    """The headers that sign a GET.

    Args:
        url: percent-encoded, without a query.
        credentials: of the store.
        moment: with its zone; the store refuses one that is minutes off.
    """
    origin, target = origin_of(url)
    time = f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    headers = {"x-amz-content-sha256": _EMPTY, "x-amz-date": time}
    if credentials.session:
        headers["x-amz-security-token"] = credentials.session
    lines = {"host": origin.netloc, **headers}
    names = ";".join(sorted(lines))
    listed = "".join(f"{name}:{lines[name]}\n" for name in sorted(lines))
    request = f"GET\n{target}\n\n{listed}\n{names}\n{_EMPTY}"
    scope = f"{time[:8]}/{credentials.region}/s3/aws4_request"
    text = f"{_ALGORITHM}\n{time}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret}".encode()
    for part in scope.split("/"):
        key = _mac(key, part)
    signature = _mac(key, text).hex()
    headers["Authorization"] = (
        f"{_ALGORITHM} Credential={credentials.key}/{scope}, SignedHeaders={names}, "
        f"Signature={signature}"
    )
    return headers


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _first(variables: tuple[str, ...]) -> str:
    return next(filter(None, map(os.environ.get, variables)), "")


def _profile() -> dict[str, str]:
    """The settings of the profile in AWS's two files; empty if there is none."""
    name = os.environ.get("AWS_PROFILE") or "default"
    places = (
        ("AWS_CONFIG_FILE", "config", (name, f"profile {name}")),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", (name,)),
    )
    values: dict[str, str] = {}
    for variable, file, sections in places:
        path = os.environ.get(variable) or str(Path("~/.aws", file))
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read(os.path.expanduser(path), encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError, OSError) as error:
            raise ArtifactStoreError(
                f"{path} can't be read ({type(error).__name__}); correct it, or set {_KEY} and "
                f"{_SECRET}"
            ) from error
        for section in sections:
            if parser.has_section(section):
                values |= dict(parser.items(section))
    return values


def _refusal(url: str, answer: Answer) -> str:
    code = _CODE.search(answer.body[:10_000])
    text = f"{origin_of(url)[0]} answers with {answer.status}"
    text += f" ({code[1].decode()})" if code else ""
    region = answer.headers.get("x-amz-bucket-region", "")
    if answer.status in (400, 301, 307) and re.fullmatch(r"[a-z0-9-]{1,40}", region):
        return f"{text}; the bucket is in another region: set AWS_DEFAULT_REGION={region}"
    if answer.status in (400, 401, 403):
        return f"{text}; check {_KEY}, {_SECRET}, AWS_DEFAULT_REGION, and what they may read"
    return f"{text}; restore the version's files or train it anew"
