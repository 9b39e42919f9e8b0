"""The web application: five addresses for annotators, one for the owner."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from tropism.label import pages
from tropism.label.access import Access
from tropism.label.choice_store import Conflict, StoreBusy, TakenBack
from tropism.label.desk import Desk, Refused, Sent, annotator_name
from tropism.label.images import ImageFolder
from tropism.label.request_guard import YEAR_SECONDS, Guard, cookies_of
from tropism.label.results import ResultsDesk

MOST_FIELDS = 40
SAVED, UNDONE, NOTHING_TO_UNDO = "Saved.", "Taken back.", "There is nothing to take back."
NOTES = {"saved": SAVED, "undone": UNDONE, "nothing": NOTHING_TO_UNDO}


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form that was sent."""

    fields: dict[str, list[str]]

    def one(self, name: str) -> str:
        """The field's first value, empty where it is missing."""
        return self.fields.get(name, [""])[0]

    def all(self, name: str) -> tuple[str, ...]:
        """All values of a field."""
        return tuple(self.fields.get(name, ()))


def make_app(desk: Desk, images: ImageFolder, access: Access) -> ASGIApp:
    """The label page as an ASGI application.

    Args:
        desk: hands out items and takes choices.
        images: the images that may be shown.
        access: who may come in.
    """
    site = Site(desk, images, access)
    routes = [
        Route("/", site.show),
        Route("/name", site.name, methods=["POST"]),
        Route("/choose", site.choose, methods=["POST"]),
        Route("/undo", site.undo, methods=["POST"]),
        Route("/results", site.results),
        Route("/images/{key}", site.image),
        Route("/static/{name}", site.static),
    ]
    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        Refused: _refused,
        Conflict: _conflict,
        TakenBack: _taken_back,
        StoreBusy: _busy,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return Guard(app, access)


class Site:
    """What each address answers; see `make_app` for the arguments."""

    def __init__(self, desk: Desk, images: ImageFolder, access: Access) -> None:
        self.desk = desk
        self.images = images
        self.owner = ResultsDesk(desk)
        self.name_cookie = f"tropism_name_{access.port}"

    async def show(self, request: Request) -> Response:
        """The next item, or the question for a name."""
        annotator = self._annotator(request)
        if annotator is None:
            return HTMLResponse(pages.name_page())
        note = NOTES.get(request.query_params.get("note", ""), "")
        return HTMLResponse(await run_in_threadpool(self._page, annotator, is_owner=_is_owner(request), note=note))

    async def name(self, request: Request) -> Response:
        """Keeps the name that was given, or forgets it where none was."""
        given = (await _form(request)).one("name")
        response: Response = RedirectResponse("/", 303)
        if not given:
            response.delete_cookie(self.name_cookie, httponly=True, samesite="strict")
            return response
        name = annotator_name(given)
        if name is None:
            problem = "A name has 1 to 60 letters, numbers or signs."
            return HTMLResponse(pages.name_page(problem=problem, given=given), 400)
        response.set_cookie(self.name_cookie, quote(name), max_age=YEAR_SECONDS, httponly=True, samesite="strict")
        return response

    async def choose(self, request: Request) -> Response:
        """Stores a choice, then leads to the next item: whoever is led on may rely on it."""
        form = await _form(request)
        annotator = self._annotator(request)
        if annotator is None:
            return RedirectResponse("/", 303)
        sent = Sent(
            choice_id=form.one("choice_id"),
            item_id=form.one("item_id"),
            answer=form.one("answer"),
            reasons=form.all("reason"),
            milliseconds=form.one("milliseconds"),
        )
        await run_in_threadpool(self.desk.choose, annotator, sent)
        return RedirectResponse("/?note=saved", 303)

    async def undo(self, request: Request) -> Response:
        """Takes back the last choice, then leads to its item."""
        form = await _form(request)
        annotator = self._annotator(request)
        if annotator is None:
            return RedirectResponse("/", 303)
        revoked = await run_in_threadpool(self.desk.undo, annotator, form.one("undo_id"))
        return RedirectResponse("/?note=nothing" if revoked is None else "/?note=undone", 303)

    async def results(self, request: Request) -> Response:
        """The owner's page."""
        return HTMLResponse(pages.results_page(await run_in_threadpool(self.owner.results)))

    async def image(self, request: Request) -> Response:
        """An image that a page has named."""
        found = self.images.find(request.path_params["key"])
        if found is None:
            return _missing()
        return FileResponse(found.path, media_type=found.media_type, headers={"Cache-Control": "private, max-age=3600"})

    async def static(self, request: Request) -> Response:
        """One of our own files."""
        found = pages.static_file(request.path_params["name"])
        if found is None:
            return _missing()
        return Response(found.body, media_type=found.media_type, headers={"Cache-Control": "private, max-age=31536000"})

    def _page(self, annotator: str, *, is_owner: bool, note: str) -> str:
        """The next item's page, or the last page."""
        served = self.desk.serve(annotator)
        if served is None:
            return pages.done_page(self.desk.progress(annotator), annotator, is_owner=is_owner, note=note)
        reasons = self.desk.reasons
        return pages.choice_page(served, annotator, images=self.images, reasons=reasons, is_owner=is_owner, note=note)

    def _annotator(self, request: Request) -> str | None:
        """The name in the cookie, if any."""
        return annotator_name(unquote(cookies_of(request.headers).get(self.name_cookie, "")))


async def _form(request: Request) -> Form:
    """The fields of a form; files and other encodings are not taken."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise Refused("the form must be url-encoded")
    try:
        text = (await request.body()).decode("ascii")
        return Form(parse_qs(text, keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise Refused("the form cannot be read") from None


def _is_owner(request: Request) -> bool:
    """Whether the results may be shown."""
    return bool(request.scope["tropism.role"] == "owner")


def _missing() -> Response:
    """The answer to a name that is not known."""
    return PlainTextResponse("Not Found", 404)


async def _refused(request: Request, error: Exception) -> Response:
    """The answer to what no page of ours sends."""
    return HTMLResponse(pages.message_page("That did not work", f"The page sent something unknown: {error}."), 400)


async def _conflict(request: Request, error: Exception) -> Response:
    """The answer to a second choice on one item."""
    sentence = "You have answered this one already. Go on to the next; Undo takes back the last answer."
    return HTMLResponse(pages.message_page("Answered already", sentence), 409)


async def _taken_back(request: Request, error: Exception) -> Response:
    """The answer to an old page whose choice was undone since: nothing was stored."""
    sentence = "You took back the answer of this page, so it was not saved again. Go on: the same answers come next."
    return HTMLResponse(pages.message_page("Not saved", sentence), 409)


async def _busy(request: Request, error: Exception) -> Response:
    """The answer where the disk would not take a choice: nothing was stored."""
    sentence = "The answer was not saved: the file of choices is busy or its disk is full. Send it again in a moment."
    return HTMLResponse(pages.message_page("Not saved", sentence), 503, {"Retry-After": "1"})
