
# The words before the cursor that are operands: what options take, as the arguments say, is none.
function __rld_operands
    set -l words (commandline -opc)
    set -e words[1]
    while set -q words[1]
        if contains -- $words[1] $argv
            set -e words[1]
        else if not string match -q -- '-?*' $words[1]
            echo -- $words[1]
        end
        set -e words[1]
    end
end

# Completes the last element of a list with colons.
function __rld_list --argument-names files
    set -l word (commandline -ct | string replace -r -- '^--[^=]*=' '')
    set -l before (string match -r -- '^.*:' $word)
    for path in (complete -C "__rld_no_such_command $(string replace -r -- '^.*:' '' $word)")
        if test $files = files; or string match -q -- '*/' $path
            echo -- "$before$path"
        end
    end
end
