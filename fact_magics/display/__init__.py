"""Everything that cells show: live views, the records that replace them, and tables."""
