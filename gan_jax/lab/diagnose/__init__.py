"""`gan-jax diagnose KIND RUN`: a module a kind, each with the same three functions.

diagnose(options, say) -> dict   looks into a run; the result holds numbers, lists and texts only, so that it is JSON.
                                 Its "sentence" says in a line what was found.
table(result) -> str             for the terminal
figure(result) -> Figure         the picture, also in the run's report

What they measure is in `gan_jax.diagnostics`, as pure functions of arrays; here are the runs, files and pictures.
"""
