# The scratch folder may lie in a repository, in whose top folder git would look for relative paths.
export GIT_CEILING_DIRECTORIES=${PWD%/*}
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_AUTHOR_DATE='2001-01-01T00:00:00Z' GIT_CONFIG_NOSYSTEM=1
export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b GIT_COMMITTER_DATE='2001-01-01T00:00:00Z'
L git init -q -b main r; for i in {1..20}; do seq $i 300 >r/f$i; done
L git -C r add .
L git -C r commit -q -m first
L git -C r tag v1
L git ls-remote r
L git ls-remote "file://$PWD/r"
L git clone -q "file://$PWD/r" from-file
L git -C from-file rev-parse HEAD v1
L git clone -q --bare r served/r.git
L git -C served/r.git update-server-info
python3 -u -m http.server --bind 127.0.0.1 --directory served 0 >server.log 2>/dev/null &
until_it grep -q ' port ' server.log
port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' server.log)
# The transport is a program of its own, with libcurl.
L git ls-remote "http://127.0.0.1:$port/r.git"
L git clone -q "http://127.0.0.1:$port/r.git" from-http
L git -C from-http log --format='%H %s'
L diff -r r/f1 from-http/f1 && echo same
L git clone -q "http://127.0.0.1:$port/nothing.git" 2>/dev/null || echo $?
echo >>r/f1
L git -C r commit -qam second
L git -C r push -q "file://$PWD/served/r.git" main 2>/dev/null
L git -C served/r.git update-server-info
L git -C from-http pull -q
L git -C from-http log --format='%H %s'
