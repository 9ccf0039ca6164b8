# complete.zsh FOLDER LINE: what zsh would complete LINE to, one candidate a line. FOLDER holds the scripts.
#
# Completion works in an editor only, so a second zsh gets a terminal, and a function in place of compadd writes down
# what is added.
zmodload zsh/zpty
export COMPLETION_FOLDER=$1 COMPLETION_FOUND=$(mktemp)
zpty editor zsh -f -i
zpty -w editor 'source $COMPLETION_FOLDER/setup.zsh'
zpty -r editor reply '*READY*'
# The line, what completes it, and the key that says that this is done.
zpty -w -n editor "$2"$'\t\C-t'
zpty -r editor reply '*DONE*'
zpty -d editor
sort -u -- $COMPLETION_FOUND
rm -f -- $COMPLETION_FOUND
