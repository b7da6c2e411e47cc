"""What is completed, by the shell itself."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

BASH = shutil.which("bash")
ZSH = shutil.which("zsh")
FISH = shutil.which("fish")

ASKED_ZSH = r"""
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PROMPT=; fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D; autoload -Uz _pp_assist; cd $2"
zpty -w z "zle-gone () { zle kill-whole-line }; zle -N zle-gone; bindkey '^U' zle-gone"
zpty -w z "compadd () {
    if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd \"\$@\"; return; fi
    local -a offered; builtin compadd -A offered \"\$@\"
    for each in \$offered; do print -r -- \"<\$each>\"; done; builtin compadd \"\$@\"; }"
zpty -w z "print RE''ADY"
zpty -r z said '*READY*'
zpty -w -n z "$3"$'\t'
zpty -w z $'\x15'"print DO''NE"
zpty -r z said '*DONE*'
print -r -- $said
"""
"""A terminal in which zsh runs: what its completion offers is printed as <word>."""


def script(shell: str) -> str:
    command = [sys.executable, "-m", "pp_assist", "completion", shell]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.fixture(scope="module")
def bash_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "pp_assist.bash"
    path.write_text(script("bash"))
    return path


def completed(source: Path, *words: str, folder: Path) -> set[str]:
    """Return what bash would offer for the last of *words*."""
    asked = """
    source "$1"; shift
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
    "$(complete -p pp_assist | sed 's/.*-F \\([^ ]*\\).*/\\1/')" pp_assist "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
    printf '%s\\n' "${COMPREPLY[@]}"
    """
    assert BASH
    done = subprocess.run(
        [BASH, "-c", asked, "bash", str(source), "pp_assist", *words],
        capture_output=True, text=True, cwd=folder, timeout=60, check=False,
    )  # fmt: skip
    assert not done.stderr, done.stderr
    return set(done.stdout.split())


def test_bash_completes_commands_options_choices_and_files(bash_script: Path, tmp_path: Path) -> None:
    (tmp_path / "Documents").mkdir()
    assert completed(bash_script, "sta", folder=tmp_path) == {"start", "status"}
    assert {"--wait", "--json", "--state-dir"} <= completed(bash_script, "status", "--", folder=tmp_path)
    assert completed(bash_script, "server", "l", folder=tmp_path) == {"list"}
    assert completed(bash_script, "files", "--status", "comp", folder=tmp_path) == {"completed"}
    assert completed(bash_script, "add", "Doc", folder=tmp_path) == {"Documents"}
    assert completed(bash_script, "completion", "", folder=tmp_path) == {"bash", "zsh", "fish"}


@pytest.mark.parametrize(("shell", "begin"), [("zsh", "#compdef pp_assist"), ("fish", "")])
def test_the_others_name_every_command(shell: str, begin: str, tmp_path: Path) -> None:
    text = script(shell)
    assert text.startswith(begin)
    for word in ("status", "add", "verify", "doctor", "deletions", "wait", "state-dir"):
        assert word in text
    if program := shutil.which(shell):
        path = tmp_path / shell
        path.write_text(text)
        check = subprocess.run([program, "-n", str(path)], capture_output=True, text=True, timeout=60, check=False)
        assert (check.returncode, check.stderr) == (0, "")


def test_an_unknown_shell_is_refused() -> None:
    command = [sys.executable, "-m", "pp_assist", "completion", "csh"]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 2


@pytest.mark.skipif(FISH is None, reason="no fish here")
def test_fish_completes_commands_options_choices_and_files(tmp_path: Path) -> None:
    (tmp_path / "Documents").mkdir()
    (tmp_path / "pp.fish").write_text(script("fish"))

    def offered(line: str) -> set[str]:
        command = [FISH or "", "--no-config", "-c", f"source pp.fish; complete -C '{line}'"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=True)
        assert not done.stderr, done.stderr
        return {each.partition("\t")[0] for each in done.stdout.splitlines()}

    as_it_should_be(offered, "Documents/")


@pytest.mark.skipif(ZSH is None, reason="no zsh here")
def test_zsh_completes_commands_options_choices_and_files(tmp_path: Path) -> None:
    (tmp_path / "Documents").mkdir()
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "_pp_assist").write_text(script("zsh"))

    def offered(line: str) -> set[str]:
        command = [ZSH or "", "-f", "-c", ASKED_ZSH, "zsh", str(tmp_path / "functions"), str(tmp_path), line]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return set(re.findall(r"<([^<>$\s]+)>", done.stdout))

    as_it_should_be(offered, "Documents")


def as_it_should_be(offered: Callable[[str], set[str]], folder: str) -> None:
    """Try a line of each kind."""
    assert offered("pp_assist sta") == {"start", "status"}
    assert {"--wait", "--json", "--state-dir"} <= offered("pp_assist status --")
    assert offered("pp_assist server l") == {"list"}
    assert offered("pp_assist files --status comp") == {"completed"}
    assert folder in offered("pp_assist add Doc")
    assert offered("pp_assist completion ") == {"bash", "zsh", "fish"}
