-- Purpose: prediction_days of several batches as one.
-- Parameters: none
-- Grain: as prediction_days
-- Columns: endpoint, epoch, variant, event_date, bin, rows
SELECT
  d.endpoint AS endpoint,
  d.epoch AS epoch,
  d.variant AS variant,
  d.event_date AS event_date,
  d.bin AS bin,
  CAST(SUM(d."rows") AS BIGINT) AS "rows"
FROM prediction_days AS d
GROUP BY d.endpoint, d.epoch, d.variant, d.event_date, d.bin
