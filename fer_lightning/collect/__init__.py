"""Collection of faces for emotions that no data set has: from the search to the export, and `purge`."""
