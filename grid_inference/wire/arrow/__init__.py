"""Arrow arrays of our columns, and columns of Arrow, pandas, polars and numpy: what others call a table."""
