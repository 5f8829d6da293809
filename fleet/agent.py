"""The agent: beside a station's inspection, it fetches, checks and installs the bundle that was ordered, and says so.

Whatever goes wrong, the bundle in force is kept.
"""

import logging
import math
import queue
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from core.config import load_settings
from core.errors import ArtifactError, ConfigError, PwaeError, one_line
from export.package import unpack
from fleet.checking import check
from fleet.download import fetch
from fleet.neighbour import Neighbour, several_recipes
from fleet.order import Order, read_order, signed_for
from fleet.report import Report, State, presence
from fleet.settings import AgentSettings
from fleet.shelf import Shelf
from runtime.following.follower import Contact, Follower
from runtime.settings import InspectionSettings

log = logging.getLogger(__name__)
TURN_S = 0.5
AGAIN_S = 60.0
"""After which an order is tried again that the disk did not let through: nobody has to see that there is room."""


class _ReplacedError(Exception):
    """A newer order came."""


@dataclass(frozen=True)
class _Failed:
    serial: int = 0
    """Of the order that failed last; 0: none did."""
    again_s: float = math.inf
    """When it is tried again."""


class Agent:
    """Carries out one order after the other, on the thread that calls `run`."""

    def __init__(self, settings: AgentSettings) -> None:
        """Raises ConfigError where a configuration, the bundle's link or a key is at fault, or recipes are several."""
        self._settings = settings
        self._inspection = inspection = load_settings(settings.inspection, InspectionSettings)
        if inspection.bundle_key is None:
            raise ConfigError(f"{settings.inspection}: `bundle_key` is missing; a fleet's bundles have to be signed.")
        if inspection.bundles:
            raise ConfigError(f"{settings.inspection}: {several_recipes(inspection.bundles)}")
        self._is_ours = signed_for(inspection.bundle_key)
        self._topics = inspection.topics
        self._shelf = Shelf(inspection.bundle)
        self._heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        """Orders, and what is empty where the last one is to be looked at again."""
        self._order: Order | None = None
        """That was believed last."""
        self._failed = _Failed()
        self._report: Report | None = None
        self._reporting = threading.Lock()
        """Held while it is told: what is told again on a new connection must not follow what is newer."""
        self._neighbour = Neighbour(inspection.topics, self._look_again)
        self._follower = Follower(
            inspection.broker,
            f"{inspection.client_id}-fleet"[:64],
            {**self._neighbour.handlers, self._topics.bundle_desired: lambda order: self._hear_order(order.payload)},
            will=presence(self._topics.bundle_agent, "offline"),
            on_contact=self._greet,
        )

    def run(self, stop: threading.Event) -> None:
        """Carry out orders until `stop`, or a KeyboardInterrupt; a lost connection is made again for ever.

        Raises ConfigError where another agent is at work beside the link.
        """
        with self._shelf.held():
            self._tell("installed", self._shelf.serial)
            with self._follower:
                try:
                    while not stop.is_set():
                        self._follower.require_thread()
                        is_due = self._listen(TURN_S) or self._failed.again_s <= time.monotonic()
                        if is_due and self._order is not None:
                            self._obey(self._order)
                finally:
                    self._follower.publish(presence(self._topics.bundle_agent, "offline")).wait(TURN_S)

    def _greet(self, contact: Contact) -> None:
        if not contact.is_up:
            return
        self._follower.publish(presence(self._topics.bundle_agent, "online"))
        self._publish(None)

    def _hear_order(self, order: bytes) -> None:
        if order:
            self._heard.put(order)

    def _look_again(self) -> None:
        """What was ordered may have to be done for an inspection that has started since."""
        self._heard.put(b"")

    def _listen(self, for_s: float) -> bool:
        """Note the newest order that came; say whether there is something to do. One that is refused is told."""
        payload = b""
        try:
            payload = self._heard.get(timeout=for_s)
            while not self._heard.empty():  # the newest alone counts
                payload = self._heard.get() or payload
        except queue.Empty:
            return False
        try:
            if payload:
                self._order = self._believed(payload)
        except PwaeError as refusal:
            log.error("%s", refusal)
            self._tell(self._report.state if self._report else "installed", self._shelf.serial, str(refusal))
            return False
        return True

    def _believed(self, payload: bytes) -> Order:
        """Read an order. Raises ArtifactError where it is none of ours, or an older one."""
        order = read_order(payload, self._topics.prefix, self._is_ours)
        if order.serial < self._shelf.serial:
            raise ArtifactError(
                f"order {order.serial} is older than {self._shelf.serial}, which came before it; nothing is done. "
                "Somebody sent it again, or the broker lost the newer one: `fleet roll-out` again gives it."
            )
        return order

    def _obey(self, order: Order) -> None:
        error, again_s = "", math.inf
        state: State = "failed"
        try:
            if order.serial != self._failed.serial or self._failed.again_s <= time.monotonic():
                self._neighbour.forget()
                self._shelf.believe(order.serial)
                state = self._carry_out(order)
            elif self._neighbour.has_taken():  # later than was waited for
                self._shelf.switch(self._shelf.place_of(order.sha256))
                state = "running"
            else:
                return
        except _ReplacedError:
            self._look_again()
            return
        except PwaeError as fault:
            error = one_line(fault)
        except OSError as fault:
            where, why = fault.filename or self._shelf.folder, fault.strerror or one_line(fault)
            error = f"{where}: {why}; mend that on the station: it is tried again each minute."
            again_s = time.monotonic() + AGAIN_S
        except Exception as fault:  # whatever a bundle does, the one in force stays
            log.exception("order %d", order.serial)
            error = f"the bundle cannot be used ({one_line(fault)})."
        is_told = self._report is not None and (order.serial, error) == (self._failed.serial, self._report.error)
        self._failed = _Failed(order.serial if error else 0, again_s)
        if error and not is_told:
            log.error("order %d: %s", order.serial, error)
        if not (error and is_told):
            self._tell(state, order.serial, error)

    def _carry_out(self, order: Order) -> State:
        folder = self._shelf.place_of(order.sha256)
        self._shelf.remove_remains(but=folder)
        if folder.exists():
            try:
                self._shelf.require_whole(folder)
            except ArtifactError:
                if order.source is None:
                    raise
                shutil.rmtree(folder, ignore_errors=True)  # what runs has it in memory, and nothing else can open it
            else:
                if folder.resolve() == self._shelf.current:
                    return self._put_in_force(folder, is_new=False)
        if not folder.exists():
            self._tell_step("fetching", order.serial)
            self._bring(order, folder)
        self._tell_step("checking", order.serial)
        try:
            check(folder, self._inspection, self._settings.pictures)
        except OSError:  # it says nothing against the bundle, which is not fetched again each minute
            raise
        except BaseException:
            if order.source is not None:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        state = self._put_in_force(folder, is_new=True)
        self._shelf.switch(folder)
        return state

    def _bring(self, order: Order, folder: Path) -> None:
        if order.source is None:
            raise ArtifactError(f"{folder}: gone, and the order names no place to fetch it from; roll out a package.")

        def wait(seconds: float) -> None:
            self._listen(seconds)
            if self._order != order:
                log.info("order %d is given up for a newer one", order.serial)
                raise _ReplacedError

        packed = folder.with_name(f"{folder.name}.zip")
        fetch(order.source, packed, self._settings.ca_file, self._settings.max_bytes, wait)
        try:
            unpack(packed, folder, order.sha256)
        except ConfigError as refusal:  # it names an option that nobody gave
            raise refusal.__cause__ or refusal from None
        finally:
            packed.unlink()

    def _put_in_force(self, folder: Path, is_new: bool) -> State:
        if not self._neighbour.is_running():
            return "installed"
        self._neighbour.use(folder, self._follower, is_new)
        return "running"

    def _tell_step(self, state: State, serial: int) -> None:
        """Tell how far an order is; one that is tried again stays `failed` until it is carried out."""
        if serial != self._failed.serial:
            self._tell(state, serial)

    def _tell(self, state: State, serial: int, error: str = "") -> None:
        try:
            manifest = self._shelf.manifest
            model, model_sha256 = manifest.name, manifest.model_sha256
        except ArtifactError as damage:  # told, so that another bundle, or the same again, can be ordered
            model, model_sha256 = "", ""
            if state in ("installed", "running"):
                state, error = "failed", error or one_line(damage)
        self._publish(
            Report(
                state=state,
                serial=serial,
                sha256=self._shelf.sha256,
                model=model,
                model_sha256=model_sha256,
                error=error,
            )
        )

    def _publish(self, report: Report | None) -> None:
        """Tell a report, or the last one again."""
        with self._reporting:
            self._report = report or self._report
            if self._report is not None:
                self._follower.publish(self._report.message(self._topics.bundle_reported))
