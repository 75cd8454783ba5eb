"""One line a figure; goals are said with it, and again at the end."""


class Report:
    def __init__(self):
        self.goals = []

    def line(self, name, value, unit, goal=None, least=False):
        """`goal` is the most (or, with `least`, the least) that is wanted."""
        shown = "-" if value is None else f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
        text = f"{name:<44} {shown:>9} {unit:<10}"
        if goal is not None:
            reached = value is not None and (value >= goal if least else value <= goal)
            text += f" goal {'>=' if least else '<='} {goal:<8g} {'yes' if reached else 'NO'}"
            self.goals.append((text, reached))
        print(text.rstrip(), flush=True)

    def summary(self):
        """Whether all goals were reached."""
        print("\ngoals:")
        for text, _ in self.goals:
            print(text)
        reached = sum(ok for _, ok in self.goals)
        print(f"{reached} of {len(self.goals)} goals reached")
        return reached == len(self.goals)
