"""The text of a plan of three lenders alone, for tests of how a table is read."""


def three_lenders(table: str, records: int, *, cutoff: str) -> str:
    """The plan in TOML: `table` is the lender table's part of it, `records` each lender's nominal records."""
    party = '[[parties]]\nname = "lender-{}"\ngroup = "lender"\nnominal_records = {}\n'
    parties = "".join(party.format(number, records) for number in (1, 2, 3))
    return f"""
name = "three-lenders"
purpose = "tests"
purpose_code = "credit-scoring"
seed = 1
[groups.lender]
role = "lender"
min_parties = 3
max_colluding = 1
[groups.lender.table]
{table}
{parties}
[outcome]
definition = "90 days past due"
window_days = 90
cutoff = {cutoff}
[privacy]
epsilon = 1
delta = 1e-5
[training]
rounds = 10
sample_rate = 0.1
[evaluation]
split = {{ kind = "hash", key = "k", test_fraction = 0.4 }}
"""
