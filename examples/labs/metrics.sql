-- Per-variant metrics of a binary classifier: what Data Capture saw, joined with ground truth by request.
-- Parameters: captures and outcomes, lists of Parquet files; endpoint; first, the first event time that counts.
--
-- AUC is the chance that a customer who left has a higher score than one who stayed, ties counting half: the
-- Mann-Whitney statistic over pairs. Source: Hanley and McNeil (1982), Radiology 143, "Meaning of the area".
WITH truth AS (
    SELECT request_id, arg_max(outcome, timestamp) AS truth
    FROM read_parquet($outcomes)
    WHERE endpoint = $endpoint AND name IS NULL
    GROUP BY request_id
),
joined AS (
    SELECT
        c.variant,
        CAST(c.prediction >= 0.5 AS INTEGER) AS predicted,
        CAST(json_extract(c.output, '$.score') AS DOUBLE) AS score,
        CAST(t.truth AS INTEGER) AS truth
    FROM read_parquet($captures) AS c
    INNER JOIN truth AS t ON c.inference_id = t.request_id
    WHERE c.endpoint = $endpoint AND c.timestamp >= CAST($first AS TIMESTAMPTZ) AND c.prediction IS NOT NULL
),
counted AS (
    SELECT
        variant,
        count(*) AS answers,
        count(*) FILTER (predicted = 1 AND truth = 1) AS tp,
        count(*) FILTER (predicted = 1 AND truth = 0) AS fp,
        count(*) FILTER (predicted = 0 AND truth = 1) AS fn,
        count(*) FILTER (predicted = 0 AND truth = 0) AS tn
    FROM joined
    GROUP BY variant
),
pairs AS (
    SELECT
        a.variant,
        avg(CASE WHEN a.score > b.score THEN 1.0 WHEN a.score = b.score THEN 0.5 ELSE 0.0 END) AS auc
    FROM joined AS a
    INNER JOIN joined AS b ON a.variant = b.variant
    WHERE a.truth = 1 AND b.truth = 0
    GROUP BY a.variant
)
SELECT
    c.variant,
    c.answers,
    (c.tp + c.tn) / c.answers AS accuracy,
    c.tp / nullif(c.tp + c.fp, 0) AS precision,
    c.tp / nullif(c.tp + c.fn, 0) AS recall,
    2 * c.tp / nullif(2 * c.tp + c.fp + c.fn, 0) AS f1,
    p.auc
FROM counted AS c
LEFT JOIN pairs AS p ON c.variant = p.variant
ORDER BY c.variant
