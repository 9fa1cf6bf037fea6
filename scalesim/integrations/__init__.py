"""Hooks that let a library's calls carry the agent's identity, and frameworks tell who comes next.

One file a library. Each has `install(module)`, which takes the library's own module and imports
nothing of it; `import_hooks` calls it once the user's program has imported that module.
"""
