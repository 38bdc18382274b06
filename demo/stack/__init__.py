"""`make up` and `make down`: what a team would run, on one machine."""
