-- Purpose: the distribution of what a variant answered, in the bins of shadow_histogram.sql: whole days from
--   prediction_days, the cut-off's own day from its rows.
-- Parameters: endpoint, epochs, cut_off, variant (the one that answered)
-- Grain: bin
-- Columns: bin, rows
SELECT
  part.bin AS bin,
  CAST(SUM(part."rows") AS BIGINT) AS "rows"
FROM (
  SELECT d.bin AS bin, d."rows" AS "rows"
  FROM prediction_days AS d
  WHERE d.endpoint = $endpoint
    AND d.epoch IN $epochs
    AND d.variant = $variant
    AND d.event_date < CAST($cut_off AS DATE)
  UNION ALL
  SELECT FLOOR(p.prediction * 10) / 10 AS bin, 1 AS "rows"
  FROM predictions AS p
  WHERE p.endpoint = $endpoint
    AND p.epoch IN $epochs
    AND p.variant = $variant
    AND p.event_date = CAST($cut_off AS DATE)
    AND p."timestamp" <= $cut_off
    AND COALESCE(p.status, 200) < 400
    AND p.prediction IS NOT NULL
) AS part
GROUP BY part.bin
ORDER BY part.bin
