# Measures rpact (R); prints JSON lines in the format of peers.py. Started by compare.py, which passes one argument per set:
# name=t1,t2,... Uses base R only besides rpact. Debian: apt-get install r-cran-rpact
options(warn = -1)
if (!suppressWarnings(requireNamespace("rpact", quietly = TRUE))) {
  cat('[{"who": "rpact", "absent": "the R package is not installed"}]\n')
  quit(save = "no")
}
version <- as.character(utils::packageVersion("rpact"))
bounds <- function(t) {
  suppressMessages(rpact::getDesignGroupSequential(
    kMax = length(t), alpha = 0.025, sided = 1, informationRates = t, typeOfDesign = "asOF"
  )$criticalValues)
}
number <- function(x) ifelse(is.finite(x), sprintf("%.17g", x), "null")
rows <- character(0)
for (argument in commandArgs(trailingOnly = TRUE)) {
  parts <- strsplit(argument, "=")[[1]]
  t <- as.numeric(strsplit(parts[2], ",")[[1]])
  z <- try(bounds(t), silent = TRUE)
  if (inherits(z, "try-error")) {
    reason <- gsub('["\\\\\n]', " ", substr(as.character(z), 1, 200))
    rows <- c(rows, sprintf('{"who": "rpact", "version": "%s", "case": "%s", "failed": "%s"}', version, parts[1], reason))
    next
  }
  seconds <- numeric(0)
  while (length(seconds) < 7 && sum(seconds) < 3) {
    start <- proc.time()
    bounds(t)
    spent <- proc.time() - start
    seconds <- c(seconds, spent[["user.self"]] + spent[["sys.self"]])
  }
  rows <- c(rows, sprintf(
    '{"who": "rpact", "version": "%s", "case": "%s", "median_ms": %.17g, "least_ms": %.17g, "runs": %d, "z": [%s], "spending": "obrien-fleming"}',
    version, parts[1], 1000 * median(seconds), 1000 * min(seconds), length(seconds), paste(number(z), collapse = ", ")
  ))
}
cat("[", paste(rows, collapse = ",\n"), "]\n")
