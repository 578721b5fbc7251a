"""Measures what a guarded model still gives away, beside the unguarded one, and what it costs."""
