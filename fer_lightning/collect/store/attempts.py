"""Which candidates are still to be fetched: for the step that gets them, and for the search that counts on them."""

ATTEMPTS = 4  # to get a candidate, over all calls
FILE_LOST = "file lost"  # what `verify` adds to `fetch` where a picture's file is gone: attempts are counted anew

# The ids of candidates that were never asked for, or failed so far for reasons that may pass.
TO_FETCH = f"""
SELECT candidate.id FROM candidate LEFT JOIN current_fetch AS fetch ON fetch.candidate = candidate.id
WHERE fetch.id IS NULL OR fetch.status = 'failed' AND {ATTEMPTS} > (
  SELECT count(*) FROM fetch AS attempt WHERE attempt.candidate = candidate.id AND attempt.id > coalesce(
    (SELECT max(lost.id) FROM fetch AS lost WHERE lost.candidate = candidate.id AND lost.reason = '{FILE_LOST}'), 0
  )
)
"""
