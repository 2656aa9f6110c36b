# Completion of volley in fish. Once: volley completion fish > ~/.config/fish/completions/volley.fish

function __volley_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    set -l program $words[1]
    # An alias is no program.
    type -qf -- $program; or set program volley
    set -l answer ($program __complete fish -- $words[2..-1] "$word" 2>/dev/null </dev/null)
    set -l mode (string split ' ' -- $answer[1])
    switch "$mode[1]"
        case files directories
            set -l plain (string unescape -- "$word")
            set -l start (string sub -l $mode[2] -- "$plain")
            set -l rest (string sub -s (math $mode[2] + 1) -- "$plain" | string escape -n | string replace -r '^\\\\~' '~')
            # Fish completes files for a command that it does not know.
            set -l found (complete -C "__volley_unknown $rest")
            test $mode[1] = directories; and set found (string match -r '.*/$' -- $found)
            test -n "$found"; and string replace -r '^' -- "$start" $found
        case '*'
            printf '%s\n' $answer[2..-1]
    end
end

complete -c volley -f -a '(__volley_complete)'
