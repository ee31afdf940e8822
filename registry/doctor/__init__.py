"""What the doctor looks at: configuration, tracking server, stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry._lazy import face

if TYPE_CHECKING:
    from registry.doctor.checks import (
        Check as Check,
        check_configuration as check_configuration,
        checks_table as checks_table,
        run_checks as run_checks,
        verdict as verdict,
    )
    from registry.doctor.stores import check_library as check_library, check_series as check_series

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "registry.doctor.checks": "Check check_configuration checks_table run_checks verdict",
        "registry.doctor.stores": "check_library check_series",
    },
)
