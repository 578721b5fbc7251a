from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda

from guard.adapters.client import ContextRefusedError, ContextUnguardedError
from guard.adapters.langchain import GuardDocumentCompressor, GuardedRetriever
from guard.context import REDACTED
from tests.server.harness import proxied

NAMED = "Tides rise. Mirelle Quay wrote of them. Tides fall."
KEPT = f"Tides rise. {REDACTED} Tides fall."


class Shelf(BaseRetriever):
    """Finds the same documents whatever is asked."""

    documents: list[Document]

    def _get_relevant_documents(self, query: str, *, run_manager: object) -> list[Document]:
        return self.documents


DOCUMENTS = [
    Document(id="1", page_content=NAMED, metadata={"source": "a", "title": "Mirelle Quay"}),
    Document(id="2", page_content="Project Vault is secret."),
    Document(id="3", page_content="The town is Saltgate."),
]


async def test_a_compressor_edits_and_leaves_out(tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        guard = GuardDocumentCompressor(base_url=proxy.url)
        for found in (
            await guard.acompress_documents(DOCUMENTS, "Where is it set?"),
            await asyncio.to_thread(guard.compress_documents, DOCUMENTS, "Where is it set?"),
        ):
            assert found == [
                Document(id="1", page_content=KEPT, metadata={"source": "a", "title": REDACTED}),
                Document(id="3", page_content=REDACTED),
            ]
        assert DOCUMENTS[0].page_content == NAMED


async def test_a_retriever_stands_where_another_stood(tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        retriever = GuardedRetriever(
            retriever=Shelf(documents=DOCUMENTS[:1]),
            guard=GuardDocumentCompressor(base_url=proxy.url),
        )
        chain = retriever | RunnableLambda(lambda found: "\n".join(d.page_content for d in found))
        assert await chain.ainvoke("Tides?") == KEPT
        assert await asyncio.to_thread(chain.invoke, "Tides?") == KEPT


async def test_nothing_comes_back_unguarded(tmp_path: Path) -> None:
    away = GuardDocumentCompressor(base_url="http://127.0.0.1:9")
    with pytest.raises(ContextUnguardedError):
        away.compress_documents(DOCUMENTS, "Tides?")
    async with proxied(tmp_path) as proxy:
        retriever = GuardedRetriever(
            retriever=Shelf(documents=[Document(page_content="The Orrin merger is on.")]),
            guard=GuardDocumentCompressor(base_url=proxy.url),
        )
        with pytest.raises(ContextRefusedError):
            await retriever.ainvoke("And?")


def test_a_key_is_not_shown() -> None:
    guard = GuardDocumentCompressor(base_url="http://127.0.0.1:9", api_key="sk-secret")
    assert "sk-secret" not in repr(guard)
