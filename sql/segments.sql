-- Purpose: success_counts by the value of one feature: reported, never decided on. The 50 values with most units; the
--   others together are (other), units without the feature (missing).
-- Parameters: endpoint, rollout, epochs, cut_off, matures_after (interval), segment (key of the features object)
-- Grain: segment value, assigned variant
-- Columns: segment, assigned_variant, units, closed, with_outcome, correct, after_closure
-- uses: exposures, unit_outcomes
WITH valued AS (
  SELECT
    u.*,
    COALESCE(json_extract_string(u.features, '$."' || $segment || '"'), '(missing)') AS found
  FROM unit_outcomes AS u
),
ranked AS (
  SELECT
    v.found AS found,
    ROW_NUMBER() OVER (ORDER BY COUNT(*) DESC, v.found) AS place
  FROM valued AS v
  GROUP BY v.found
),
named AS (
  SELECT
    v.*,
    CASE WHEN r.place <= 50 THEN v.found ELSE '(other)' END AS segment
  FROM valued AS v
  JOIN ranked AS r ON r.found = v.found
)
SELECT
  u.segment AS segment,
  u.assigned_variant AS assigned_variant,
  COUNT(*) AS units,
  COUNT(CASE WHEN u.closed THEN 1 END) AS closed,
  COUNT(CASE WHEN u.closed AND u.outcome IS NOT NULL THEN 1 END) AS with_outcome,
  COUNT(CASE WHEN u.closed AND u.correct = 1 THEN 1 END) AS correct,
  COUNT(CASE WHEN u.closed AND u.after_closure THEN 1 END) AS after_closure
FROM named AS u
GROUP BY u.segment, u.assigned_variant
ORDER BY u.segment, u.assigned_variant
