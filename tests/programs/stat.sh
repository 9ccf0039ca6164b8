echo 12345 >f; chmod 604 f
L stat -c '%n %s %a %U %G %F' f . /etc/passwd
L df . >/dev/null && echo df
L du -b f
