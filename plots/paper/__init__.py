"""The paper that figures are drawn on: sheets of panels, labels, curves, and how it becomes SVG."""
