-- Purpose: each unit's requests, errors and fallbacks in a stage, under its assigned variant (intention to treat). An
--   error is a status of 400 or more, an answer with a status and without a prediction (logs that tell no status tell
--   no errors), or a fallback: the caller was served by the champion, but the variant under test was not fit to.
--   Contradictory units are left out.
-- Parameters: endpoint, rollout, epochs, cut_off
-- Grain: unit
-- Columns: unit_id, assigned_variant, requests, errors, fallbacks, statuses (requests whose status was logged)
-- uses: unit_totals_at
SELECT
  t.unit_id AS unit_id,
  MIN(t.assigned_variant) AS assigned_variant,
  CAST(SUM(t.requests) AS BIGINT) AS requests,
  CAST(SUM(t.errors) AS BIGINT) AS errors,
  CAST(SUM(t.fallbacks) AS BIGINT) AS fallbacks,
  CAST(SUM(t.statuses) AS BIGINT) AS statuses
FROM unit_totals_at AS t
WHERE t.rollout = $rollout
  AND t.epoch IN $epochs
  AND t.unit_id IS NOT NULL
  AND t.assigned_variant IS NOT NULL
GROUP BY t.unit_id
HAVING MIN(t.assigned_variant) = MAX(t.assigned_variant)
