-- Purpose: what is logged: the variants that units were assigned to, by endpoint, rollout and epoch, and which figures
--   their rows tell. For analyses of logs that nobody has described.
-- Parameters: cut_off
-- Grain: endpoint, rollout, epoch, assigned variant
-- Columns: endpoint, rollout, epoch, assigned_variant, rows, units, statuses (rows that tell one), latencies (likewise),
--   predictions (likewise), first_at, last_at
SELECT
  p.endpoint AS endpoint,
  p.rollout AS rollout,
  p.epoch AS epoch,
  p.assigned_variant AS assigned_variant,
  COUNT(*) AS "rows",
  COUNT(DISTINCT p.unit_id) AS units,
  COUNT(p.status) AS statuses,
  COUNT(p.latency_ms) AS latencies,
  COUNT(p.prediction) AS predictions,
  MIN(p."timestamp") AS first_at,
  MAX(p."timestamp") AS last_at
FROM predictions AS p
WHERE p."timestamp" <= $cut_off
GROUP BY p.endpoint, p.rollout, p.epoch, p.assigned_variant
ORDER BY p.endpoint, p.rollout, p.epoch, p.assigned_variant
