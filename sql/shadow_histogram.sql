-- Purpose: the distribution of the candidate's shadow answers: the reference of the score drift signal. Bins are 0.1
--   wide, named by their lower edge, so that class labels fall into bins of their own.
-- Parameters: endpoint, epochs (of shadow), cut_off, candidate (the shadow variant)
-- Grain: bin
-- Columns: bin, rows
SELECT
  FLOOR(c.prediction * 10) / 10 AS bin,
  COUNT(DISTINCT p.request_id) AS "rows"
FROM predictions AS p
JOIN captures AS c ON c.inference_id = p.request_id
WHERE p.endpoint = $endpoint
  AND p.epoch IN $epochs
  AND p."timestamp" <= $cut_off
  AND c.endpoint = $endpoint
  AND c.variant = $candidate
  AND c."timestamp" <= $cut_off
  AND c.prediction IS NOT NULL
GROUP BY FLOOR(c.prediction * 10) / 10
ORDER BY FLOOR(c.prediction * 10) / 10
