"""The lease of an experiment: one night at a time, wherever the others run.

The lease is a run of the tracking store, so it reaches as far as the store does, over HTTP too. A
run with the status RUNNING and the tag ``lease`` is a claim. A process writes its claim as a
``candidate`` first and looks at the others' then. It withdraws if one of them is the ``holder`` or
an earlier candidate (by start, then by id), waits until later candidates have withdrawn, and is the
holder once it is alone. Of two candidates the one that was written later sees the other in any
case, so there are never two holders, whatever their clocks say.

A claim ends with its run. That of a process that died ends at once on its own host; elsewhere once
its heartbeat, a tag that is written every minute, is ten minutes old. So the clocks of hosts that
share a store must agree within minutes.
"""

from __future__ import annotations

import _thread
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from mlflow import MlflowClient
from mlflow.entities import Run as LoggedRun, RunTag
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE

from brain.errors import BrainError, InputError, LeaseError
from brain.naming import Tag
from brain.processes import ProcessIdentity, is_alive
from registry.mlflow_errors import library_errors
from registry.paging import all_pages

__all__ = ["Lease", "heartbeat_is_over", "take_lease"]

logger = logging.getLogger(__name__)

_CANDIDATE, _HOLDER = "candidate", "holder"
_HEARTBEAT_SECONDS = 60.0
_EXPIRY_SECONDS = 600.0
_POLL_SECONDS = 0.5
_WAITING_POLL_SECONDS = 5.0
# A candidate that does not withdraw for so long is told as the holder.
_CANDIDATE_SECONDS = 60.0


class Lease:
    """A lease that this process holds; a context manager that keeps its heartbeat going.

    If another host has ended the run meanwhile, because this one slept for too long, the process is
    interrupted as by Ctrl-C. Leaving the block with an error ends the run if it has not ended yet.

    Attributes:
        run_id: of the run that is the claim, for the job to take over.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self.client = client
        self.run_id = run_id
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        error_class: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join(_POLL_SECONDS)
        if error is not None:
            with library_errors(self.client.tracking_uri, "end the lease"):
                if self._runs():
                    self.client.set_terminated(self.run_id, "FAILED")

    def _beat(self) -> None:
        while not self._ended.wait(_HEARTBEAT_SECONDS):
            try:
                with library_errors(self.client.tracking_uri, "keep the lease"):
                    if self._runs():
                        self.client.set_tag(self.run_id, Tag.HEARTBEAT, _now())
                        continue
            except BrainError as error:
                logger.warning("%s", error)
                continue
            if not self._ended.is_set():
                logger.error(
                    "another host took this process for dead and ended run %s", self.run_id
                )
                _thread.interrupt_main()
            return

    def _runs(self) -> bool:
        return bool(self.client.get_run(self.run_id).info.status == "RUNNING")


@dataclass(frozen=True)
class _Claim:
    """Another process's claim."""

    run: LoggedRun
    process: ProcessIdentity

    @property
    def order(self) -> tuple[int, str]:
        return self.run.info.start_time, self.run.info.run_id

    @property
    def is_holder(self) -> bool:
        return bool(self.run.data.tags[Tag.LEASE] == _HOLDER)

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.run.info.start_time / 1000, UTC)
        return (
            f"{self.run.info.run_name!r}, process {self.process.pid} on {self.process.host} since "
            f"{since:%Y-%m-%d %H:%M:%S} UTC, run {self.run.info.run_id}"
        )


def take_lease(
    client: MlflowClient,
    experiment_id: str,
    name: str,
    *,
    run_id: str | None = None,
    wait_seconds: float = 0.0,
    announce: Callable[[str], None] | None = None,
) -> Lease:
    """The lease of an experiment, for this process.

    Args:
        client: of the tracking server.
        experiment_id: of the nights.
        name: of the run that is created as the claim.
        run_id: of the run that ``mlflow run`` has created for this process; it is the claim then.
        wait_seconds: how long another one's end is waited for.
        announce: called once with a line about whom is waited for.

    Raises:
        LeaseError: another process holds the lease, and there is no time left to wait.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        with library_errors(client.tracking_uri, "take the lease"):
            holder = _first_claim(client, experiment_id, run_id)
            if holder is None:
                claim = _write_claim(client, experiment_id, name, run_id)
                holder = _rival(client, experiment_id, claim)
                if holder is None:
                    client.set_tag(claim, Tag.LEASE, _HOLDER)
                    return Lease(client, claim)
                _withdraw(client, claim, created=run_id is None)
        if time.monotonic() >= deadline:
            raise LeaseError(
                f"another night is at work on this experiment: {holder}; wait for its end, which "
                "BRAIN_WAIT_MINUTES=60 does for an hour, or end that process"
            )
        if announce is not None:
            announce(f"Waits for the end of another night: {holder}.")
            announce = None
        time.sleep(min(_WAITING_POLL_SECONDS, max(0.0, deadline - time.monotonic())))


def heartbeat_is_over(run: LoggedRun) -> bool | None:
    """Whether a claim's heartbeat is too old for a process that lives; None without heartbeat."""
    beat = run.data.tags.get(Tag.HEARTBEAT, "")
    try:
        return time.time() - float(beat) > _EXPIRY_SECONDS
    except ValueError:
        return None


def _first_claim(client: MlflowClient, experiment_id: str, own: str | None) -> _Claim | None:
    """The holder or, without one, the earliest candidate but for the own run."""
    claims = _claims(client, experiment_id, own)
    return min(claims, key=lambda claim: (not claim.is_holder, claim.order), default=None)


def _rival(client: MlflowClient, experiment_id: str, own: str) -> _Claim | None:
    """The claim to which the own one must give way; None once there is no other one."""
    run = client.get_run(own)
    order = run.info.start_time, run.info.run_id
    deadline = time.monotonic() + _CANDIDATE_SECONDS
    while (first := _first_claim(client, experiment_id, own)) is not None:
        if first.is_holder or first.order < order or time.monotonic() > deadline:
            return first
        time.sleep(_POLL_SECONDS)
    return None


def _claims(client: MlflowClient, experiment_id: str, own: str | None) -> list[_Claim]:
    """The claims of other processes that live, as far as this host can tell."""
    runs: list[LoggedRun] = all_pages(
        lambda token: client.search_runs(
            [experiment_id],
            filter_string=f"attributes.status = 'RUNNING' AND tags.{Tag.LEASE} LIKE '%'",
            page_token=token,
        )
    )
    claims = []
    for run in runs:
        if run.info.run_id == own:
            continue
        try:
            claim = _Claim(run, ProcessIdentity.parse(run.data.tags.get(Tag.PROCESS, "")))
        except InputError:
            continue  # another program's, which uses the tag otherwise
        alive = is_alive(claim.process)
        if alive or (alive is None and not heartbeat_is_over(run)):
            claims.append(claim)
    return claims


def _write_claim(client: MlflowClient, experiment_id: str, name: str, run_id: str | None) -> str:
    tags = {
        Tag.LEASE: _CANDIDATE,
        Tag.HEARTBEAT: _now(),
        Tag.PROCESS: str(ProcessIdentity.current()),
    }
    if run_id is None:
        tags = resolve_tags({MLFLOW_RUN_NAME: name, **tags})
        return str(client.create_run(experiment_id, tags=tags, run_name=name).info.run_id)
    client.update_run(run_id, status="RUNNING")  # as another host may have ended it, untagged
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
    return run_id


def _withdraw(client: MlflowClient, run_id: str, *, created: bool) -> None:
    """Take a claim back: a run that was created for it goes, another one loses the tag."""
    if created:
        client.set_terminated(run_id, "KILLED")
        client.delete_run(run_id)
    else:
        client.delete_tag(run_id, Tag.LEASE)
        client.set_tag(run_id, MLFLOW_RUN_NOTE, "Not begun: another night is at work.")


def _now() -> str:
    return f"{time.time():.0f}"
