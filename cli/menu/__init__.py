"""`ultra menu`: an analysis by questions, watched as it runs, and those of before.

`draft`, `offers` and `prompts` decide and know no terminal; `questions` asks; `composing`, `past` and
`menu` lead from one question to the next.
"""
