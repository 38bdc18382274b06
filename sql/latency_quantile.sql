-- Purpose: a discrete, request-weighted quantile of the champion's latency: the smallest latency that at least a
--   share `level` of its requests did not exceed. A failed request is slower than any other; a quantile that falls
--   among those is null. A request whose latency was not logged does not count. The champion's requests are those that it answered for itself, and failed ones that nobody
--   else can have been asked.
-- Parameters: endpoint, epochs, cut_off, champion (its variant), level (a share; 0.95 for p95)
-- Grain: one row
-- Columns: requests, failed, latency_ms
WITH served AS (
  SELECT
    CASE WHEN COALESCE(p.status, 200) < 400 THEN p.latency_ms END AS latency_ms
  FROM predictions AS p
  WHERE p.endpoint = $endpoint
    AND p.epoch IN $epochs
    AND p."timestamp" <= $cut_off
    AND NOT p.fallback
    AND COALESCE(p.variant, p.assigned_variant, $champion) = $champion
    AND (p.latency_ms IS NOT NULL OR p.status >= 400)
),
ranked AS (
  SELECT
    s.latency_ms AS latency_ms,
    ROW_NUMBER() OVER (ORDER BY CASE WHEN s.latency_ms IS NULL THEN 1 ELSE 0 END, s.latency_ms) AS place,
    COUNT(*) OVER () AS requests
  FROM served AS s
)
SELECT
  COUNT(*) AS requests,
  COUNT(*) - COUNT(r.latency_ms) AS failed,
  MIN(CASE WHEN r.place >= $level * r.requests - 1e-9 THEN r.latency_ms END) AS latency_ms
FROM ranked AS r
