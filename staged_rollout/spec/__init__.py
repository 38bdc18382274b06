"""What a rollout and an environment are: the files of `configs/`, read, linted and resolved into frozen models."""
