from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from llama_index.core.schema import MetadataMode, Node, NodeWithScore, TextNode

from guard.adapters.client import ContextRefusedError, ContextUnguardedError
from guard.adapters.llama_index import GuardNodePostprocessor
from guard.context import REDACTED
from tests.server.harness import proxied

NAMED = "Tides rise. Mirelle Quay wrote of them. Tides fall."
KEPT = f"Tides rise. {REDACTED} Tides fall."


def nodes() -> list[NodeWithScore]:
    return [
        NodeWithScore(node=TextNode(id_="1", text=NAMED, metadata={"window": NAMED}), score=0.9),
        NodeWithScore(node=TextNode(id_="2", text="Project Vault is secret."), score=0.8),
        NodeWithScore(node=TextNode(id_="3", text="The town is Saltgate."), score=0.7),
    ]


async def test_nodes_are_edited_and_left_out(tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        guard = GuardNodePostprocessor(base_url=proxy.url)
        given = nodes()
        for found in (
            await guard.apostprocess_nodes(given, query_str="Where is it set?"),
            await asyncio.to_thread(guard.postprocess_nodes, given, None, "Where is it set?"),
        ):
            assert [(each.node.node_id, each.score) for each in found] == [("1", 0.9), ("3", 0.7)]
            assert [each.node.get_content(metadata_mode=MetadataMode.NONE) for each in found] == [
                KEPT, REDACTED
            ]  # fmt: skip
            assert found[0].node.metadata == {"window": KEPT}
        assert given[0].text == NAMED


async def test_nodes_of_several_kinds_are_edited(tmp_path: Path) -> None:
    from llama_index.core.schema import MediaResource

    async with proxied(tmp_path) as proxy:
        node = Node(text_resource=MediaResource(text=NAMED))
        guard = GuardNodePostprocessor(base_url=proxy.url)
        (found,) = await guard.apostprocess_nodes([NodeWithScore(node=node)])
        assert found.node.get_content(metadata_mode=MetadataMode.NONE) == KEPT


async def test_nothing_comes_back_unguarded(tmp_path: Path) -> None:
    with pytest.raises(ContextUnguardedError):
        GuardNodePostprocessor(base_url="http://127.0.0.1:9").postprocess_nodes(nodes())
    async with proxied(tmp_path) as proxy:
        merger = [NodeWithScore(node=TextNode(text="The Orrin merger is on."))]
        with pytest.raises(ContextRefusedError):
            await GuardNodePostprocessor(base_url=proxy.url).apostprocess_nodes(merger)


def test_a_key_is_not_shown() -> None:
    guard = GuardNodePostprocessor(base_url="http://127.0.0.1:9", api_key="sk-secret")
    assert "sk-secret" not in repr(guard)
