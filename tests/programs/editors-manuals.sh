# needs: vim|man|groff
L seq 20 >numbers
if type -P vim >/dev/null; then
    L vim -Nu NONE -n -i NONE -es -c '%s/1/one/g' -c '5,10d' -c 'w! changed' -c 'qa!' numbers </dev/null || echo $?
    cat changed
    # A function of a library by its name, where this vim has been built so.
    L vim -Nu NONE -n -i NONE -es -c 'if has("libcall") | let l = [libcallnr("libc.so.6", "abs", -42)] | else | let l = [] | endif' \
        -c 'call writefile(l, "called")' -c 'qa!' </dev/null 2>/dev/null || echo $?
    cat called || true
    L vim --version | sed -n 1p
fi
cat >page.1 <<'MAN'
.TH PAGE 1 2001-01-01 "" ""
.SH NAME
page \- a page of the manual
.SH DESCRIPTION
Some \fBbold\fP and \fIitalic\fP text, \(em with a dash \(em that is long enough to be broken into lines.
.TP
.B \-x
An option.
MAN
if type -P groff >/dev/null; then
    L groff -man -Tascii page.1
    L groff -man -Tutf8 page.1 | L sha256sum
fi
if type -P man >/dev/null && type -P groff >/dev/null; then
    MANWIDTH=60 L man -l page.1
    LC_ALL=C.UTF-8 MANWIDTH=60 L man -l page.1 | L sha256sum
fi
