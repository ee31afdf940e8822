"""What the user of this process may do at a tracking server that asks who one is."""

from __future__ import annotations

from brain.checks import Check, ok, skipped
from brain.errors import BrainError
from registry.checks.tracking import request_once

__all__ = ["check_access"]

_USER = "user"
_CURRENT = "/api/2.0/mlflow/users/current"
_PERMISSION = "/api/3.0/mlflow/users/permissions/get"


def check_access(dsn: str, experiment_id: str | None) -> Check:
    """The user's name, and its permissions on the experiment and on registered models.

    Args:
        dsn: of the tracking server, which answers.
        experiment_id: of the nights; None if there is none yet.
    """
    if not dsn.startswith(("http://", "https://")):
        return skipped(_USER, "the database knows who one is; it is no MLflow server")
    try:
        answer = request_once(dsn, _CURRENT)
        if answer.status_code == 404:
            return ok(_USER, "the server asks nobody who he is: whoever reaches it may change all")
        if answer.status_code != 200:
            return skipped(_USER, f"the server answered {answer.status_code} to {_CURRENT}")
        user = answer.json()["user"]
        if user["is_admin"]:
            return ok(_USER, f"{user['username']} is an administrator, who may change everything")
        models = _permission(dsn, user["username"], "registered_model", "*")
        detail = f"{user['username']} may {_MAY.get(models, models)} others' registered models"
        if experiment_id is not None:
            permission = _permission(dsn, user["username"], "experiment", experiment_id)
            detail += f" and {_MAY.get(permission, permission)} the experiment's runs"
        return ok(_USER, f"{detail}; it may do all to what it makes itself")
    except (BrainError, ValueError, KeyError, TypeError) as error:
        reason = error if isinstance(error, BrainError) else "the server's answer has another form"
        return skipped(_USER, reason)


#: MLflow's permissions in words.
_MAY = {
    "NO_PERMISSIONS": "not read",
    "READ": "read, and not change,",
    "USE": "read, and not change,",
    "EDIT": "change",
    "MANAGE": "change and delete",
}


def _permission(dsn: str, user: str, kind: str, resource: str) -> str:
    params = {"username": user, "resource_type": kind, "resource_id": resource}
    answer = request_once(dsn, _PERMISSION, params=params)
    if answer.status_code != 200:
        return f"(the server answers {answer.status_code})"
    content = answer.json()
    entry = content.get("permission", content)
    return str(entry["permission"] if isinstance(entry, dict) else entry)
