"""The order: which bundle a station should have, retained on its topic and signed with the site's key."""

import base64
import binascii
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from core.errors import ArtifactError, one_line
from runtime.bundles.manifest import Sha256
from runtime.bundles.signature import is_signed

PURPOSE = b"p-wae-fleet-order/1\n"
"""Signed along, so that no signature of a bundle is one of an order."""
LONGEST_BYTES = 8192
IsSigned = Callable[[bytes, bytes], bool]
"""Says whether a signature is that of a content by the site's key."""
Text = Annotated[str, StringConstraints(max_length=2000)]


class Package(BaseModel):
    """A packed bundle (`export-engine pack`), and where it is fetched."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: Sha256
    url: Text
    """Empty: nobody knows any more where; an agent that has had it may have kept it."""


class Order(BaseModel):
    """What one station is asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    station: Text
    """The prefix of its topics: an order for one is none for another."""
    serial: Annotated[int, Field(ge=1)]
    """Grows with every order: an older one that comes again is refused."""
    roll_out: Text
    """Of which it is a part."""
    package: Package | None
    """None: the bundle that lay there before the first order."""
    previous: Package | None
    """What the station had before: `rollback` asks for that again."""

    @property
    def sha256(self) -> str | None:
        """Of the package; None where the bundle from before the fleet is meant."""
        return self.package.sha256 if self.package else None

    @property
    def is_without_way_back(self) -> bool:
        """Whether the station had this package when it was asked for it, by an order that nobody knows any more."""
        return bool(self.package and self.previous and self.package.sha256 == self.previous.sha256)

    @property
    def source(self) -> Package | None:
        """The package, where it can be fetched."""
        return self.package if self.package and self.package.url else None


def sealed(order: Order, private_key: Any) -> bytes:
    """Give the payload of an order, signed with an Ed25519 key."""
    signature = base64.b64encode(private_key.sign(_content(order))).decode()
    return json.dumps({"order": order.model_dump(), "signature": signature}).encode()


def any_signature(_signature: bytes, _content: bytes) -> bool:
    """For whoever only looks, and has no key."""
    return True


def signed_for(public_key: Path | None) -> IsSigned:
    """For the agent: what was signed with the key that belongs to `public_key` (PEM).

    What it gives raises ConfigError where the key cannot be used.
    """

    def is_ours(signature: bytes, content: bytes) -> bool:
        return public_key is not None and is_signed(signature, content, public_key)

    return is_ours


def signed_by(private_key: Any) -> IsSigned:
    """For the operator: what was signed with this very key (Ed25519)."""
    from cryptography.exceptions import InvalidSignature

    def is_ours(signature: bytes, content: bytes) -> bool:
        try:
            private_key.public_key().verify(signature, content)
        except InvalidSignature:
            return False
        return True

    return is_ours


def read_order(payload: bytes, station: str, is_ours: IsSigned) -> Order:
    """Read an order for `station`, and check its signature.

    Raises ArtifactError where it is none, is not signed with the site's key, or is meant for another station; what
    `is_ours` raises, too.
    """
    try:
        if len(payload) > LONGEST_BYTES:
            raise ValueError(f"longer than {LONGEST_BYTES} bytes")
        content = json.loads(payload)
        order = Order.model_validate(content["order"])
        signature = base64.b64decode(content["signature"], validate=True)
    except (ValueError, TypeError, KeyError, ValidationError, binascii.Error, RecursionError) as error:
        raise ArtifactError(f"order: not readable ({one_line(error)[:200]}).") from error
    if not is_ours(signature, _content(order)):
        raise ArtifactError("order: its signature does not belong to the station's `bundle_key`; nothing is done.")
    if order.station != station:
        raise ArtifactError(f"order: meant for {order.station}, not for {station}; nothing is done.")
    return order


def _content(order: Order) -> bytes:
    return PURPOSE + json.dumps(order.model_dump(), sort_keys=True, separators=(",", ":")).encode()
