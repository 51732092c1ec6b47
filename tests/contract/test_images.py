from common.contracts.messages import ImagePart, Message, TextPart
from common.providers.complete import complete
from tests.contract.subjects import Subject, offered

# One pixel.
PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


async def test_an_image_among_the_words_is_taken(subject: Subject) -> None:
    looked_at = Message(role="user", content=(TextPart(text="What is this?"), ImagePart(url=PNG)))
    with offered(subject, "images"):
        answer = await complete(subject.provider, subject.asked(messages=(looked_at,), timeout_seconds=30))
        assert answer.text
        assert answer.finish_reason == "stop"


async def test_parts_without_an_image_are_words(subject: Subject) -> None:
    spoken = Message(role="user", content=(TextPart(text="Tell me a story."), TextPart(text="Of two rivers.")))
    answer = await complete(subject.provider, subject.asked(messages=(spoken,), max_tokens=4, timeout_seconds=30))
    assert answer.text
