"""Print a script that sets up tab completion in your shell.

It completes commands, groups, choices and keys, and is fast, as it imports nothing heavy. Add this line:

  bash   eval "$(envcli completion bash)"   to ~/.bashrc
  zsh    eval "$(envcli completion zsh)"    to ~/.zshrc, after compinit
  fish   envcli completion fish | source    to ~/.config/fish/config.fish
"""

from __future__ import annotations

from collections.abc import Sequence

from envcli.errors import ConfigError, UnknownName

__all__ = ["WORDS", "main"]

# Each asks `ENVCLI_COMPLETE=1 envcli <words so far> <unfinished word>`, which answers one candidate a line.
_BASH = r"""
_envcli() {
    local line="${COMP_LINE:0:$COMP_POINT}" current words prefix
    read -ra words <<< "$line"
    [[ "$line" == *" " ]] && words+=("")
    current="${words[-1]}"
    prefix="${current%"${COMP_WORDS[COMP_CWORD]#[=:]}"}"  # bash splits words at = and :
    COMPREPLY=()
    local candidate
    while IFS= read -r candidate; do
        COMPREPLY+=("${candidate#"$prefix"}")
    done < <(ENVCLI_COMPLETE=1 "${words[0]}" "${words[@]:1}" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -eq 1 && "${COMPREPLY[0]}" == *[=/] ]] && compopt -o nospace
    return 0
}
complete -F _envcli envcli
"""

_ZSH = r"""
_envcli() {
    local -a found
    found=("${(@f)$(ENVCLI_COMPLETE=1 ${words[1]} "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    compadd -Q -S '' -- ${found:#}
}
compdef _envcli envcli
"""

_FISH = r"""
function __envcli_complete
    set -l words (commandline -opc) (commandline -ct)
    ENVCLI_COMPLETE=1 $words[1] $words[2..-1] 2>/dev/null
end
complete -c envcli -f -a '(__envcli_complete)'
"""

_SCRIPTS = {"bash": _BASH, "fish": _FISH, "zsh": _ZSH}

WORDS = tuple(_SCRIPTS)


def main(words: Sequence[str]) -> int:
    """Print the script for the shell that ``words`` names."""
    if len(words) != 1:
        raise ConfigError(f"completion: found {len(words)} words, expected one of {', '.join(WORDS)}.")
    if words[0] not in _SCRIPTS:
        raise UnknownName("completion for the shell", words[0], WORDS)
    print(_SCRIPTS[words[0]].strip())
    return 0
