"""What the description cannot say."""

from datetime import date, datetime, timezone

import schemathesis
from hypothesis import strategies as st

# A year on either side is left for offsets.
schemathesis.openapi.format("date", st.dates(date(1, 1, 2), date(9998, 12, 30)).map(str))
schemathesis.openapi.format(
    "date-time",
    st.datetimes(datetime(1, 1, 2), datetime(9998, 12, 30), timezones=st.just(timezone.utc)).map(datetime.isoformat),
)


@schemathesis.hook
def before_process_path(context, path, methods):
    """Cursors come from the API alone: an invented one is refused."""
    for operation in methods.values():
        kept = [one for one in operation.get("parameters", []) if one["name"] != "cursor"]
        operation["parameters"] = kept
