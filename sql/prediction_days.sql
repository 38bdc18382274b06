-- Purpose: the distribution of answers by event day, in bins 0.1 wide named by their lower edge, kept apart so that a
--   look need not read every request again.
-- Parameters: none
-- Grain: endpoint, epoch, answering variant, event day, bin
-- Columns: endpoint, epoch, variant, event_date, bin, rows
-- kept: merged by prediction_days_merged
SELECT
  p.endpoint AS endpoint,
  p.epoch AS epoch,
  p.variant AS variant,
  p.event_date AS event_date,
  FLOOR(p.prediction * 10) / 10 AS bin,
  COUNT(*) AS "rows"
FROM predictions AS p
WHERE p.variant IS NOT NULL
  AND p.prediction IS NOT NULL
  AND COALESCE(p.status, 200) < 400
GROUP BY p.endpoint, p.epoch, p.variant, p.event_date, FLOOR(p.prediction * 10) / 10
