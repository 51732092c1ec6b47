"""Entity tags: whether a caller has seen this state of a job already."""


def etag(digest: str) -> str:
    """A strong ETag of a job's digest."""
    return f'"{digest}"'


def is_known(if_none_match: str | None, current: str) -> bool:
    """Whether `If-None-Match` names the current tag. Compared weakly, as RFC 9110 section 13.1.2 asks."""
    if not if_none_match:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or current in tags
