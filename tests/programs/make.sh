printf 'all: a b c\n\t@cat a b c\n%%:\n\t@echo $@ | tr a-z A-Z >$@\nfail:\n\t@exit 2\n' >Makefile
L make -s -j4
L make -s fail 2>&1 | sed 's/.*\*\*\*/***/' || true
L make -n all
L make --version | sed -n 1,1p
