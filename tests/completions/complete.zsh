# complete.zsh FOLDER LINE...: what zsh would complete each LINE to, a candidate in a line and an empty line behind
# them. FOLDER holds the scripts, and setup.zsh.
#
# Completion works in an editor only, so a second zsh gets a terminal, and a function in place of compadd writes down
# what is added.
zmodload zsh/zpty
export COMPLETION_FOLDER=$1 COMPLETION_FOUND=$(mktemp)
shift
zpty editor zsh -f -i
zpty -w editor 'source $COMPLETION_FOLDER/setup.zsh'
zpty -r editor reply '*READY*'
for line; do
    : >$COMPLETION_FOUND
    # An empty line, what is to be completed, the key that completes, the key that says that this is done.
    zpty -w -n editor $'\C-u'$line$'\t\C-t'
    zpty -r editor reply '*DONE*'
    sort -u -- $COMPLETION_FOUND
    print
done
zpty -d editor
rm -f -- $COMPLETION_FOUND
