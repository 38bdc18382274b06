-- Purpose: units by assigned variant at first exposure: what the sample-ratio test compares with the designed split.
-- Parameters: endpoint, rollout, epochs, cut_off
-- Grain: assigned variant
-- Columns: assigned_variant, units
-- uses: exposures
SELECT
  e.assigned_variant AS assigned_variant,
  COUNT(*) AS units
FROM exposures AS e
GROUP BY e.assigned_variant
ORDER BY e.assigned_variant
