"""report.html: what a run did, on one page that needs nothing but itself.

`figures` adds the commits up, bounded whatever their number; `charts` and `markup` make HTML and SVG; `timing`,
`failures` and `workload_part` are the page's parts; `page` puts them together. The same commits give the same bytes.
"""
