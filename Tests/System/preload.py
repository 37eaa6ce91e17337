"""Libraries that are put under a program that is tested, each made of a C file of this folder that says what it does."""

import pathlib
import shutil
import subprocess


def compiler():
  return next(filter(None, map(shutil.which, ("gcc", "clang", "cc"))), None)


def library(name, folder):
  """Compiles NAME.c; the path is for LD_PRELOAD."""
  made = folder / f"{name}.so"
  source = pathlib.Path(__file__).with_name(f"{name}.c")
  subprocess.run([compiler(), "-shared", "-fPIC", "-Wall", "-Werror", "-o", made, source, "-ldl"], check=True)
  return made
