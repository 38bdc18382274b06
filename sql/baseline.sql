-- Purpose: the champion's success metric before LIVE: units that it answered, from their first such request on,
--   closed by the cut-off.
-- Parameters: endpoint, rollout, epochs (of shadow and canary), cut_off, matures_after (interval), champion (its
--   variant)
-- Grain: one row
-- Columns: closed, units (closed, with an outcome), correct
-- uses: champion_exposures as exposures, unit_outcomes
SELECT
  COUNT(CASE WHEN u.closed THEN 1 END) AS closed,
  COUNT(CASE WHEN u.closed AND u.outcome IS NOT NULL THEN 1 END) AS units,
  COUNT(CASE WHEN u.closed AND u.correct = 1 THEN 1 END) AS correct
FROM unit_outcomes AS u
