-- Purpose: lines of one file that are kept in quarantine, as they came.
-- Parameters: reason (text that the reason holds; empty: any), verdict, source, kind, endpoint, first_line, last_line
-- Grain: line of a file that was ingested
-- Columns: line, offset, reason, raw, ingested_at
SELECT
  q.line AS line,
  q."offset" AS "offset",
  q.reason AS reason,
  q.raw AS raw,
  q."at" AS ingested_at
FROM quarantine AS q
WHERE q.source = $source
  AND q.kind = $kind
  AND q.endpoint = $endpoint
  AND q.verdict = $verdict
  AND q.line BETWEEN $first_line AND $last_line
  AND POSITION($reason IN q.reason) > 0
ORDER BY q.line, q."at", q."offset"
