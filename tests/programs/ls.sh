mkdir d; echo text >d/file; ln -s file d/link; mkfifo d/pipe
L touch -d @0 -h d/* d
chmod 640 d/file
L ls -l d
L ls -la --time-style=full-iso d/file
L ls nowhere || echo $?
