"""`/docs` on a machine without the internet."""

import re

import httpx

from api.docs_page import PAGE


async def test_the_page_and_all_it_loads_come_from_here(api: httpx.AsyncClient) -> None:
    page = await api.get(PAGE)
    assert page.headers["content-type"].startswith("text/html")
    types = {}
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    for path in loaded:
        assert path.startswith("docs/assets/")
        response = await api.get(f"/{path}")
        assert response.status_code == 200
        types[path.rpartition(".")[2]] = response.headers["content-type"].partition(";")[0]
    assert types == {"js": "text/javascript", "css": "text/css", "png": "image/png"}
    assert "url: 'openapi.json'" in page.text


async def test_a_file_that_is_not_there_is_a_problem_like_any(api: httpx.AsyncClient) -> None:
    for path in ("nothing.js", "%2e%2e/core.py"):
        response = await api.get(f"{PAGE}/assets/{path}")
        assert response.status_code == 404
        assert response.headers["content-type"] == "application/problem+json"
