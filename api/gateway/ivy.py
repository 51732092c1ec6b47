"""The virtual model `ivy-orchestrator`: Ollama or Claude, as the settings say, with the knowledge agent's documents."""

from dataclasses import replace
from typing import Literal

from api.gateway.asked import Asked
from api.gateway.knowledge import KnowledgeAgent, Outcome, question_of, with_documents

NAME = "ivy-orchestrator"
OWNER = "ivy"
# The catalog's alias for the Claude that it asks.
CLAUDE = "claude"


class Ivy:
    """Makes a request to `ivy-orchestrator` one to the model behind it."""

    def __init__(
        self, llm_provider: Literal["local", "claude"], ollama_model: str, agent: KnowledgeAgent | None
    ) -> None:
        self.model = f"ollama-{ollama_model}" if llm_provider == "local" else CLAUDE
        self._agent = agent

    async def prepared(self, asked: Asked) -> tuple[Asked, Outcome | None]:
        """The request with documents put in, to the model that answers; and what became of the documents.

        None where no agent is configured, or nothing was asked in words. While the agent is away the request
        goes on without.
        """
        body = {**asked.body, "model": self.model}
        outcome: Outcome | None = None
        query = question_of(asked.body["messages"]) if self._agent is not None else None
        if self._agent is not None and query is not None:
            documents = await self._agent.find(query)
            if documents:
                body["messages"] = with_documents(asked.body["messages"], documents)
            outcome = "unavailable" if documents is None else "used" if documents else "none"
        return replace(asked, body=body, model=self.model), outcome
