"""Where the time goes: CPU per operation, side by side in one run, beside the raw signature work that no program can avoid.

No thresholds. Seconds of another machine say nothing, ratios within one run say a lot; CPU time is counted, not waiting,
because the machine that runs this has other work too. `./dev bench` prints a table, `--json` one object.
"""
