"""Run the rows of a map on a Dask cluster, in the same isolation as in the notebook."""
