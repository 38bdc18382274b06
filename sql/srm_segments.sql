-- Purpose: units at first exposure by the value of one feature: where a sample-ratio mismatch sits. The 50 values with
--   most units; the others together are (other), units without the feature (missing). Asked only when the test alarms.
-- Parameters: endpoint, rollout, epochs, cut_off, segment (key of the features object)
-- Grain: segment value, assigned variant
-- Columns: segment, assigned_variant, units
-- uses: exposures
WITH valued AS (
  SELECT
    COALESCE(json_extract_string(e.features, '$."' || $segment || '"'), '(missing)') AS found,
    e.assigned_variant AS assigned_variant
  FROM exposures AS e
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
    CASE WHEN r.place <= 50 THEN v.found ELSE '(other)' END AS segment,
    v.assigned_variant AS assigned_variant
  FROM valued AS v
  JOIN ranked AS r ON r.found = v.found
)
SELECT
  n.segment AS segment,
  n.assigned_variant AS assigned_variant,
  COUNT(*) AS units
FROM named AS n
GROUP BY n.segment, n.assigned_variant
ORDER BY n.segment, n.assigned_variant
