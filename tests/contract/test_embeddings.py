from common.providers.protocol import EmbeddingRequest
from tests.contract.subjects import Subject, offered

TEXTS = ("river", "a stone in the river", "river", "metre")


async def test_each_text_has_its_vector_in_the_order_asked(subject: Subject) -> None:
    with offered(subject, "embeddings"):
        request = EmbeddingRequest(subject.embedding_model, TEXTS)
        embeddings = await subject.provider.embed(request)
        river, stone, river_again, _ = embeddings.vectors
        assert river == river_again != stone
        assert len(river) == len(stone) > 0
        assert embeddings.vectors == (await subject.provider.embed(request)).vectors


async def test_one_text_may_be_embedded_alone(subject: Subject) -> None:
    with offered(subject, "embeddings"):
        alone = await subject.provider.embed(EmbeddingRequest(subject.embedding_model, TEXTS[:1]))
        among = await subject.provider.embed(EmbeddingRequest(subject.embedding_model, TEXTS))
        assert alone.vectors == among.vectors[:1]
