"""A MuJoCo scene in the browser. What draws there needs the extra ``view``; the shapes do not."""
