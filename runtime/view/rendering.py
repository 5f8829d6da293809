"""Rendering: a template filled in the language of whoever asks, with headers that let nothing else run in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from runtime.view.words import Words, choose_language

HERE = Path(__file__).parent
COOKIE = "pwae_language"
POLICY = (
    "default-src 'none'; img-src 'self' data: blob:; connect-src 'self'; style-src 'self'; script-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Names of parts, cameras and files are others' text: even one that got past the escaping would not run."""
KINDS = {".css": "text/css", ".js": "text/javascript"}


class Pages:
    """Fills the templates of one station. For any thread."""

    def __init__(self, languages: Mapping[str, Words], station: str) -> None:
        """`station` is its own name."""
        self._languages = languages
        self._station = station
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )

    def render(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """Fill `template`; `root` leads from the page asked for to the station's first one."""
        chosen = request.cookies.get(COOKIE)
        language = choose_language(self._languages, chosen, request.headers.get("accept-language", ""))
        text = self._environment.get_template(template).render(
            station=self._station,
            words=self._languages[language],
            language=language,
            languages={code: words["language"] for code, words in self._languages.items()},
            root="../" * (request.url.path.count("/") - 1),
            **values,
        )
        headers = {"Content-Security-Policy": POLICY, "Content-Language": language}
        return Response(text, status, headers, media_type="text/html; charset=utf-8")

    def router(self) -> APIRouter:
        """Give what every page needs beside itself: style, scripts, and the choice of the language."""
        router = APIRouter(include_in_schema=False)
        files = {file.name: file.read_bytes() for file in (HERE / "static").iterdir() if file.suffix in KINDS}

        @router.get("/static/{name}")
        def static(name: str) -> Response:
            if name not in files:
                return Response("no such file\n", 404, media_type="text/plain")
            return Response(files[name], media_type=f"{KINDS[Path(name).suffix]}; charset=utf-8")

        @router.get("/language/{code}")
        def choose(code: str) -> Response:
            response = RedirectResponse("../", 303)
            if code in self._languages:
                response.set_cookie(COOKIE, code, max_age=10 * 365 * 86400, httponly=True, samesite="strict")
            return response

        return router
