"""How safely: Prefect tasks around operations, each for an effect, a retry, a cache key or an artifact."""
