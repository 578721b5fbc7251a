"""For apps that retrieve: thin clients of ``POST /v1/guard/context``, for LangChain and LlamaIndex.

They need httpx and the framework, none of the guard's other dependencies.
"""
