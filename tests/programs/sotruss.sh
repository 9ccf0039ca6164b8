# needs: sotruss
# The auditor that comes with glibc: every call of the program, with arguments and results.
# It names the auditor with $LIB, which the loader knows.
library=$(sed -n "s/^lib='\(.*\)'$/\1/p" "$(type -P sotruss)")
[[ -n $library ]] || skip "sotruss has changed"
traced() {
    (export LC_ALL=C SOTRUSS_OUTNAME=$PWD/trace LD_AUDIT=$library; L "$@")
    # Addresses differ from start to start. rld tells nobody of the ends of what may return twice.
    sed '/ _setjmp - /d; s/0x[0-9a-f]*/ADDRESS/g; s/^ *[0-9]*: *//' trace.*[0-9] trace 2>/dev/null || true
    rm -f trace*
}
traced ls -d /
printf "b\\na\\n" >lines
traced sort lines
export SOTRUSS_EXIT=1
traced ls -d /
export SOTRUSS_FROMLIST=ls:libselinux.so.1 SOTRUSS_TOLIST=libc.so.6
traced ls -d /
