"""What the values of `data.labels` need. This module imports nothing, so that the config check can import it."""

FROM_VOTES = ("ferplus_soft", "ferplus_estimate", "ferplus_teacher")  # need FER+ votes
FROM_TEACHER = ("teacher", "ferplus_teacher")  # need a teacher file
