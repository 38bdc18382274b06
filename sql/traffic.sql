-- Purpose: requests and what became of them, by assigned variant; the row without one holds requests that are not
--   enrolled. An error is a status of 400 or more, or an answer with a status and without a prediction: logs
--   that tell no status tell no errors.
-- Parameters: endpoint, epochs, cut_off
-- Grain: assigned variant
-- Columns: assigned_variant, requests, units, errors, fallbacks, first_at, last_at
SELECT
  p.assigned_variant AS assigned_variant,
  COUNT(*) AS requests,
  COUNT(DISTINCT p.unit_id) AS units,
  COUNT(CASE WHEN p.status >= 400 OR (p.status IS NOT NULL AND p.prediction IS NULL) THEN 1 END) AS errors,
  COUNT(CASE WHEN p.fallback THEN 1 END) AS fallbacks,
  MIN(p."timestamp") AS first_at,
  MAX(p."timestamp") AS last_at
FROM predictions AS p
WHERE p.endpoint = $endpoint
  AND p.epoch IN $epochs
  AND p."timestamp" <= $cut_off
GROUP BY p.assigned_variant
ORDER BY p.assigned_variant
