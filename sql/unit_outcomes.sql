-- Purpose: each exposed unit with the one outcome that counts for it, up to the cut-off. A unit is closed when
--   matures_after has passed since its first exposure. Outcomes belong to it by unit id, or by the request id of that
--   exposure, and never lie before it. The latest one within the window counts; only when there is none, the earliest
--   one after it does (after_closure). So the value of a closed unit never changes at a later look, however often its
--   label is corrected. Ratings (name is not null) are no labels.
-- Parameters: endpoint, rollout, epochs, cut_off, matures_after (interval)
-- Grain: unit
-- Columns: unit_id, assigned_variant, exposed_at, exposed_day, closed, outcome, outcome_at, after_closure, correct
--   (1, 0, or null without an outcome; no prediction is never correct), features
-- uses: exposures
WITH joined AS (
  SELECT e.unit_id AS unit_id, e.exposed_at AS exposed_at, o."timestamp" AS outcome_at, o.outcome AS outcome
  FROM exposures AS e
  JOIN outcomes AS o ON o.unit_id = e.unit_id
  WHERE o.endpoint = $endpoint AND o.name IS NULL
  UNION ALL
  SELECT e.unit_id AS unit_id, e.exposed_at AS exposed_at, o."timestamp" AS outcome_at, o.outcome AS outcome
  FROM exposures AS e
  JOIN outcomes AS o ON o.request_id = e.request_id
  WHERE o.endpoint = $endpoint AND o.name IS NULL
),
timed AS (
  SELECT
    j.unit_id AS unit_id,
    j.outcome_at AS outcome_at,
    j.outcome AS outcome,
    CASE WHEN j.outcome_at <= j.exposed_at + $matures_after THEN 0 ELSE 1 END AS after_closure
  FROM joined AS j
  WHERE j.outcome_at >= j.exposed_at
    AND j.outcome_at <= $cut_off
),
ranked AS (
  SELECT
    t.unit_id AS unit_id,
    t.outcome_at AS outcome_at,
    t.outcome AS outcome,
    t.after_closure AS after_closure,
    ROW_NUMBER() OVER (
      PARTITION BY t.unit_id
      ORDER BY
        t.after_closure,
        CASE WHEN t.after_closure = 0 THEN t.outcome_at END DESC,
        CASE WHEN t.after_closure = 1 THEN t.outcome_at END,
        t.outcome DESC
    ) AS place
  FROM timed AS t
)
SELECT
  e.unit_id AS unit_id,
  e.assigned_variant AS assigned_variant,
  e.exposed_at AS exposed_at,
  CAST(e.exposed_at AS DATE) AS exposed_day,
  e.exposed_at + $matures_after <= $cut_off AS closed,
  r.outcome AS outcome,
  r.outcome_at AS outcome_at,
  r.after_closure = 1 AS after_closure,
  CASE
    WHEN r.outcome IS NULL THEN NULL
    WHEN e.prediction = r.outcome THEN 1
    ELSE 0
  END AS correct,
  e.features AS features
FROM exposures AS e
LEFT JOIN ranked AS r ON r.unit_id = e.unit_id AND r.place = 1
