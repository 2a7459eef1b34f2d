//! Plots, tables and HTML reports.
