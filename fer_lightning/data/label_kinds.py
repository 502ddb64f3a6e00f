"""Values of `data.labels` that need more than labels. Imports nothing, so that the config check can use it."""

FROM_VOTES = ("ferplus_soft", "ferplus_estimate", "ferplus_teacher")  # need FER+ votes
FROM_TEACHER = ("teacher", "ferplus_teacher")  # need a teacher file
