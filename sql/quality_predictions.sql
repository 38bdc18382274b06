-- Purpose: what one variant answered on two event days, one answer per unit (the first of its day, so that a busy
--   caller counts once), in the deciles of the reference day. Values that are equal share a bin, so 0 and 1 are two.
-- Parameters: endpoint, day, reference (an earlier day), variant (the one that answered)
-- Grain: bin (0: at most the lowest decile of the reference)
-- Columns: bin, reference_units, day_units
WITH ranked AS (
  SELECT
    p.event_date AS event_date,
    p.prediction AS prediction,
    ROW_NUMBER() OVER (
      PARTITION BY p.event_date, p.unit_id ORDER BY p."timestamp", p.request_id
    ) AS place
  FROM predictions AS p
  WHERE p.endpoint = $endpoint
    AND (p.event_date = $day OR p.event_date = $reference)
    AND p.variant = $variant
    AND NOT p.fallback
    AND p.unit_id IS NOT NULL
    AND p.prediction IS NOT NULL
),
tallied AS (
  SELECT
    r.prediction AS prediction,
    COUNT(CASE WHEN r.event_date = $reference THEN 1 END) AS reference_units,
    COUNT(CASE WHEN r.event_date = $day THEN 1 END) AS day_units
  FROM ranked AS r
  WHERE r.place = 1
  GROUP BY r.prediction
),
summed AS (
  SELECT
    t.prediction AS prediction,
    t.reference_units AS reference_units,
    t.day_units AS day_units,
    SUM(t.reference_units) OVER (ORDER BY t.prediction) - t.reference_units AS below,
    SUM(t.reference_units) OVER () AS total
  FROM tallied AS t
),
binned AS (
  SELECT
    CASE WHEN s.total = 0 THEN 0 ELSE FLOOR(CAST(s.below AS DOUBLE) * 10 / s.total) END AS bin,
    s.reference_units AS reference_units,
    s.day_units AS day_units
  FROM summed AS s
)
SELECT
  CAST(b.bin AS BIGINT) AS bin,
  CAST(SUM(b.reference_units) AS BIGINT) AS reference_units,
  CAST(SUM(b.day_units) AS BIGINT) AS day_units
FROM binned AS b
GROUP BY b.bin
ORDER BY b.bin
