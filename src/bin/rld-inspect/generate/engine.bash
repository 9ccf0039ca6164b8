
# Adds the files (or directories) that the current word may become.
_rld_paths() {
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen "$1" -- "$cur")
}

# _rld_complete TABLE COMMANDS WRAPS: TABLE names the functions below; COMMANDS and WRAPS are 1 where
# the first operand is a command, and where it is a program that gets the rest of the line. The tool
# that wraps wants the value of an option as a word of its own.
_rld_complete() {
    local table=$1 commands=$2 wraps=$3
    # Words as the shell sees them: readline divides them at colons and equal signs, too.
    local words=() at=() line=$COMP_LINE i
    for ((i = 0; i <= COMP_CWORD; i++)); do
        if [[ $i == 0 || $line == [[:blank:]]* ]]; then
            line=${line#"${line%%[![:blank:]]*}"}
            words+=("${COMP_WORDS[i]}") at+=("$i")
        else
            words[-1]+=${COMP_WORDS[i]}
        fi
        line=${line#"${COMP_WORDS[i]}"}
    done
    local last=$((${#words[@]} - 1)) cur=${words[-1]} command= count=0 before= head= options kind
    for ((i = 1; i < last; i++)); do
        before=
        case ${words[i]} in
        --*=*) ;;
        -?*)
            "${table}_kind" "$command" "${words[i]}"
            if [[ $kind != none ]]; then before=${words[i++]}; fi
            ;;
        *)
            ((++count))
            if ((wraps)); then break; fi
            if ((commands)) && [[ ! $command ]]; then command=${words[i]} count=0; fi
            ;;
        esac
    done
    COMPREPLY=()
    if ((wraps && count)); then
        # The rest is the program's own.
        if declare -F _command_offset >/dev/null; then
            _command_offset "${at[i]}"
        else
            _rld_paths -f
        fi
        return
    fi
    # A value is the word after its option, unless the loop has passed it.
    if [[ $before ]] && ((i == last)); then before=; fi
    if [[ ! $before && $cur == --*=* ]] && ((!wraps)); then
        before=${cur%%=*} cur=${cur#*=} head=$before=
        if [[ $COMP_WORDBREAKS == *=* ]]; then head=; fi
    fi
    if [[ $before ]]; then
        "${table}_kind" "$command" "$before"
    elif [[ $cur == -* ]]; then
        "${table}_options" "$command"
        kind="words $options"
    else
        "${table}_kind" "$command" "$((count + 1))"
    fi
    case $kind in
    words\ *) mapfile -t COMPREPLY < <(compgen -W "${kind#words }" -- "$cur") ;;
    files) _rld_paths -f ;;
    directories) _rld_paths -d ;;
    list\ *)
        compopt -o nospace
        if [[ $cur == *:* ]]; then
            head+=${cur%:*}: cur=${cur##*:}
            if [[ $COMP_WORDBREAKS == *:* ]]; then head=; fi
        fi
        if [[ $kind == *files ]]; then _rld_paths -f; else _rld_paths -d; fi
        ;;
    esac
    # What readline replaces begins behind a colon or an equal sign, where these divide words for it.
    COMPREPLY=("${COMPREPLY[@]/#/$head}")
}
