"""What a run costs: estimated before it is started, and worked out from its jobs' own times when it has ended.

`prices.toml` is the one table of prices. `estimation` says what a run would cost, `run_jobs` reads what its jobs took,
`bill` multiplies, and `run_cost` puts the two side by side. Every cost that is shown comes from here.
"""
