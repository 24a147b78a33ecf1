"""What a reader gets: the report and its tables, Markdown, figures as files, sparklines."""
