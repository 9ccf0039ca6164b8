export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_AUTHOR_DATE='2001-01-01T00:00:00Z' GIT_CONFIG_NOSYSTEM=1
export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b GIT_COMMITTER_DATE='2001-01-01T00:00:00Z'
L git init -q -b main r; cd r; for i in {1..40}; do seq $i 500 >f$i; done
L git add .
L git commit -q -m first
echo more >>f1
L git commit -qam second
L git log --format='%H %s %an'
L git status --short
L git diff --stat HEAD~
L git branch x
L git checkout -q x; echo side >side
L git add side
L git commit -qm side
L git checkout -q main
L git merge -q -m merge x
L git gc -q
L git fsck --full 2>/dev/null
L git count-objects
L git log --oneline --graph
L git clone -q . ../c 2>/dev/null
L git -C ../c rev-parse HEAD
L git grep -c more
L git stash list
L git archive HEAD | L sha256sum
L git rev-parse nope 2>/dev/null || echo $?
