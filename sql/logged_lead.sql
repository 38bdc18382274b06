-- Purpose: how many units met one variant of a rollout before the other one answered anybody: chance, or a time in which
--   only one was served.
-- Parameters: endpoint, rollout (may be null), epochs, variant, cut_off (rows before it count)
-- Grain: one row
-- Columns: units
SELECT COUNT(DISTINCT p.unit_id) AS units
FROM predictions AS p
WHERE p.endpoint = $endpoint
  AND p.rollout IS NOT DISTINCT FROM CAST($rollout AS VARCHAR)
  AND p.epoch IN $epochs
  AND p.assigned_variant = $variant
  AND p."timestamp" < $cut_off
