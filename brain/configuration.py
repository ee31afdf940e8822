"""The check of the configuration: the settings of this process can be read and used."""

from __future__ import annotations

from brain.checks import CONFIGURATION, Check, failed, ok
from brain.errors import BrainError, SettingsError
from brain.series.source import open_folder
from brain.settings import Settings, load_settings

__all__ = ["check_configuration"]


def check_configuration() -> tuple[Settings | None, list[Check]]:
    """Check that the settings can be read, and that a file in their folder of bars can be used.

    Names of exchanges are checked by :func:`market.checks.check_exchanges`.

    Returns:
        The settings, None if they can't be read, and the check.
    """
    try:
        settings = load_settings()
    except SettingsError as error:
        cure = "correct it on the command line, in the environment or in brain.toml"
        return None, [failed(CONFIGURATION, str(error), cure)]
    return settings, [_check_values(settings)]


def _check_values(settings: Settings) -> Check:
    try:
        if settings.bars is not None:
            open_folder(settings).check()
    except BrainError as error:
        return failed(CONFIGURATION, error)
    names = sorted(settings.model_fields_set)
    return ok(CONFIGURATION, f"set: {', '.join(names)}" if names else "all settings as usual")
