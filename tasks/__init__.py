"""How safely: Prefect tasks around operations. A task exists only if it owns an effect, a retry, a cache key or an artifact."""
