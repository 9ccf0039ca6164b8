# complete.bash FOLDER LINE...: what bash would complete each LINE to, a candidate in a line and an empty line behind
# them. FOLDER holds the scripts; $PACKAGE is the package bash-completion's own, or empty.
folder=$1
shift
# Functions of this package pass the rest of a line on to another command's completion.
if [[ $PACKAGE ]]; then source "$PACKAGE"; fi
# There is no readline here that could be told how to insert a candidate.
compopt() { :; }
complete -W 'alpha beta' prog
COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'

for COMP_LINE; do
    source "$folder/${COMP_LINE%% *}.bash"
    # The words, divided as readline divides them.
    COMP_POINT=${#COMP_LINE} COMP_TYPE=9 COMP_KEY=9 COMP_WORDS=() COMPREPLY=()
    rest=$COMP_LINE
    while [[ $rest =~ ^(' '*)([:=]+|[^:=' ']+)(.*)$ ]]; do
        COMP_WORDS+=("${BASH_REMATCH[2]}") rest=${BASH_REMATCH[3]}
    done
    if [[ $rest ]]; then COMP_WORDS+=(''); fi
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    [[ $(complete -p "${COMP_WORDS[0]}") =~ ' -F '([^ ]+) ]] || exit 1
    "${BASH_REMATCH[1]}"
    ((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"
    echo
done
