"""What cells show: live views, the records that stay, and tables."""
