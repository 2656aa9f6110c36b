# Completion of volley in bash 4 or newer. In ~/.bashrc: source <(volley completion bash)

_volley() {
  local program=${COMP_WORDS[0]/#\~/$HOME}
  # An alias is no program.
  type -P -- "$program" >/dev/null || program=volley
  local answer
  mapfile -t answer < <("$program" __complete bash -- "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null </dev/null)
  COMPREPLY=("${answer[@]:1}")
  case ${answer[0]} in
    files*) compopt -o default ;;
    directories*) compopt -o dirnames ;;
    goes-on) compopt -o nospace ;;
  esac
}

complete -F _volley volley
