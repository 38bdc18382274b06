-- Purpose: additive moments, over unit totals, of requests slower than each threshold, for the latency guardrail. All
--   integers. A failed request (status of 400 or more) is slower than any threshold. A unit's exceedances rise, from
--   the highest threshold down, only where it has a request; so what each request adds to the sum of squares is kept
--   (squares after it less squares before it) and summed along the thresholds, instead of joining each request with
--   each threshold below it.
-- Parameters: endpoint, rollout, epochs, cut_off, thresholds (milliseconds)
-- Grain: assigned variant, threshold
-- Columns: assigned_variant, threshold, units, requests, requests_squared, exceed, exceed_squared, exceed_requests
-- uses: unit_requests, unit_latencies_at
WITH grid AS (
  SELECT DISTINCT t.threshold AS threshold
  FROM UNNEST($thresholds) AS t(threshold)
),
steps AS (
  SELECT part.unit_id AS unit_id, part.threshold AS threshold, SUM(part.requests) AS requests
  FROM unit_latencies_at AS part
  WHERE part.rollout = $rollout
    AND part.epoch IN $epochs
    AND part.assigned_variant IS NOT NULL
  GROUP BY part.unit_id, part.threshold
),
climbed AS (
  SELECT
    u.assigned_variant AS assigned_variant,
    s.threshold AS threshold,
    s.requests AS requests,
    u.requests AS unit_requests,
    SUM(s.requests) OVER (
      PARTITION BY s.unit_id
      ORDER BY s.threshold DESC
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS exceed
  FROM steps AS s
  JOIN unit_requests AS u ON u.unit_id = s.unit_id
),
risen AS (
  SELECT
    c.assigned_variant AS assigned_variant,
    c.threshold AS threshold,
    SUM(c.requests) AS exceed,
    SUM(c.exceed * c.exceed - (c.exceed - c.requests) * (c.exceed - c.requests)) AS exceed_squared,
    SUM(c.requests * c.unit_requests) AS exceed_requests
  FROM climbed AS c
  GROUP BY c.assigned_variant, c.threshold
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
  CAST(COALESCE(SUM(r.exceed), 0) AS BIGINT) AS exceed,
  CAST(COALESCE(SUM(r.exceed_squared), 0) AS BIGINT) AS exceed_squared,
  CAST(COALESCE(SUM(r.exceed_requests), 0) AS BIGINT) AS exceed_requests
FROM totals AS t
CROSS JOIN grid AS g
LEFT JOIN risen AS r ON r.assigned_variant = t.assigned_variant AND r.threshold >= g.threshold
GROUP BY t.assigned_variant, g.threshold, t.units, t.requests, t.requests_squared
ORDER BY t.assigned_variant, g.threshold
