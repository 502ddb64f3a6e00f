"""Selection of the candidates that still have to be fetched; used by the steps `fetch` and `search`."""

from fer_lightning.collect.providers.licences import NO_DERIVATIVES

ATTEMPTS = 4  # maximum attempts to fetch a candidate, over all runs of `fetch`
FILE_LOST = "file lost"  # reason that `verify` adds to `fetch` if an image's file is missing; it resets the attempts

# Ids of the candidates that were never requested, or that failed only for reasons that may be temporary. Those whose
# licence forbids adaptations by now are not among them.
TO_FETCH = f"""
SELECT candidate.id FROM candidate LEFT JOIN current_fetch AS fetch ON fetch.candidate = candidate.id
LEFT JOIN current_licence AS licence ON licence.candidate = candidate.id
WHERE coalesce(licence.licence, 'unknown') NOT IN {NO_DERIVATIVES} AND (
  fetch.id IS NULL OR fetch.status = 'failed' AND {ATTEMPTS} > (
    SELECT count(*) FROM fetch AS attempt WHERE attempt.candidate = candidate.id AND attempt.id > coalesce(
      (SELECT max(lost.id) FROM fetch AS lost WHERE lost.candidate = candidate.id AND lost.reason = '{FILE_LOST}'), 0
    )
  )
)
"""
