# complete.bash FOLDER LINE: what bash would complete LINE to, one candidate a line. FOLDER holds the scripts.
set -u
folder=$1 line=$2
# Functions of this package pass the rest of a line on to another command's completion.
package=/usr/share/bash-completion/bash_completion
set +u
if [[ -r $package ]]; then source "$package"; fi
set -u
compopt() { :; }
source "$folder/${line%% *}.bash"
complete -W 'alpha beta' prog

# The words, divided as readline divides them.
COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
COMP_LINE=$line COMP_POINT=${#line} COMP_TYPE=9 COMP_KEY=9 COMP_WORDS=()
rest=$line
while [[ $rest =~ ^(' '*)([:=]+|[^:=' ']+)(.*)$ ]]; do
    COMP_WORDS+=("${BASH_REMATCH[2]}") rest=${BASH_REMATCH[3]}
done
if [[ $rest ]]; then COMP_WORDS+=(''); fi
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))

[[ $(complete -p "${COMP_WORDS[0]}") =~ ' -F '([^ ]+) ]] || exit 1
set +u
"${BASH_REMATCH[1]}"
((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"
