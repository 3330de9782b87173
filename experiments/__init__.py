"""Studies: study files, runner, records, rates, statistics and the report."""
