# complete.fish FOLDER LINE: what fish would complete LINE to, one candidate a line. FOLDER holds the scripts.
source $argv[1]/(string split -f 1 ' ' $argv[2]).fish
complete -c prog -f -a 'alpha beta'
complete -C $argv[2] | string replace -r '\t.*' ''
exit 0
