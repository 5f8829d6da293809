"""An entry of the history: one judged part, and what is asked for of them."""

from dataclasses import dataclass
from enum import StrEnum

from runtime.parts.verdict import Verdict


class Kind(StrEnum):
    """Which verdicts are looked for."""

    REJECTS = "rejects"
    """All that was not passed."""
    NOT_OK = "NotOK"
    NOT_DECIDABLE = "NotDecidable"
    OK = "OK"
    ALL = "all"


@dataclass(frozen=True)
class Entry:
    """One judged part."""

    id: str
    """Of its event."""
    at_s: float
    """Unix time of its capture."""
    camera: str
    verdict: Verdict
    margin: float | None
    """See Judgement."""
    part: str | None
    """Who it is, where a trigger or its file's name said so."""
    job: str | None
    file: str | None
    """Its picture's name, where it came from a file."""
    picture: str | None
    """Its evidence: path below the evidence's folder, which may have been cleared since; None where none was kept."""
    recipe: str | None = None
    number: int = 0
    """Its place in the history: a later part has a larger one."""


@dataclass(frozen=True)
class Wanted:
    """What is looked for; what is left out does not matter."""

    kind: Kind = Kind.REJECTS
    camera: str | None = None
    since_at_s: float | None = None
    until_at_s: float | None = None
    part: str | None = None
    """The beginning of a part's id, or of its file's name."""
    job: str | None = None
    recipe: str | None = None

    @property
    def conditions(self) -> tuple[str, list[str | float]]:
        """The same as an SQL condition over the table `events`, and its parameters."""
        parts, values = [], list[str | float]()
        match self.kind:
            case Kind.REJECTS:
                parts.append("verdict <> 1")
            case Kind.NOT_OK | Kind.NOT_DECIDABLE | Kind.OK:
                (verdict,) = (verdict for verdict in Verdict if verdict.word == self.kind)
                parts.append(f"verdict = {int(verdict)}")
                if verdict != Verdict.OK:
                    parts.append("verdict <> 1")  # said too, so that the indexes of what was not passed are used
            case Kind.ALL:
                pass
        for column, asked in (("camera =", self.camera), ("job =", self.job), ("recipe =", self.recipe)):
            if asked is not None:
                parts.append(f"{column} ?")
                values.append(asked)
        for column, at_s in (("at_s >=", self.since_at_s), ("at_s <", self.until_at_s)):
            if at_s is not None:
                parts.append(f"{column} ?")
                values.append(at_s)
        if self.part is not None:
            # As a range, which an index knows; what the text has of wildcards means itself.
            parts.append("(part >= ? AND part < ? OR file >= ? AND file < ?)")
            values += [self.part, self.part + chr(0x10FFFF)] * 2
        return " AND ".join(parts) or "1", values
