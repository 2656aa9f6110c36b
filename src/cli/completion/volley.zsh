#compdef volley
# Completion of volley in zsh. In ~/.zshrc, after compinit: source <(volley completion zsh)
# Or once: volley completion zsh > "${fpath[1]}/_volley"

_volley() {
  local program=${(Q)words[1]}
  program=${program/#\~/$HOME}
  # An alias is no program.
  whence -p -- "$program" >/dev/null || program=volley
  local -a before=()
  (( CURRENT > 2 )) && before=("${(@Q)words[2,CURRENT-1]}")
  local -a answer=("${(@f)$("$program" __complete zsh -- "${before[@]}" "${(Q)PREFIX}" 2>/dev/null </dev/null)}")
  local -a mode=(${=answer[1]})
  case ${mode[1]} in
    files | directories)
      (( mode[2] )) && compset -p ${mode[2]}
      if [[ ${mode[1]} == directories ]]; then _files -/; else _files; fi
      return
      ;;
  esac
  local -a values=() shown=() options=()
  local line width=0
  for line in "${(@)answer[2,-1]}"; do
    [[ -n $line ]] || continue
    values+=("${line%%$'\t'*}")
    (( ${#values[-1]} > width )) && width=${#values[-1]}
  done
  for line in "${(@)answer[2,-1]}"; do
    [[ -n $line ]] || continue
    if [[ $line == *$'\t'* ]]; then
      shown+=("${(r:width:)${line%%$'\t'*}}  ${line#*$'\t'}")
      options=(-l)
    else
      shown+=("$line")
    fi
  done
  [[ ${mode[1]} == goes-on ]] && options+=(-S '')
  compadd $options -d shown -a values
}

if [[ ${funcstack[1]} == _volley ]]; then
  _volley "$@"
else
  compdef _volley volley
fi
