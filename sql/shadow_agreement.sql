-- Purpose: how the shadow candidate's answers compare with what the champion answered to the same requests.
--   An answer is the one that the request's own line tells (shadow_variant), or else the captured one; one without a
--   readable prediction disagrees.
-- Parameters: endpoint, rollout, epochs (of shadow), cut_off, candidate (the shadow variant)
-- Grain: one row
-- Columns: requests (answered), captured (with an answer of the shadow), agreed, units (with such an answer),
--   units_disagreeing (with at least one disagreement)
WITH answers AS (
  SELECT
    c.inference_id AS request_id,
    MAX(c.prediction) AS prediction
  FROM captures AS c
  WHERE c.endpoint = $endpoint
    AND c.variant = $candidate
    AND c."timestamp" <= $cut_off
    AND c.inference_id IS NOT NULL
  GROUP BY c.inference_id
),
compared AS (
  SELECT
    p.unit_id AS unit_id,
    a.request_id IS NOT NULL OR COALESCE(p.shadow_variant = $candidate, FALSE) AS captured,
    CASE
      WHEN COALESCE(p.shadow_variant = $candidate, FALSE) THEN COALESCE(p.shadow_prediction = p.prediction, FALSE)
      ELSE a.request_id IS NOT NULL AND COALESCE(a.prediction = p.prediction, FALSE)
    END AS agreed
  FROM predictions AS p
  LEFT JOIN answers AS a ON a.request_id = p.request_id
  WHERE p.endpoint = $endpoint
    AND p.rollout = $rollout
    AND p.epoch IN $epochs
    AND p."timestamp" <= $cut_off
    AND COALESCE(p.status, 200) < 400
    AND p.prediction IS NOT NULL
)
SELECT
  COUNT(*) AS requests,
  COUNT(CASE WHEN c.captured THEN 1 END) AS captured,
  COUNT(CASE WHEN c.agreed THEN 1 END) AS agreed,
  COUNT(DISTINCT CASE WHEN c.captured THEN c.unit_id END) AS units,
  COUNT(DISTINCT CASE WHEN c.captured AND NOT c.agreed THEN c.unit_id END) AS units_disagreeing
FROM compared AS c
