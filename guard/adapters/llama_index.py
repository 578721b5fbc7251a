"""LlamaIndex: a node postprocessor that asks the guard.

Install ``unlearn-guard[llama-index]``, or ``llama-index-core`` beside this package.
"""

from __future__ import annotations

from collections.abc import Sequence

from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from pydantic import SecretStr

from guard.adapters.client import TIMEOUT_S, ContextClient, Document


class GuardNodePostprocessor(BaseNodePostprocessor):
    """Takes out of nodes, text and metadata, what hands a forget target back.

    Attributes:
        base_url: of the proxy.
        api_key: of a tenant, where the policy has tenants.
    """

    base_url: str
    api_key: SecretStr = SecretStr("")
    timeout_s: float = TIMEOUT_S

    @classmethod
    def class_name(cls) -> str:
        """As LlamaIndex names its components."""
        return "GuardNodePostprocessor"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        return _nodes(nodes, self._client.filter(_rows(nodes), _query(query_bundle)))

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        return _nodes(nodes, await self._client.afilter(_rows(nodes), _query(query_bundle)))

    @property
    def _client(self) -> ContextClient:
        return ContextClient(self.base_url, self.api_key.get_secret_value(), self.timeout_s)


def _query(bundle: QueryBundle | None) -> str:
    return bundle.query_str if bundle is not None else ""


def _rows(nodes: Sequence[NodeWithScore]) -> list[Document]:
    return [
        {
            "text": each.node.get_content(metadata_mode=MetadataMode.NONE),
            "metadata": each.node.metadata,
        }
        for each in nodes
    ]


def _nodes(nodes: Sequence[NodeWithScore], rows: Sequence[Document | None]) -> list[NodeWithScore]:
    left = []
    for each, row in zip(nodes, rows, strict=True):
        if row is None:
            continue
        # The index may keep its nodes in memory: they stay as they are.
        node = each.node.model_copy(deep=True)
        if row["text"] != node.get_content(metadata_mode=MetadataMode.NONE):
            node.set_content(row["text"])
        node.metadata = row["metadata"]
        left.append(NodeWithScore(node=node, score=each.score))
    return left
