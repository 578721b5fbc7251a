"""OpenAI's Responses API, without stored state: each request is a chat, and guarded as one."""
