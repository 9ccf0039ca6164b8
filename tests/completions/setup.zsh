# What the zsh that completes reads first; see complete.zsh.
PS1= PS2= LISTMAX=10000
unsetopt zle_bracketed_paste 2>/dev/null
unset zle_bracketed_paste
fpath=($COMPLETION_FOLDER $fpath)
autoload -Uz compinit
compinit -u -D
compdef '_values prog alpha beta' prog
zstyle ':completion:*' insert-tab false
setopt no_list_beep no_beep no_auto_remove_slash
compadd() {
    # Calls that only filter arrays add nothing.
    if [[ ${@[1,(i)(-|--)]} == *-[a-zA-Z]#(O|A|D)* ]]; then
        builtin compadd "$@"
        return
    fi
    local -a found
    builtin compadd -A found "$@"
    (($#found)) && print -rl -- $found >>$COMPLETION_FOUND
    builtin compadd "$@"
}
done-completing() { print -r -- DO''NE }
zle -N done-completing
bindkey '^T' done-completing
bindkey '^I' complete-word
print REA''DY
