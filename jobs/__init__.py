"""What the commands that have a run share: a job, from its checks to its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from jobs.job import Job as Job
    from jobs.opening import job_log as job_log, open_job as open_job

__all__, __getattr__, __dir__ = face(
    __name__, {"jobs.job": "Job", "jobs.opening": "job_log open_job"}
)
