-- Purpose: where a sample-ratio mismatch sits: units at first exposure by day, hour of day and epoch.
--   Asked only when the test alarms.
-- Parameters: endpoint, rollout, epochs, cut_off
-- Grain: dimension, value, assigned variant
-- Columns: dimension (day, hour or epoch), value, assigned_variant, units
-- uses: exposures
WITH cells AS (
  SELECT 'day' AS dimension, CAST(CAST(e.exposed_at AS DATE) AS VARCHAR) AS value, e.assigned_variant AS variant
  FROM exposures AS e
  UNION ALL
  SELECT 'hour' AS dimension, CAST(EXTRACT(HOUR FROM e.exposed_at) AS VARCHAR) AS value, e.assigned_variant AS variant
  FROM exposures AS e
  UNION ALL
  SELECT 'epoch' AS dimension, CAST(e.epoch AS VARCHAR) AS value, e.assigned_variant AS variant
  FROM exposures AS e
)
SELECT
  c.dimension AS dimension,
  c.value AS value,
  c.variant AS assigned_variant,
  COUNT(*) AS units
FROM cells AS c
GROUP BY c.dimension, c.value, c.variant
ORDER BY c.dimension, c.value, c.variant
