-- Purpose: each unit's requests, errors and fallbacks in a stage, under its assigned variant (intention to treat). An
--   error is a status of 400 or more, an answer with a status and without a prediction (logs that tell no status tell
--   no errors), or a fallback: the caller was served by the champion, but the variant under test was not fit to.
--   Contradictory units are left out.
-- Parameters: endpoint, rollout, epochs, cut_off
-- Grain: unit
-- Columns: unit_id, assigned_variant, requests, errors, fallbacks
SELECT
  p.unit_id AS unit_id,
  MIN(p.assigned_variant) AS assigned_variant,
  COUNT(*) AS requests,
  COUNT(CASE WHEN p.status >= 400 OR (p.status IS NOT NULL AND p.prediction IS NULL) OR p.fallback THEN 1 END) AS errors,
  COUNT(CASE WHEN p.fallback THEN 1 END) AS fallbacks
FROM predictions AS p
WHERE p.endpoint = $endpoint
  AND p.rollout = $rollout
  AND p.epoch IN $epochs
  AND p."timestamp" <= $cut_off
  AND p.unit_id IS NOT NULL
  AND p.assigned_variant IS NOT NULL
GROUP BY p.unit_id
HAVING MIN(p.assigned_variant) = MAX(p.assigned_variant)
