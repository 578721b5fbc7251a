"""The sampler's step on a GPU: Triton kernels that never make the host wait.

They do what ``guard.engine.matcher`` and ``guard.engine.windows`` do, which stay the measure of
what is right. Nothing outside imports this package unless the logits are on a GPU, so that machines
without Triton need none.
"""
