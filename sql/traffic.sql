-- Purpose: requests and what became of them, by assigned variant; the row without one holds requests that are not
--   enrolled. An error is a status of 400 or more, or an answer with a status and without a prediction: logs
--   that tell no status tell no errors.
-- Parameters: endpoint, epochs, cut_off
-- Grain: assigned variant
-- Columns: assigned_variant, requests, units, errors, fallbacks, first_at, last_at
-- uses: unit_totals_at
SELECT
  t.assigned_variant AS assigned_variant,
  CAST(SUM(t.requests) AS BIGINT) AS requests,
  COUNT(DISTINCT t.unit_id) AS units,
  CAST(SUM(t.failures) AS BIGINT) AS errors,
  CAST(SUM(t.fallbacks) AS BIGINT) AS fallbacks,
  MIN(t.first_at) AS first_at,
  MAX(t.last_at) AS last_at
FROM unit_totals_at AS t
WHERE t.epoch IN $epochs
GROUP BY t.assigned_variant
ORDER BY t.assigned_variant
