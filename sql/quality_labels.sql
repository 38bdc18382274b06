-- Purpose: label coverage: of the units that a rollout served on one event day, how many have an outcome from that day
--   on until the end of another. Outcomes belong to a unit by its id, or by the id of any of its requests that day.
-- Parameters: endpoint, rollout, exposed_day, known_day (outcomes up to its end)
-- Grain: one row
-- Columns: units, labelled
WITH served AS (
  SELECT p.unit_id AS unit_id, p.request_id AS request_id
  FROM predictions AS p
  WHERE p.endpoint = $endpoint
    AND p.rollout = $rollout
    AND p.event_date = $exposed_day
    AND p.unit_id IS NOT NULL
),
known AS (
  SELECT o.unit_id AS unit_id, o.request_id AS request_id
  FROM outcomes AS o
  WHERE o.endpoint = $endpoint
    AND o.event_date BETWEEN $exposed_day AND $known_day
    AND o.name IS NULL
),
labelled AS (
  SELECT s.unit_id AS unit_id
  FROM served AS s
  JOIN known AS k ON k.unit_id = s.unit_id
  UNION
  SELECT s.unit_id AS unit_id
  FROM served AS s
  JOIN known AS k ON k.request_id = s.request_id
),
served_units AS (
  SELECT COUNT(DISTINCT s.unit_id) AS units
  FROM served AS s
),
counted AS (
  SELECT COUNT(*) AS labelled
  FROM labelled AS l
)
SELECT u.units AS units, c.labelled AS labelled
FROM served_units AS u
CROSS JOIN counted AS c
