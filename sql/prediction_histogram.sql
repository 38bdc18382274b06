-- Purpose: the distribution of what a variant answered, in the bins of shadow_histogram.sql.
-- Parameters: endpoint, epochs, cut_off, variant (the one that answered)
-- Grain: bin
-- Columns: bin, rows
SELECT
  FLOOR(p.prediction * 10) / 10 AS bin,
  COUNT(*) AS "rows"
FROM predictions AS p
WHERE p.endpoint = $endpoint
  AND p.epoch IN $epochs
  AND p."timestamp" <= $cut_off
  AND p.variant = $variant
  AND COALESCE(p.status, 200) < 400
  AND p.prediction IS NOT NULL
GROUP BY FLOOR(p.prediction * 10) / 10
ORDER BY FLOOR(p.prediction * 10) / 10
