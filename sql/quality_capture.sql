-- Purpose: how many of the champion's answered requests of one event day Data Capture holds. A capture is looked for
--   on the day itself and on those beside it, since its time is the endpoint's and not the router's.
-- Parameters: endpoint, rollout, day, day_before, day_after, champion (its variant)
-- Grain: one row
-- Columns: requests_champion (answered), captured_champion
SELECT
  COUNT(DISTINCT p.request_id) AS requests_champion,
  COUNT(DISTINCT c.inference_id) AS captured_champion
FROM predictions AS p
LEFT JOIN captures AS c
  ON c.inference_id = p.request_id
  AND c.endpoint = $endpoint
  AND c.variant = $champion
  AND c.event_date BETWEEN $day_before AND $day_after
WHERE p.endpoint = $endpoint
  AND p.rollout = $rollout
  AND p.event_date = $day
  AND p.variant = $champion
  AND (p.status < 400 OR p.status IS NULL)
