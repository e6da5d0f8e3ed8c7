"""From records to what a model is handed: columns bound to its inputs, cast, framed; which rows do not fit."""
