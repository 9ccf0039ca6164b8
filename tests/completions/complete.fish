# complete.fish FOLDER LINE...: what fish would complete each LINE to, a candidate in a line and an empty line behind
# them. FOLDER holds the scripts.
complete -c prog -f -a 'alpha beta'
for line in $argv[2..]
    source $argv[1]/(string split -f 1 ' ' $line).fish
    complete -C $line | string replace -r '\t.*' ''
    echo
end
