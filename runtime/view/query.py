"""What may stand behind the `?` of an address that programs ask."""

from fastapi import HTTPException, Request

from core.config_faults import nearest_key, unknown_key
from core.errors import shortened


async def no_misspelt_keys(request: Request) -> None:  # in the loop, so that requests are taken in their order
    """Refuse keys that look as if one of the route's was meant; others, such as those that go round a cache, pass.

    Raises HTTPException, with the one that was meant.
    """
    told = request.app.openapi()["paths"][request.scope["route"].path][request.method.lower()]
    known = [each["name"] for each in told.get("parameters", ()) if each["in"] == "query"]
    for key in request.query_params:
        if key not in known and nearest_key(key, known):
            raise HTTPException(422, unknown_key(shortened(key), key, known))
