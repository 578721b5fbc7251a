"""LangChain: a document compressor and a retriever that ask the guard.

Install ``unlearn-guard[langchain]``, or ``langchain-core`` beside this package.
"""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
    Callbacks,
)
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.retrievers import BaseRetriever
from pydantic import SecretStr

from guard.adapters.client import TIMEOUT_S, ContextClient
from guard.adapters.client import Document as Row


class GuardDocumentCompressor(BaseDocumentCompressor):
    """Takes out of documents, text and metadata, what hands a forget target back.

    Attributes:
        base_url: of the proxy.
        api_key: of a tenant, where the policy has tenants.
    """

    base_url: str
    api_key: SecretStr = SecretStr("")
    timeout_s: float = TIMEOUT_S

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """The documents that are left, edited.

        Raises:
            ContextRefusedError: nothing of them may be used, by the policy.
            ContextUnguardedError: the guard did not look at them.
        """
        return _documents(documents, self._client.filter(_rows(documents), query))

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """As ``compress_documents``."""
        return _documents(documents, await self._client.afilter(_rows(documents), query))

    @property
    def _client(self) -> ContextClient:
        return ContextClient(self.base_url, self.api_key.get_secret_value(), self.timeout_s)


class GuardedRetriever(BaseRetriever):
    """Another retriever's documents, guarded."""

    retriever: BaseRetriever
    guard: GuardDocumentCompressor

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        config = {"callbacks": run_manager.get_child()}
        found = self.retriever.invoke(query, config=config)
        return self.guard.compress_documents(found, query)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        config = {"callbacks": run_manager.get_child()}
        found = await self.retriever.ainvoke(query, config=config)
        return await self.guard.acompress_documents(found, query)


def _rows(documents: Sequence[Document]) -> list[Row]:
    return [{"text": each.page_content, "metadata": each.metadata} for each in documents]


def _documents(documents: Sequence[Document], rows: Sequence[Row | None]) -> list[Document]:
    return [
        each.model_copy(update={"page_content": row["text"], "metadata": row["metadata"]})
        for each, row in zip(documents, rows, strict=True)
        if row is not None
    ]
