"""Real S3-compatible servers on loopback: one that honours conditional puts, one that does not.

Of several simultaneous conditional puts, S3 lets one win. Swift checks first and writes later, so
two at once may both win (measured: 18 of 40 times with six writers); a filter before it passes such
puts on one after the other.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from pwd import getpwuid
from typing import Any

from tests.servers import free_port, running

__all__ = ["Bucket", "RcloneS3Server", "S3Server"]

_App = Callable[[dict[str, Any], Any], Iterable[bytes]]

_PROGRAMS = Path(sys.executable).parent
_REGION = "us-east-1"
_SWIFT = "[swift-hash]\nswift_hash_path_suffix = {salt}\n"
_COMMON = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
log_level = WARNING
"""
_PART = """
devices = {folder}/{part}
mount_check = false
[pipeline:main]
pipeline = {part}-server
[app:{part}-server]
use = egg:swift#{app}
"""
_PROXY = """
[pipeline:main]
pipeline = {filters} proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{name} = {secret} .admin
user_{account}_reader = {secret}
[filter:one_by_one]
paste.filter_factory = tests.s3_servers:one_by_one
"""
# The order matters; all but those in the text above need no settings.
_FILTERS = ["catch_errors", "gatekeeper", "listing_formats", "one_by_one", "s3api", "tempauth"]
_FILTERS += ["copy", "slo", "dlo", "versioned_writes", "symlink"]
# Writes the rings, by which Swift locates its data; here it is always in the same place.
_RING = """
import sys
from swift.common.ring import RingBuilder
for path, port in zip(sys.argv[1::2], sys.argv[2::2]):
    ring = RingBuilder(6, 1, 1)
    ring.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port), "device": "disk",
                  "weight": 1.0, "meta": ""})
    ring.rebalance()
    ring.get_ring().save(path)
"""


@dataclass(frozen=True)
class Bucket:
    """An empty bucket, and the environment of its clients.

    Attributes:
        url: the server's address, the endpoint of S3's clients.
        bucket: name of the bucket.
        environment: keys, region and endpoint for boto3 and others, without the user's profile.
    """

    url: str
    bucket: str
    environment: dict[str, str]


@cache
def _session() -> Any:
    """What it knows of Amazon's services takes long to read."""
    import boto3

    return boto3.session.Session(region_name=_REGION)


class _Server:
    """An S3 server with an address, a pair of keys and buckets."""

    account, name = "brain", "tests"

    def __init__(self, folder: Path) -> None:
        """Name the files, in a folder that need not exist; ``run`` starts the server."""
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.access_key = f"{self.account}:{self.name}"  # as Swift wants it
        self.secret_key = secrets.token_hex(16)

    @contextmanager
    def client(self, **overrides: str) -> Iterator[Any]:
        """A boto3 client with the server's keys, or others."""
        from botocore.config import Config

        keys = {"aws_access_key_id": self.access_key, "aws_secret_access_key": self.secret_key}
        config = Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 1})
        with closing(
            _session().client("s3", endpoint_url=self.url, config=config, **keys | overrides)
        ) as client:
            yield client

    def fresh(self) -> Bucket:
        """A new, empty bucket."""
        name = f"bucket-{secrets.token_hex(6)}"
        with self.client() as client:
            client.create_bucket(Bucket=name)
        environment = {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": _REGION,
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        return Bucket(self.url, name, environment)

    def _answers(self) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            with self.client() as client:
                client.list_buckets()
        except (BotoCoreError, ClientError):
            return False
        return True


class S3Server(_Server):
    """OpenStack Swift: checks signatures, honours conditional puts.

    ``reader_key``, with the same secret, has only the rights that a bucket's owner grants to all.

    Objects are in memory: on disk Swift needs extended attributes, which not every file system has.
    """

    reader_key = f"{_Server.account}:reader"

    @contextmanager
    def run(self) -> Iterator[S3Server]:
        """Started on entering, stopped with its four processes on leaving."""
        parts = {part: free_port() for part in ("account", "container", "object")}
        self._write("swift.conf", _SWIFT.format(salt=secrets.token_hex(8)))
        self._write("proxy.conf", self._common(self.port) + self._proxy())
        rings = []
        for part, port in parts.items():
            (self.folder / part / "disk").mkdir(parents=True)
            app = "mem_object" if part == "object" else part
            text = _PART.format(folder=self.folder, part=part, app=app)
            self._write(f"{part}.conf", self._common(port) + text)
            rings += [str(self.folder / f"{part}.ring.gz"), str(port)]
        subprocess.run([sys.executable, "-c", _RING, *rings], check=True, capture_output=True)
        env = {"PYTHONPATH": str(Path(__file__).parents[1])}
        with ExitStack() as started:
            for part in (*parts, "proxy"):
                # The proxy comes last, and answers when all do.
                ready = self._answers if part == "proxy" else (lambda: True)
                command = [
                    str(_PROGRAMS / f"swift-{part}-server"),
                    str(self.folder / f"{part}.conf"),
                ]
                log = self.folder / f"{part}.log"
                started.enter_context(running(command, ready, log, env=env, stop=signal.SIGKILL))
            yield self

    def _proxy(self) -> str:
        user = {"account": self.account, "name": self.name, "secret": self.secret_key}
        text = _PROXY.format(filters=" ".join(_FILTERS), **user)
        plain = [name for name in _FILTERS if f"[filter:{name}]" not in text]
        return text + "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in plain)

    def _common(self, port: int) -> str:
        user = getpwuid(os.geteuid()).pw_name
        return _COMMON.format(port=port, user=user, folder=self.folder)

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)


class RcloneS3Server(_Server):
    """rclone: checks signatures, ignores the condition of a conditional put."""

    @contextmanager
    def run(self) -> Iterator[RcloneS3Server]:
        """Started on entering, stopped on leaving."""
        (self.folder / "buckets").mkdir()
        command = [str(_PROGRAMS / "rclone"), "serve", "s3", str(self.folder / "buckets")]
        command += ["--addr", f"127.0.0.1:{self.port}"]
        command += ["--auth-key", f"{self.access_key},{self.secret_key}"]
        env = {"RCLONE_CONFIG": os.devnull}
        with running(command, self._answers, self.folder / "log", env=env):
            yield self


def one_by_one(_configuration: object, **_more: object) -> Callable[[_App], _App]:
    """A filter in Swift's proxy: the conditional puts of an object are passed on one at a time."""
    from eventlet.semaphore import Semaphore  # type: ignore[import-untyped]

    turns: defaultdict[str, Semaphore] = defaultdict(Semaphore)

    def around(app: _App) -> _App:
        def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            if environ["REQUEST_METHOD"] != "PUT" or "HTTP_IF_NONE_MATCH" not in environ:
                return app(environ, start_response)
            with turns[environ["PATH_INFO"]]:
                return list(app(environ, start_response))

        return answer

    return around
