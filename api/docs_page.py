"""`/docs`, with all it needs on board: a machine without the internet, and nobody else's script beside a user's key."""

from importlib.resources import files

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.requests import Request
from starlette.responses import Response

PAGE = "/docs"
ASSETS = "/docs/assets"


def install(app: FastAPI) -> None:
    """Serve Swagger UI at `/docs`."""
    # relative to the page: a proxy may show us below a path of its own
    assets = ASSETS.removeprefix("/")
    document = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=app.title,
        swagger_js_url=f"{assets}/swagger-ui-bundle.js",
        swagger_css_url=f"{assets}/swagger-ui.css",
        swagger_favicon_url=f"{assets}/favicon.png",
    )

    async def page(_: Request) -> Response:
        return document

    app.add_route(PAGE, page, include_in_schema=False)
    app.mount(ASSETS, StaticFiles(directory=str(files("fastapi_offline") / "static")), name="assets")
