"""What is shown: tables, charts, pictures and pages."""
