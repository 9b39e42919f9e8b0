"""The web application of the label page: its routes and what each of them answers."""

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
from tropism.label.choice_store import ChoiceConflict, ChoiceUndone, StoreBusy
from tropism.label.images import ImageFolder
from tropism.label.label_service import InvalidRequest, LabelService, SubmittedChoice, annotator_name
from tropism.label.request_guard import YEAR_SECONDS, RequestGuard, cookies_of
from tropism.label.results import CachedResults

MOST_FIELDS = 40
SAVED, UNDONE, NOTHING_TO_UNDO = "Saved.", "Undone.", "There is nothing to undo."
NOTES = {"saved": SAVED, "undone": UNDONE, "nothing": NOTHING_TO_UNDO}


@dataclass(frozen=True, slots=True)
class SubmittedForm:
    """The fields of a submitted form."""

    fields: dict[str, list[str]]

    def one(self, name: str) -> str:
        """The field's first value, empty if it is missing."""
        return self.fields.get(name, [""])[0]

    def all(self, name: str) -> tuple[str, ...]:
        """All values of a field."""
        return tuple(self.fields.get(name, ()))


def make_app(service: LabelService, images: ImageFolder, access: Access) -> ASGIApp:
    """The label page as an ASGI application.

    Args:
        service: assigns items and stores choices.
        images: the images that may be shown.
        access: who may use the page.
    """
    site = Site(service, images, access)
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
        InvalidRequest: _invalid,
        ChoiceConflict: _conflict,
        ChoiceUndone: _undone,
        StoreBusy: _busy,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return RequestGuard(app, access)


class Site:
    """The handler of each route; see `make_app` for the arguments."""

    def __init__(self, service: LabelService, images: ImageFolder, access: Access) -> None:
        self.service = service
        self.images = images
        self.owner = CachedResults(service)
        self.name_cookie = f"tropism_name_{access.port}"

    async def show(self, request: Request) -> Response:
        """The next item, or the form that asks for a name."""
        annotator = self._annotator(request)
        if annotator is None:
            return HTMLResponse(pages.name_page())
        note = NOTES.get(request.query_params.get("note", ""), "")
        return HTMLResponse(await run_in_threadpool(self._page, annotator, is_owner=_is_owner(request), note=note))

    async def name(self, request: Request) -> Response:
        """Stores the annotator's name in a cookie; an empty name deletes it."""
        given = (await _form(request)).one("name")
        response: Response = RedirectResponse("/", 303)
        if not given:
            response.delete_cookie(self.name_cookie, httponly=True, samesite="strict")
            return response
        name = annotator_name(given)
        if name is None:
            problem = "A name must have 1 to 60 printable characters."
            return HTMLResponse(pages.name_page(problem=problem, given=given), 400)
        response.set_cookie(self.name_cookie, quote(name), max_age=YEAR_SECONDS, httponly=True, samesite="strict")
        return response

    async def choose(self, request: Request) -> Response:
        """Stores a choice, then redirects to the next item; the redirect is sent only after the choice is on disk."""
        form = await _form(request)
        annotator = self._annotator(request)
        if annotator is None:
            return RedirectResponse("/", 303)
        sent = SubmittedChoice(
            choice_id=form.one("choice_id"),
            item_id=form.one("item_id"),
            answer=form.one("answer"),
            reasons=form.all("reason"),
            milliseconds=form.one("milliseconds"),
        )
        await run_in_threadpool(self.service.choose, annotator, sent)
        return RedirectResponse("/?note=saved", 303)

    async def undo(self, request: Request) -> Response:
        """Undoes the last choice, then redirects to its item."""
        form = await _form(request)
        annotator = self._annotator(request)
        if annotator is None:
            return RedirectResponse("/", 303)
        revoked = await run_in_threadpool(self.service.undo, annotator, form.one("undo_id"))
        return RedirectResponse("/?note=nothing" if revoked is None else "/?note=undone", 303)

    async def results(self, request: Request) -> Response:
        """The owner's results page."""
        return HTMLResponse(pages.results_page(await run_in_threadpool(self.owner.results)))

    async def image(self, request: Request) -> Response:
        """An image that was shown on a page."""
        found = self.images.find(request.path_params["key"])
        if found is None:
            return _missing()
        return FileResponse(found.path, media_type=found.media_type, headers={"Cache-Control": "private, max-age=3600"})

    async def static(self, request: Request) -> Response:
        """A static file."""
        found = pages.static_file(request.path_params["name"])
        if found is None:
            return _missing()
        return Response(found.body, media_type=found.media_type, headers={"Cache-Control": "private, max-age=31536000"})

    def _page(self, annotator: str, *, is_owner: bool, note: str) -> str:
        """The next item's page, or the page that says that all are done."""
        served = self.service.serve(annotator)
        if served is None:
            return pages.done_page(self.service.progress(annotator), annotator, is_owner=is_owner, note=note)
        reasons = self.service.reasons
        return pages.choice_page(served, annotator, images=self.images, reasons=reasons, is_owner=is_owner, note=note)

    def _annotator(self, request: Request) -> str | None:
        """The annotator's name from the cookie, or None."""
        return annotator_name(unquote(cookies_of(request.headers).get(self.name_cookie, "")))


async def _form(request: Request) -> SubmittedForm:
    """The fields of a form; only URL-encoded forms are accepted."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise InvalidRequest("the form must be URL-encoded")
    try:
        text = (await request.body()).decode("ascii")
        return SubmittedForm(parse_qs(text, keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise InvalidRequest("the form could not be parsed") from None


def _is_owner(request: Request) -> bool:
    """Whether this client may see the results."""
    return bool(request.scope["tropism.role"] == "owner")


def _missing() -> Response:
    """The response to an unknown name."""
    return PlainTextResponse("Not Found", 404)


async def _invalid(request: Request, error: Exception) -> Response:
    """The response to a request that no page of this application sends."""
    return HTMLResponse(pages.message_page("Invalid request", f"The request could not be processed: {error}."), 400)


async def _conflict(request: Request, error: Exception) -> Response:
    """The response to a second choice on the same item."""
    sentence = "You have already answered this item. Continue with the next one; Undo removes your last answer."
    return HTMLResponse(pages.message_page("Already answered", sentence), 409)


async def _undone(request: Request, error: Exception) -> Response:
    """The response to an old page whose choice was undone in the meantime: nothing was stored."""
    sentence = "You undid the answer of this page, so it was not saved again. Continue: the same item is next."
    return HTMLResponse(pages.message_page("Not saved", sentence), 409)


async def _busy(request: Request, error: Exception) -> Response:
    """The response if the choice could not be written: nothing was stored."""
    sentence = (
        "Your answer was not saved: the choices file is locked or the disk is full. Please try again in a moment."
    )
    return HTMLResponse(pages.message_page("Not saved", sentence), 503, {"Retry-After": "1"})
