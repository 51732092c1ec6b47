"""What the tests ask of the API, in few words."""

from typing import Any

import httpx

Document = dict[str, Any]
ASKED = {"prompt": "Is water wet?", "models": ["mock-a"]}


async def submit(api: httpx.AsyncClient, headers: dict[str, str] | None = None, **fields: Any) -> Document:
    """The accepted job."""
    response = await api.post("/api/analyze", json=ASKED | fields, headers=headers)
    assert response.status_code == 202, response.text
    document: Document = response.json()
    return document


async def show(api: httpx.AsyncClient, job_id: str) -> Document:
    """The whole analysis."""
    response = await api.get(f"/api/analysis/{job_id}")
    assert response.status_code == 200, response.text
    document: Document = response.json()
    return document


def code_of(response: httpx.Response) -> str:
    """The code of a problem; fails if the response is none."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    document = response.json()
    assert document["status"] == response.status_code
    assert response.headers["x-request-id"]
    return str(document["code"])
