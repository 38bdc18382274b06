-- Purpose: the success metric `correct`: closed units, those with an outcome, and those whose first exposure was
--   answered rightly.
-- Parameters: endpoint, rollout, epochs, cut_off, matures_after (interval)
-- Grain: assigned variant
-- Columns: assigned_variant, units, closed, with_outcome, correct, after_closure (closed units that count by an
--   outcome which came after their window)
-- uses: exposures, unit_outcomes
SELECT
  u.assigned_variant AS assigned_variant,
  COUNT(*) AS units,
  COUNT(CASE WHEN u.closed THEN 1 END) AS closed,
  COUNT(CASE WHEN u.closed AND u.outcome IS NOT NULL THEN 1 END) AS with_outcome,
  COUNT(CASE WHEN u.closed AND u.correct = 1 THEN 1 END) AS correct,
  COUNT(CASE WHEN u.closed AND u.after_closure THEN 1 END) AS after_closure
FROM unit_outcomes AS u
GROUP BY u.assigned_variant
ORDER BY u.assigned_variant
