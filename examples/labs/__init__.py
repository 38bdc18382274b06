"""Two and three models as production variants of one endpoint."""
