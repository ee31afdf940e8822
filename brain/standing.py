"""How a champion stands after a night: pinned, trained that night, or how old.

Tables, pages and descriptions show these words, so that a version of long ago doesn't look new.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from brain.brief import Brief
from brain.records import CellRecord, Champion

__all__ = ["Standing", "size_note"]


def size_note(record: CellRecord) -> str:
    """What is to be said of a champion's size: why it is 0 or lowered; empty if it isn't."""
    if record.size is None or not record.size_reason:
        return ""
    return f"size {record.size:.2g}, {record.size_reason}"


@dataclass(frozen=True, repr=False)
class Standing(Brief):
    """A champion after a night.

    Attributes:
        champion: of a cell.
        night: date of the night, ISO 8601.
        trained: whether the night trained the champion's version.
    """

    champion: Champion
    night: str
    trained: bool

    @property
    def age_days(self) -> int | None:
        """Days from the night of the champion's figures to this night; None if unknown."""
        try:
            then = date.fromisoformat(self.champion.record.night)
            return (date.fromisoformat(self.night) - then).days
        except ValueError:
            return None

    @property
    def note(self) -> str:
        """What is to be noticed, in words; empty for a version of this night that isn't pinned."""
        notes = ["pinned by hand"] if self.champion.pinned else []
        if not self.trained:
            days = self.age_days
            age = "of unknown age" if days is None else f"{days} day{'s' * (days != 1)} old"
            notes.append(f"not trained tonight, {age}")
        return ", ".join(notes)

    @property
    def why(self) -> str:
        """The note, the reason of the choice, what is to be expected, and why the size is less."""
        record = self.champion.record
        expected = f"to expect: {record.posterior}" if record.posterior else ""
        return "; ".join(filter(None, (self.note, record.reason, expected, size_note(record))))
