"""What may stand behind the `?` of an address that programs ask: a key that nobody reads was meant otherwise."""

from fastapi import HTTPException, Request

from core.config import unknown_key
from core.errors import shortened


def known_keys_alone(request: Request) -> None:
    """Let no other keys pass than the route is documented with. Raises HTTPException, with the nearest of them."""
    told = request.app.openapi()["paths"][request.scope["route"].path][request.method.lower()]
    known = [each["name"] for each in told.get("parameters", ()) if each["in"] == "query"]
    for key in request.query_params:
        if key not in known:
            raise HTTPException(422, unknown_key(shortened(key), key, known))
