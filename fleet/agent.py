"""The agent: beside a station's inspection, it fetches, checks and installs the bundle that was ordered, and says so.

Whatever goes wrong, the bundle in force is kept.
"""

import logging
import queue
import shutil
import threading
from pathlib import Path

from core.config import load_settings
from core.errors import ArtifactError, ConfigError, PwaeError, one_line
from export.package import unpack
from fleet.checking import check
from fleet.download import fetch
from fleet.neighbour import Neighbour, several_recipes
from fleet.order import Order, Package, read_order, signed_for
from fleet.report import Report, State
from fleet.settings import AgentSettings
from fleet.shelf import Shelf
from runtime.following.follower import Follower, Link
from runtime.settings import InspectionSettings

log = logging.getLogger(__name__)
TURN_S = 0.5


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
        self._orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._newest = b""
        """The order that came last."""
        self._failed_serial = 0
        self._report: Report | None = None
        self._neighbour = Neighbour(inspection.topics, self._look_again)
        self._follower = Follower(
            inspection.broker,
            f"{inspection.client_id}-fleet"[:64],
            {**self._neighbour.handlers, self._topics.bundle_desired: lambda order: self._hear_order(order.payload)},
            will=(self._topics.bundle_agent, b"offline"),
            on_link=self._greet,
        )

    def run(self, stop: threading.Event) -> None:
        """Carry out orders until `stop`; a lost connection is made again for ever."""
        self._tell("installed", self._shelf.serial)
        with self._follower:
            while not stop.is_set():
                self._follower.require_thread()
                try:
                    payload = self._orders.get(timeout=TURN_S)
                    while not self._orders.empty():  # the newest alone counts
                        payload = self._orders.get()
                except queue.Empty:
                    continue
                self._obey(payload)
            self._follower.publish(self._topics.bundle_agent, b"offline", retain=True).wait(TURN_S)

    def _greet(self, link: Link) -> None:
        if not link.is_up:
            return
        self._follower.publish(self._topics.bundle_agent, b"online", retain=True)
        if self._report is not None:
            self._follower.publish(self._topics.bundle_reported, self._report.payload(), retain=True)

    def _hear_order(self, order: bytes) -> None:
        if order:
            self._newest = order
            self._orders.put(order)

    def _look_again(self) -> None:
        """What was ordered may have to be done for an inspection that has started since."""
        if self._newest:
            self._orders.put(self._newest)

    def _obey(self, payload: bytes) -> None:
        try:
            order = read_order(payload, self._topics.prefix, self._is_ours)
            if order.serial < self._shelf.serial:
                raise ArtifactError(
                    f"order {order.serial} is older than {self._shelf.serial}, which came before it; nothing is done. "
                    "Somebody sent it again, or the broker lost the newer one: `fleet roll-out` again gives it."
                )
        except PwaeError as refusal:
            log.error("%s", refusal)
            self._tell(self._report.state if self._report else "installed", self._shelf.serial, str(refusal))
            return
        if order.serial == self._failed_serial:
            return
        error = ""
        state: State = "failed"
        try:
            self._shelf.believe(order.serial)
            state = self._carry_out(order)
        except (PwaeError, OSError) as fault:
            error = one_line(fault)
        except Exception as fault:  # whatever a bundle does, the one in force stays
            log.exception("order %d", order.serial)
            error = f"the bundle cannot be used ({one_line(fault)})."
        if error:
            log.error("order %d: %s", order.serial, error)
            self._failed_serial = order.serial
        self._tell(state, order.serial, error)

    def _carry_out(self, order: Order) -> State:
        folder = self._shelf.place_of(order.sha256)
        if folder.exists() and folder.resolve() == self._shelf.current:
            try:
                self._shelf.require_whole()
            except ArtifactError:
                if order.package is None:
                    raise
                shutil.rmtree(folder, ignore_errors=True)  # what runs has it in memory, and nothing else can open it
            else:
                return self._put_in_force(folder, is_new=False)
        if not folder.exists():
            if order.package is None:
                raise ArtifactError(f"{folder}: the bundle from before the fleet is gone; order a package.")
            self._tell("fetching", order.serial)
            self._bring(order.package, folder)
        self._tell("checking", order.serial)
        try:
            check(folder, self._inspection, self._settings.pictures)
        except BaseException:
            if order.package is not None:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        state = self._put_in_force(folder, is_new=True)
        self._shelf.switch(folder)
        return state

    def _bring(self, package: Package, folder: Path) -> None:
        packed = folder.with_name(f"{folder.name}.zip")
        self._shelf.remove_remains(but=folder)
        fetch(package, packed, self._settings.ca_file, self._settings.max_bytes)
        try:
            unpack(packed, folder, package.sha256)
        finally:
            packed.unlink()

    def _put_in_force(self, folder: Path, is_new: bool) -> State:
        if not self._neighbour.is_running():
            return "installed"
        self._neighbour.use(folder, self._follower, is_new)
        return "running"

    def _tell(self, state: State, serial: int, error: str = "") -> None:
        try:
            manifest = self._shelf.manifest
            model, model_sha256 = manifest.name, manifest.model_sha256
        except ArtifactError as damage:  # told, so that another bundle, or the same again, can be ordered
            model, model_sha256 = "", ""
            if state in ("installed", "running"):
                state, error = "failed", error or one_line(damage)
        self._report = Report(
            state=state,
            serial=serial,
            sha256=self._shelf.sha256,
            model=model,
            model_sha256=model_sha256,
            error=error,
        )
        self._follower.publish(self._topics.bundle_reported, self._report.payload(), retain=True)
