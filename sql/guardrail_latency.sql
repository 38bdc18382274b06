-- Purpose: additive moments, over unit totals, of requests slower than each threshold, for the latency guardrail. All
--   integers. A failed request (status of 400 or more) is slower than any threshold.
-- Parameters: endpoint, rollout, epochs, cut_off, thresholds (milliseconds)
-- Grain: assigned variant, threshold
-- Columns: assigned_variant, threshold, units, requests, requests_squared, exceed, exceed_squared, exceed_requests
-- uses: unit_requests
WITH grid AS (
  SELECT DISTINCT t.threshold AS threshold
  FROM UNNEST($thresholds) AS t(threshold)
),
slow AS (
  SELECT
    p.unit_id AS unit_id,
    CASE WHEN p.status >= 400 THEN 1e308 ELSE p.latency_ms END AS latency_ms
  FROM predictions AS p
  WHERE p.endpoint = $endpoint
    AND p.rollout = $rollout
    AND p.epoch IN $epochs
    AND p."timestamp" <= $cut_off
    AND p.assigned_variant IS NOT NULL
),
unit_exceedances AS (
  SELECT s.unit_id AS unit_id, g.threshold AS threshold, COUNT(*) AS exceed
  FROM slow AS s
  JOIN grid AS g ON s.latency_ms > g.threshold
  GROUP BY s.unit_id, g.threshold
),
exceedances AS (
  SELECT
    u.assigned_variant AS assigned_variant,
    x.threshold AS threshold,
    SUM(x.exceed) AS exceed,
    SUM(x.exceed * x.exceed) AS exceed_squared,
    SUM(x.exceed * u.requests) AS exceed_requests
  FROM unit_exceedances AS x
  JOIN unit_requests AS u ON u.unit_id = x.unit_id
  GROUP BY u.assigned_variant, x.threshold
),
totals AS (
  SELECT
    u.assigned_variant AS assigned_variant,
    COUNT(*) AS units,
    SUM(u.requests) AS requests,
    SUM(u.requests * u.requests) AS requests_squared
  FROM unit_requests AS u
  GROUP BY u.assigned_variant
)
SELECT
  t.assigned_variant AS assigned_variant,
  g.threshold AS threshold,
  t.units AS units,
  CAST(t.requests AS BIGINT) AS requests,
  CAST(t.requests_squared AS BIGINT) AS requests_squared,
  CAST(COALESCE(x.exceed, 0) AS BIGINT) AS exceed,
  CAST(COALESCE(x.exceed_squared, 0) AS BIGINT) AS exceed_squared,
  CAST(COALESCE(x.exceed_requests, 0) AS BIGINT) AS exceed_requests
FROM totals AS t
CROSS JOIN grid AS g
LEFT JOIN exceedances AS x ON x.assigned_variant = t.assigned_variant AND x.threshold = g.threshold
ORDER BY t.assigned_variant, g.threshold
